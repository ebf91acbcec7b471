"""Faults on purpose: how an inbox misbehaves, so that an application's handling of failures can be tried.

Rules are looked through in their order. Those that match and whose turn it is are played: delays add up, the first refusal or
hang-up ends it. What is random is drawn from a seed and the number of the match, so a run that is repeated repeats.
"""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256

import msgspec

#: Rules of one inbox.
MOST_RULES = 50
#: Seconds: clients give up after 30 to 300.
LONGEST_DELAY = 120.0
#: Inboxes whose matches are counted; beyond, all begin anew.
MOST_COUNTED = 10_000


class Stage(StrEnum):
    """Where a message is met. The first three are commands of SMTP; ``api`` is a request to send."""

    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    API = "api"


class Action(StrEnum):
    REJECT = "reject"
    DELAY = "delay"
    #: The connection is cut without a word.
    DISCONNECT = "disconnect"


class Rule(msgspec.Struct, frozen=True):
    """Patterns are empty for anything; ``*`` and ``?`` stand for what is left out, case does not matter.

    ``first``, ``nth`` and ``every`` count the messages (at ``rcpt`` the recipients) that match the patterns; 0: not asked.
    """

    stage: Stage
    action: Action
    #: Of the refusal: SMTP's, or the HTTP status.
    code: int = 0
    enhanced: str = ""
    text: str = ""
    seconds: float = 0.0
    sender: str = ""
    recipient: str = ""
    subject: str = ""
    chance: float = 1.0
    first: int = 0
    nth: int = 0
    every: int = 0


class Faults(msgspec.Struct, frozen=True):
    """Kept with the inbox as JSON."""

    rules: tuple[Rule, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a message where it is met. ``recipients``: the one of RCPT, or all."""

    stage: Stage
    sender: str = ""
    recipients: Sequence[str] = ()
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``rule``: the one that refuses or hangs up; None: the message goes on after ``seconds``."""

    seconds: float = 0.0
    rule: Rule | None = None


NONE = Verdict()


def packed(faults: Faults) -> str:
    """For the inbox; empty where there are none."""
    return msgspec.json.encode(faults).decode() if faults.rules else ""


@lru_cache(1000)
def unpacked(text: str) -> Faults:
    return msgspec.json.decode(text, type=Faults) if text else Faults()


class FaultPlayer:
    """One for the process. Counts begin at 0 when it starts and when an inbox's faults change; each node has its own."""

    def __init__(self) -> None:
        self._counts: dict[int, tuple[str, list[int]]] = {}

    def play(self, inbox_id: int, text: str, seen: Seen) -> Verdict:
        """``text``: the inbox's faults as they are kept."""
        if not text:
            return NONE
        faults, counts = unpacked(text), self._counts_of(inbox_id, text)
        seconds = 0.0
        for index, rule in enumerate(faults.rules):
            if not _matches(rule, seen):
                continue
            counts[index] += 1
            if not _is_due(rule, counts[index]) or not _drawn(rule, faults.seed, index, counts[index]):
                continue
            if rule.action is not Action.DELAY:
                return Verdict(seconds, rule)
            seconds = min(seconds + rule.seconds, LONGEST_DELAY)
        return Verdict(seconds)

    def stages(self, text: str) -> frozenset[Stage]:
        """Where there is something to be asked at all."""
        return frozenset(rule.stage for rule in unpacked(text).rules)

    def begin_anew(self, inbox_id: int) -> None:
        self._counts.pop(inbox_id, None)

    def _counts_of(self, inbox_id: int, text: str) -> list[int]:
        known, counts = self._counts.get(inbox_id, ("", []))
        if known != text:
            if len(self._counts) >= MOST_COUNTED:
                self._counts.clear()
            counts = [0] * len(unpacked(text).rules)
            self._counts[inbox_id] = text, counts
        return counts


def _matches(rule: Rule, seen: Seen) -> bool:
    return (
        rule.stage is seen.stage
        and _fits(rule.sender, seen.sender)
        and _fits(rule.subject, seen.subject)
        and (not rule.recipient or any(_fits(rule.recipient, each) for each in seen.recipients))
    )


def _fits(pattern: str, text: str) -> bool:
    return not pattern or _compiled(pattern).match(text.lower()) is not None


@lru_cache(1000)
def _compiled(pattern: str) -> re.Pattern[str]:
    # A bracket is a bracket: addresses and subjects have them. Python's translation never goes back over a star.
    return re.compile(fnmatch.translate(pattern.lower().replace("[", "[[]")))


def _is_due(rule: Rule, count: int) -> bool:
    return (
        (not rule.first or count <= rule.first)
        and (not rule.nth or count == rule.nth)
        and (not rule.every or count % rule.every == 0)
    )


def _drawn(rule: Rule, seed: int, index: int, count: int) -> bool:
    if rule.chance >= 1:
        return True
    digest = sha256(f"{seed}/{index}/{count}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < rule.chance * (1 << 64)
