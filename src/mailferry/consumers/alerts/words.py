"""What is said when a rate has come to another level: a mail to the domain's owner, an event to webhooks that ask for it."""

from collections.abc import Sequence

import msgspec

from mailferry.consumers.alerts.judge import BOUNCE, SPAM, Change, rate
from mailferry.consumers.mailtrap_words import ToldAlert, alert_payload
from mailferry.consumers.webhooks import signing
from mailferry.resources.domain_alerts import Level, Standing, Watched
from mailferry.resources.system_mail import Mail

NAMES = {BOUNCE: "bounce rate", SPAM: "spam complaint rate"}
_WHERE = {
    BOUNCE: {Level.GREEN: "below 2 %", Level.YELLOW: "2 % or more", Level.RED: "above 5 %"},
    SPAM: {Level.GREEN: "below 0.08 %", Level.YELLOW: "0.08 % or more", Level.RED: "above 0.1 %"},
}
_ADVICE = {
    BOUNCE: "Addresses that do not exist harm the domain's reputation: stop writing to those that bounced, and to lists\n"
    "whose origin you do not know.",
    SPAM: "Mailbox providers put mail of domains that are complained about into the spam folder: write only to those who\n"
    "asked for it, and let them unsubscribe easily.",
}


def mail(watched: Watched, changed: Sequence[Change]) -> Mail:
    """One for all that changed at once; ``watched`` as it is now."""
    standing = watched.standing
    worst = max(changed, key=lambda change: list(Level).index(change.level))
    subject = f"{watched.name}: {NAMES[worst.measure]} is {worst.level} ({_percent(worst.measure, standing)})"
    lines = [_sentence(change, standing) for change in changed]
    advice = [_ADVICE[change.measure] for change in changed if change.level != Level.GREEN]
    counted = (
        f"In the 24 hours before, of mail from {watched.name}: {standing.sent} sent, {standing.delivered} delivered, "
        f"{standing.bounced} bounced, {standing.spam} complained about."
    )
    end = "You hear of it again when a rate comes to another level. The domain's critical_alerts_enabled ends these mails."
    text = "\n\n".join([*lines, counted, *advice, end]) + "\n"
    key = f"alert {watched.domain_id}/{standing.changed_at}"
    return Mail(watched.account_id, key, watched.recipient, subject, text)


def payload(watched: Watched, change: Change, now: int) -> str:
    """As a webhook gets it; ``watched`` as it is now."""
    standing = watched.standing
    told = ToldAlert(
        at=now,
        event_id=signing.event_id(f"alert/{watched.domain_id}/{change.measure}", now),
        domain_id=watched.domain_id,
        domain_name=watched.name,
        measure=change.measure,
        rate=rate(change.measure, standing),
        level=change.level,
        before=change.before,
        counts={
            "sent_count": standing.sent,
            "bounce_count": standing.bounced,
            "delivery_count": standing.delivered,
            "spam_count": standing.spam,
        },
    )
    return msgspec.json.encode(alert_payload(told)).decode()


def _sentence(change: Change, standing: Standing) -> str:
    was = f", and was {change.before}" if change.before else ""
    name, where = NAMES[change.measure], _WHERE[change.measure][change.level]
    return f"The {name} is {_percent(change.measure, standing)}: {change.level} ({where}){was}."


def _percent(measure: str, standing: Standing) -> str:
    return f"{rate(measure, standing):.2%}"
