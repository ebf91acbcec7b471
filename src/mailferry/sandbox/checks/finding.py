"""What a check says of a message, one sentence a rule."""

from dataclasses import dataclass
from typing import Literal

Grade = Literal["pass", "note", "warning", "problem"]
"""pass: as it should be; note: nothing is wrong; warning: some receivers or readers mind; problem: it is against a rule."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`sentence` is for people, with a stop; `source` names the rule it comes from; `line` is that of the HTML, 0 is none."""

    rule: str
    grade: Grade
    sentence: str
    source: str = ""
    line: int = 0
