"""What mail clients support, as caniemail.com has tested it: one file, which the set-up fetches (assets/caniemail)."""

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "data" / "caniemail.json"

#: What a platform is to Mailtrap, which knows three kinds.
KINDS = {
    "windows": "desktop",
    "macos": "desktop",
    "windows-mail": "desktop",
    "desktop-app": "desktop",
    "desktop-webmail": "web",
    "webmail": "web",
    "outlook-com": "web",
    "ios": "mobile",
    "android": "mobile",
    "mobile-webmail": "mobile",
}
_NOTE = re.compile(r"#(\d+)")


class Support(StrEnum):
    """In the data's letters."""

    FULL = "y"
    PARTIAL = "a"
    NONE = "n"
    UNKNOWN = "u"


_LETTERS = frozenset(each.value for each in Support)


@dataclass(frozen=True, slots=True, order=True)
class Client:
    """A family on a platform, as ``("outlook", "windows")``."""

    family: str
    platform: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """About one version of a client. Of webmail, a version is the month of the test."""

    version: str
    support: Support
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Feature:
    slug: str
    title: str
    description: str
    category: str
    link: str
    tested: str
    #: Family, platform, version to what the data says: ``a #1 #2``.
    _stats: Mapping[str, Mapping[str, Mapping[str, str]]]
    _notes: Mapping[str, str]

    @functools.cached_property  # a mail has a tenth of all features
    def verdicts(self) -> Mapping[Client, tuple[Verdict, ...]]:
        """Oldest version first."""
        return {
            Client(family, platform): tuple(_verdict(version, said, self._notes) for version, said in versions.items())
            for family, platforms in self._stats.items()
            for platform, versions in platforms.items()
            if versions
        }


@dataclass(frozen=True, slots=True)
class Data:
    """One edition."""

    #: ISO, of its last change.
    date: str
    features: Mapping[str, Feature]
    families: Mapping[str, str]
    platforms: Mapping[str, str]

    def name(self, client: Client) -> str:
        """As it stands among others of its kind: ``Gmail (iOS)`` among those on phones, ``Gmail`` on the web."""
        family = self.families.get(client.family, client.family)
        if client.platform == "outlook-com":
            return "Outlook.com"
        if kind(client) == "web":
            return family
        return f"{family} ({self.platforms.get(client.platform, client.platform)})"


def kind(client: Client) -> str:
    """desktop, mobile or web."""
    return KINDS.get(client.platform, "desktop")


def installed(file: Path = FILE) -> Data | None:
    """None when the set-up could not fetch it. Read once."""
    return _load(file) if file.exists() else None


@functools.cache
def _load(file: Path) -> Data:
    content = json.loads(file.read_bytes())
    features = [_feature(each) for each in content["data"]]
    names = content["nicenames"]
    return Data(
        date=str(content["last_update_date"])[:10],
        features={feature.slug: feature for feature in features},
        families=names["family"],
        platforms=names["platform"],
    )


def _feature(given: dict[str, Any]) -> Feature:
    return Feature(
        slug=given["slug"],
        title=given["title"],
        description=(given["description"] or "").strip(),
        category=given["category"],
        link=given["url"],
        tested=given["last_test_date"],
        _stats=given["stats"],
        _notes=given["notes_by_num"] or {},
    )


def _verdict(version: str, said: str, notes: Mapping[str, str]) -> Verdict:
    letter = said[:1]
    return Verdict(
        version,
        Support(letter) if letter in _LETTERS else Support.UNKNOWN,
        tuple(notes[number] for number in _NOTE.findall(said) if number in notes),
    )
