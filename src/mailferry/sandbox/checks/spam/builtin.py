"""A few rules of our own, for where neither SpamAssassin nor rspamd is configured. Pure.

They find what makes every filter suspicious, and know nothing of reputation, of the network or of what spam says this week:
a score of nought here promises nothing, and the verdict says whose rules these are.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import pairwise
from urllib.parse import urlsplit

from mailferry.mail.reading import Reading
from mailferry.sandbox.checks import page
from mailferry.sandbox.checks.spam.verdict import THRESHOLD, Symbol, Verdict

ENGINE = "Mailferry built-in rules"
VERSION = "1"

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
"""The test for spam filters (https://spamassassin.apache.org/gtube/)."""

_LOOKED_AT = 200_000  # characters of text in which phrases are looked for
_PHRASES = re.compile(
    r"\b(?:you(?:'ve| have) (?:won|been selected)|claim your (?:prize|reward)|100% (?:free|guaranteed)|risk[- ]free|act now"
    r"|make money (?:fast|online)|earn extra (?:cash|money)|work from home|lose weight (?:fast|now)|no credit check"
    r"|cheap (?:meds|viagra|cialis)|viagra|million (?:dollars|usd)|next of kin|wire transfer|dear (?:friend|beneficiary|winner)"
    r"|this is not spam|bulk e-?mail|click here now|double your (?:money|income)|online casino)\b",
    re.IGNORECASE,
)
_SHORTENERS = frozenset(
    ["bit.ly", "tinyurl.com", "t.co", "goo.gl", "ow.ly", "is.gd", "buff.ly", "rebrand.ly", "cutt.ly", "shorturl.at"]
)
_PROGRAMS = re.compile(r"\.(?:exe|scr|pif|com|bat|cmd|vbs|vbe|js|jse|wsf|hta|msi|lnk|jar|ps1|iso)$", re.IGNORECASE)
_ADDRESS_HOST = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_NAMES_A_HOST = re.compile(r"\s*(?:https?://)?([a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,24})(?:/\S*)?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    points: float
    description: str
    applies: Callable[["_Mail"], object]


class _Mail:
    """What the rules ask, found out once."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.subject = reading.subject.strip()
        self.page = page.read(reading.html or "").root
        self.shown = self.page.text(alt=True) if reading.html is not None else ""
        self.words = f"{self.subject}\n{reading.text or ''}\n{self.shown}"[:_LOOKED_AT]
        self.links = [each for each in self.page.find("a") if each.attributes.get("href")][:2_000]
        self.hosts = {_host(each.attributes["href"]) for each in self.links} - {""}

    def lacks(self, name: str) -> bool:
        return not self.reading.header(name).strip()


def _host(url: str) -> str:
    try:
        return (urlsplit(url.strip()).hostname or "").lower()
    except ValueError:
        return ""


def _is_shouted(text: str) -> bool:
    letters = [character for character in text if character.isalpha() and character.upper() != character.lower()]
    return len(letters) >= 8 and all(character.isupper() for character in letters)


def _is_image_only(mail: _Mail) -> bool:
    has_image = any(True for _ in mail.page.find("img"))
    return has_image and len("".join(mail.page.text().split())) < 100 and mail.reading.html is not None


def _lies_about_a_link(mail: _Mail) -> bool:
    for link in mail.links:
        named = _NAMES_A_HOST.fullmatch(link.text()[:200])
        host = _host(link.attributes["href"])
        if named and host and not _same_site(named[1].lower(), host):
            return True
    return False


def _same_site(one: str, other: str) -> bool:
    return one.split(".")[-2:] == other.split(".")[-2:]


def _has_bad_date(mail: _Mail) -> bool:
    if mail.lacks("Date"):
        return False
    try:
        return parsedate_to_datetime(mail.reading.header("Date")[:100]) is None
    except (ValueError, TypeError, OverflowError):
        return True


def _has_twice(mail: _Mail) -> bool:
    names = sorted(each.name.lower() for each in mail.reading.headers)
    once = {"from", "sender", "reply-to", "to", "cc", "message-id", "subject", "date"}  # RFC 5322 section 3.6
    return any(one == other and one in once for one, other in pairwise(names))


def _hides_text(mail: _Mail) -> bool:
    # One preheader is usual; what hides more hides it from somebody.
    hidden = re.compile(r"display\s*:\s*none|font-size\s*:\s*0|visibility\s*:\s*hidden", re.IGNORECASE)
    texts = [each.text() for each in mail.page.walk() if hidden.search(each.attributes.get("style", ""))]
    return sum(len(text.split()) for text in texts) > 60


def _is_empty(mail: _Mail) -> bool:
    has_image = any(True for _ in mail.page.find("img"))
    return (
        not (mail.reading.text or "").strip()
        and not mail.shown.strip()
        and not has_image
        and not mail.reading.attachments
    )


RULES: tuple[_Rule, ...] = (
    _Rule("MF_GTUBE", 1000.0, "The test text for spam filters (GTUBE)", lambda mail: GTUBE in mail.words),
    _Rule("MF_MISSING_FROM", 1.5, "There is no From field", lambda mail: mail.lacks("From")),
    _Rule(
        "MF_BAD_FROM",
        1.0,
        "The From field does not hold exactly one address",
        lambda mail: not mail.lacks("From") and len(mail.reading.mailboxes("From")) != 1,
    ),
    _Rule("MF_MISSING_DATE", 1.4, "There is no Date field", lambda mail: mail.lacks("Date")),
    _Rule("MF_BAD_DATE", 1.0, "The Date field is no date", _has_bad_date),
    _Rule("MF_MISSING_MID", 0.5, "There is no Message-ID field", lambda mail: mail.lacks("Message-ID")),
    _Rule(
        "MF_MISSING_TO",
        1.0,
        "There is neither a To nor a Cc field",
        lambda mail: mail.lacks("To") and mail.lacks("Cc"),
    ),
    _Rule("MF_MISSING_SUBJECT", 1.2, "There is no subject", lambda mail: not mail.subject),
    _Rule("MF_FIELD_TWICE", 0.8, "A field that may stand once stands more often (RFC 5322 3.6)", _has_twice),
    _Rule("MF_SUBJECT_SHOUTS", 1.5, "The subject is in capital letters", lambda mail: _is_shouted(mail.subject)),
    _Rule(
        "MF_SUBJECT_MARKS",
        0.8,
        "The subject has exclamation marks in a row, or money signs",
        lambda mail: re.search(r"!!|\?\?|[!?]{3}|[$€£]{2}", mail.subject),
    ),
    _Rule(
        "MF_SPAM_PHRASES",
        1.5,
        "It has phrases that spam is full of",
        lambda mail: len({found.lower() for found in _PHRASES.findall(mail.words)}) == 1,
    ),
    _Rule(
        "MF_MANY_SPAM_PHRASES",
        3.5,
        "It has several phrases that spam is full of",
        lambda mail: len({found.lower() for found in _PHRASES.findall(mail.words)}) > 1,
    ),
    _Rule(
        "MF_BODY_SHOUTS",
        1.0,
        "The text is in capital letters",
        lambda mail: _is_shouted(mail.reading.text or mail.shown),
    ),
    _Rule(
        "MF_NO_TEXT_PART",
        0.7,
        "There is HTML and no plain text beside it",
        lambda mail: mail.reading.html is not None and mail.reading.text is None,
    ),
    _Rule("MF_IMAGE_ONLY", 2.0, "The HTML is an image with hardly any text", _is_image_only),
    _Rule("MF_EMPTY", 1.5, "There is nothing to read", _is_empty),
    _Rule(
        "MF_LINK_TO_ADDRESS",
        1.5,
        "A link goes to an IP address instead of a name",
        lambda mail: any(_ADDRESS_HOST.fullmatch(host) for host in mail.hosts),
    ),
    _Rule("MF_LINK_LIES", 2.0, "The text of a link names another site than it goes to", _lies_about_a_link),
    _Rule("MF_SHORT_LINK", 0.6, "A link goes over a shortener", lambda mail: mail.hosts & _SHORTENERS),
    _Rule("MF_SCRIPT", 1.5, "The HTML has scripts", lambda mail: any(True for _ in mail.page.find("script"))),
    _Rule("MF_FORM", 0.8, "The HTML has a form", lambda mail: any(True for _ in mail.page.find("form"))),
    _Rule("MF_HIDDEN_TEXT", 1.0, "The HTML hides a lot of text", _hides_text),
    _Rule(
        "MF_PROGRAM",
        3.0,
        "A program is attached",
        lambda mail: any(_PROGRAMS.search(each.filename) for each in mail.reading.attachments),
    ),
    _Rule("MF_BROKEN_MIME", 0.5, "The message had to be mended to be read", lambda mail: mail.reading.problems),
    _Rule(
        "MF_LIST_UNSUBSCRIBE",
        -0.2,
        "It can be unsubscribed from (List-Unsubscribe)",
        lambda mail: not mail.lacks("List-Unsubscribe"),
    ),
)


def judge(reading: Reading) -> Verdict:
    """Takes a second for the largest HTML that is looked at; a thread's work then."""
    mail = _Mail(reading)
    symbols = tuple([Symbol(rule.points, rule.name, rule.description) for rule in RULES if rule.applies(mail)])
    score = round(sum(symbol.points for symbol in symbols), 1)
    return Verdict(ENGINE, VERSION, score, THRESHOLD, score >= THRESHOLD, symbols, message=f"EX_OK: {ENGINE}")
