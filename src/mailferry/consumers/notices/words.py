"""What notices say, as mail."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from mailferry.consumers.stats.reading import Counts
from mailferry.resources.domains import COMPLIANT, NON_COMPLIANT, SUSPENDED
from mailferry.resources.notices import Kind, Notice
from mailferry.resources.system_mail import Mail

Facts = Mapping[str, Any]
#: Subject and paragraphs.
Said = tuple[str, list[str]]

_DECIDED = {
    COMPLIANT: (
        "is approved",
        "Its mail leaves without the hourly limit from now on; what was held for it is on its way.",
    ),
    NON_COMPLIANT: (
        "is rejected",
        "Its mail is refused from now on; what was accepted before is held, and nothing of it is lost.",
    ),
    SUSPENDED: ("is suspended", "Its mail is still accepted, and held until the domain is approved again."),
}
_REPLY = "You can answer over the API: POST .../domains/{id}/review."
_RATES: dict[str, Callable[[Counts], float]] = {
    "delivered": lambda counts: counts.delivery_rate,
    "bounced": lambda counts: counts.bounce_rate,
    "complained about": lambda counts: counts.spam_rate,
    "opened": lambda counts: counts.open_rate,
    "clicked": lambda counts: counts.click_rate,
}


def mail(notice: Notice) -> Mail:
    subject, paragraphs = _SAID[notice.kind](notice.domain, notice.facts, notice.at)
    text = "\n\n".join(each for each in paragraphs if each) + "\n"
    return Mail(notice.account_id, f"notice/{notice.id}", notice.recipient, subject, text)


def _decided(domain: str, facts: Facts, at: int) -> Said:
    state = facts["state"]
    is_what, means = _DECIDED.get(state, (f"is now {state}", ""))
    return f"{domain} {is_what}", [
        f"The review of {domain} has come to a decision: it {is_what}.",
        _quoted(facts["reason"]),
        means,
    ]


def _message(domain: str, facts: Facts, at: int) -> Said:
    return f"{domain}: a message about its review", [f"About the review of {domain}:", _quoted(facts["text"]), _REPLY]


def _asked(domain: str, facts: Facts, at: int) -> Said:
    wanted = "Please give the company information of the domain (company_info)." if facts["company_info"] else ""
    questions = [_quoted(each) for each in facts["questions"]]
    return f"{domain}: questions in its review", [
        f"The review of {domain} needs something of you.",
        wanted,
        *questions,
        _REPLY,
    ]


def _fails(domain: str, facts: Facts, at: int) -> Said:
    return f"Webhook {facts['webhook']} fails", [
        f"Nothing was taken by the webhook {facts['webhook']} ({facts['url']}) since {_time(facts['since'])}.",
        f"The last request failed: {facts['error']}.",
        "Nothing is lost: all events wait, and it is asked again and again for as long as the log is kept.\n"
        "You hear of it again when it is back.",
    ]


def _recovered(domain: str, facts: Facts, at: int) -> Said:
    return f"Webhook {facts['webhook']} is back", [
        f"The webhook {facts['webhook']} ({facts['url']}) takes events again since {_time(at)}; "
        f"it had failed since {_time(facts['since'])}. What waited for it is sent now, in its order."
    ]


def _parked(domain: str, facts: Facts, at: int) -> Said:
    return f"Webhook {facts['webhook']} does not take an event", [
        f"The webhook {facts['webhook']} ({facts['url']}) failed on one event again and again while it took others: {facts['error']}.",
        "The event is parked and the later ones of its message wait behind it; all others go on. It is tried again after an\n"
        "hour, and less often then. The webhook's log shows it, and a replay of what is parked tries it at once.\n"
        "You hear of it again when another event is parked after none was.",
    ]


def _health(domain: str, facts: Facts, at: int) -> Said:
    now, before = Counts(**facts["now"]), Counts(**facts["before"])
    monday = date(1970, 1, 1) + timedelta(days=facts["week"])
    lines = [_line("sent", f"{now.sent}", f"{before.sent}")]
    lines += [
        _line(name, f"{rate(now):.2%}", f"{rate(before):.2%}" if before.sent else "-") for name, rate in _RATES.items()
    ]
    return f"{domain}: how its mail did in the week from {monday}", [
        f"Mail from {domain}, accepted from {monday} to {monday + timedelta(days=6)} (UTC), and in the week before:",
        "\n".join([_line("", "this week", "before"), *lines]),
        "Delivered and bounced are shares of what was sent, the others of what was delivered.\n"
        "The domain's health_alerts_enabled ends these mails.",
    ]


def _line(name: str, now: str, before: str) -> str:
    return f"{name:<18}{now:>12}{before:>12}"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def _time(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


_SAID: dict[Kind, Callable[[str, Facts, int], Said]] = {
    Kind.REVIEW_DECIDED: _decided,
    Kind.REVIEW_MESSAGE: _message,
    Kind.REVIEW_ASKED: _asked,
    Kind.WEBHOOK_FAILS: _fails,
    Kind.WEBHOOK_RECOVERED: _recovered,
    Kind.WEBHOOK_PARKED: _parked,
    Kind.HEALTH: _health,
}
