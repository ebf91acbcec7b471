"""What is said of a message, whoever said it."""

from dataclasses import dataclass

THRESHOLD = 5.0
"""Points from which on a message counts as spam; SpamAssassin's own default."""

#: sysexits.h, the codes that spamd answers with; ours where it did not answer.
OK, DATA_ERROR, UNAVAILABLE, SOFTWARE, TEMPORARY, PROTOCOL = 0, 65, 69, 70, 75, 76
_NAMES = {
    OK: "EX_OK",
    DATA_ERROR: "EX_DATAERR",
    UNAVAILABLE: "EX_UNAVAILABLE",
    SOFTWARE: "EX_SOFTWARE",
    TEMPORARY: "EX_TEMPFAIL",
    PROTOCOL: "EX_PROTOCOL",
}


@dataclass(frozen=True, slots=True)
class Symbol:
    """A rule that a message met; a negative number speaks for the message."""

    points: float
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`engine` names who judged; `code` 0: it did, else `message` says what went wrong and the score means nothing."""

    engine: str
    version: str
    score: float = 0.0
    threshold: float = THRESHOLD
    is_spam: bool = False
    symbols: tuple[Symbol, ...] = ()
    code: int = OK
    message: str = "EX_OK"


def failed(engine: str, code: int, why: str) -> Verdict:
    """`why` is a sentence without a stop."""
    return Verdict(engine, "", code=code, message=f"{_NAMES[code]}: {why}")
