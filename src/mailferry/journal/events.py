"""The words: kinds of event, states of a recipient, and the ways between states. Written here and nowhere else."""

from enum import StrEnum


class State(StrEnum):
    """Where one recipient of one message stands."""

    QUEUED = "queued"  # waits for its time, or is being tried
    HELD = "held"  # waits for a decision; the reason says whose
    SENT = "sent"  # a provider took it; its fate is not known yet
    DELIVERED = "delivered"  # the recipient's host answered 250 after the final dot
    BOUNCED = "bounced"  # it will not arrive
    REJECTED = "rejected"  # we did not try: suppressed, or its domain may not send
    CANCELLED = "cancelled"  # taken back by its sender


class Kind(StrEnum):
    """Kinds of event. Each dialect spells them its own way (tables in consumers/)."""

    ACCEPTED = "accepted"
    THROTTLED = "throttled"  # held back by a limit of ours
    SOFT_BOUNCE = "soft_bounce"  # an attempt failed and is tried again
    DELIVERY = "delivery"
    BOUNCE = "bounce"
    REJECT = "reject"
    SUSPENSION = "suspension"  # held because its domain may not send now
    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    SPAM = "spam"
    CANCELLED = "cancelled"
    #: Of a domain, not of a recipient: webhooks ask for it, and it stands in no journal (consumers/alerts).
    ALERT = "deliverability_alert"
    AUDIT = "audit"


#: From None: how a recipient may begin. Anything that is not here is a bug.
WAYS: dict[State | None, frozenset[State]] = {
    None: frozenset({State.QUEUED, State.HELD, State.REJECTED}),
    State.QUEUED: frozenset({State.HELD, State.SENT, State.DELIVERED, State.BOUNCED, State.REJECTED, State.CANCELLED}),
    State.HELD: frozenset({State.QUEUED, State.REJECTED, State.CANCELLED}),
    State.SENT: frozenset({State.DELIVERED, State.BOUNCED}),
    # A report that comes days after the 250.
    State.DELIVERED: frozenset({State.BOUNCED}),
    State.BOUNCED: frozenset(),
    State.REJECTED: frozenset(),
    State.CANCELLED: frozenset(),
}

#: States that a queue row stands behind.
WAITING = (State.QUEUED, State.HELD)


class ForbiddenWay(AssertionError):
    """A change of state that WAYS does not know: a bug in the caller."""


def check_way(before: State | None, after: State) -> None:
    """Raises :class:`ForbiddenWay`. Staying where one is, is no way: the caller does not ask."""
    if after not in WAYS[before]:
        raise ForbiddenWay(f"a recipient cannot go from {before or 'nothing'} to {after}")
