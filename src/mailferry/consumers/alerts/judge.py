"""How well a domain does: Mailtrap's thresholds, decided in whole numbers, since a rounded rate is on the wrong side of some.

Bounces are a share of what was sent, complaints of what was delivered.
"""

from dataclasses import dataclass

from mailferry.consumers.stats.reading import Counts
from mailferry.resources.domain_alerts import Level, Standing

#: Recipients in a week below which nothing is said: one bounce among ten is no sign of anything.
ENOUGH_A_WEEK = 1_000
BOUNCE, SPAM = "bounce_rate", "spam_rate"


@dataclass(frozen=True, slots=True)
class Change:
    """A rate that has come to another level; ``before`` is empty where it was never judged."""

    measure: str
    before: str
    level: Level


def levels(day: Counts, week: Counts) -> tuple[Level, Level] | None:
    """Of bounces and of complaints; None: too little was sent to say anything, so that what was said stands."""
    if week.sent < ENOUGH_A_WEEK or not day.sent:
        return None
    return bounce_level(day), spam_level(day)


def bounce_level(counts: Counts) -> Level:
    """Yellow from 2 % on, red above 5 %."""
    if counts.bounced * 100 > counts.sent * 5:
        return Level.RED
    return Level.YELLOW if counts.bounced * 100 >= counts.sent * 2 else Level.GREEN


def spam_level(counts: Counts) -> Level:
    """Yellow from 0.08 % on, red above 0.1 %."""
    if counts.spam * 1_000 > counts.delivered:
        return Level.RED
    # Of nothing that was delivered there are no complaints.
    return Level.YELLOW if counts.spam and counts.spam * 10_000 >= counts.delivered * 8 else Level.GREEN


def changes(before: tuple[str, str], after: tuple[str, str]) -> list[Change]:
    """Of bounces and of complaints. To be green at the first look is nothing new."""
    return [
        Change(measure, old, Level(new))
        for measure, old, new in zip((BOUNCE, SPAM), before, after, strict=True)
        if new and new != old and (old or new != Level.GREEN)
    ]


def rate(measure: str, standing: Standing) -> float:
    """From 0 to 1."""
    part, whole = (standing.bounced, standing.sent) if measure == BOUNCE else (standing.spam, standing.delivered)
    return round(part / whole, 6) if whole else 0.0
