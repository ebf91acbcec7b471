"""What was found where: findings by feature, each with its first places."""

from collections.abc import Container
from dataclasses import dataclass, field

#: Places of one feature that are kept; the rest is counted.
MAX_PLACES = 20
#: Characters of the document that are shown of a place.
SNIPPET = 100


@dataclass(frozen=True, slots=True)
class Place:
    #: Of the document, from 1.
    line: int
    snippet: str
    #: Outlook on Windows does not see it: it stands between ``<!--[if !mso]><!-->`` and ``<!--<![endif]-->``.
    hidden_from_outlook: bool


@dataclass(slots=True)
class Finding:
    count: int = 0
    #: The first of each line.
    places: list[Place] = field(default_factory=list)
    hidden_from_outlook: bool = True


class Findings:
    """By slug; what has no support data is left out."""

    def __init__(self, known: Container[str]) -> None:
        self.by_slug: dict[str, Finding] = {}
        self._known = known

    def add(self, slug: str, line: int, text: str, at: int, *, hidden_from_outlook: bool) -> None:
        """`at` is where in `text` the feature begins."""
        finding = self.by_slug.get(slug)
        if finding is None:
            if slug not in self._known:
                return
            finding = self.by_slug[slug] = Finding()
        finding.count += 1
        finding.hidden_from_outlook = finding.hidden_from_outlook and hidden_from_outlook
        places = finding.places
        if len(places) < MAX_PLACES and not (places and places[-1].line == line):
            places.append(Place(line, _snippet(text, at), hidden_from_outlook))


def _snippet(text: str, at: int) -> str:
    piece = text[at : at + SNIPPET + 1]
    first = piece.partition("\n")[0].rstrip()
    return first[:SNIPPET] + "…" if len(first) > SNIPPET else first
