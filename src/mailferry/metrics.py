"""Every metric once, as Prometheus knows them; /metrics on a loopback listener shows them."""

from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Iterable, Mapping

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

ACCEPTED = Counter("mailferry_accepted_total", "Messages accepted, by endpoint and stream.", ["endpoint", "stream"])
REFUSED = Counter("mailferry_refused_total", "Refusals, by endpoint and reason.", ["endpoint", "reason"])
SETTLED = Counter(
    "mailferry_settled_total", "Attempts and decisions settled, by the recipient's state afterwards.", ["state"]
)
ATTEMPT_SECONDS = Histogram(
    "mailferry_attempt_seconds",
    "Seconds of one delivery attempt, by transport.",
    ["transport"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
QUEUE = Gauge("mailferry_queue_recipients", "Recipients that wait, by state.", ["state"])
OLDEST = Gauge("mailferry_queue_oldest_seconds", "Age of the oldest recipient that waits.")
COMMIT_GROUPS = Gauge("mailferry_commit_groups", "Transactions of the writer since the start.")
COMMIT_ITEMS = Gauge("mailferry_commit_items", "Items in those transactions.")
HTTP_SECONDS = Histogram(
    "mailferry_http_seconds",
    "Seconds of one HTTP request, by status class.",
    ["status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
ALERTS = Counter(
    "mailferry_deliverability_alerts_total",
    "Times that a domain's bounce or spam rate came to another level, by measure and level.",
    ["measure", "level"],
)
SMTP_SESSIONS = Gauge("mailferry_smtp_sessions", "SMTP sessions open now.")
POP3_SESSIONS = Gauge("mailferry_pop3_sessions", "POP3 sessions open now.")
CURSOR_LAG = Gauge("mailferry_cursor_lag_seconds", "Age of the oldest event that a follower has not read.", ["cursor"])
CURSOR_DEAD = Gauge(
    "mailferry_cursor_dead", "1: nobody has read for a week, and the log is not kept for it any more.", ["cursor"]
)
WEBHOOK_REQUESTS = Counter("mailferry_webhook_requests_total", "Requests to webhooks, by outcome.", ["outcome"])
WEBHOOK_EVENTS = Gauge("mailferry_webhook_events", "Events that wait to be sent to webhooks, by state.", ["state"])
WEBHOOK_OLDEST = Gauge("mailferry_webhook_oldest_seconds", "How long the first of them has waited.")
WEBHOOK_EXPIRED = Counter("mailferry_webhook_expired_total", "Events that could not be sent while the log was kept.")


class SesEvents(Collector):
    """``mailferry_ses_events_total``: counted by labels that accounts choose, which Prometheus keeps for ever.

    So an account has MOST sets of them; what comes beyond is counted with OTHER in their place.
    """

    MOST = 500
    OTHER = "(other)"

    def __init__(self) -> None:
        self._found: Counts[tuple[str, str, tuple[tuple[str, str], ...]]] = Counts()
        self._known: defaultdict[str, set[tuple[tuple[str, str], ...]]] = defaultdict(set)

    def count(self, account: str, event: str, chosen: Mapping[str, str]) -> None:
        """``chosen``: further labels."""
        labels, known = tuple(sorted(chosen.items())), self._known[account]
        if labels not in known and len(known) >= self.MOST:
            labels = tuple((name, self.OTHER) for name, _ in labels if not name.startswith("dimension_"))
        else:
            known.add(labels)
        self._found[account, event, labels] += 1

    def collect(self) -> Iterable[Metric]:
        found = Metric("mailferry_ses_events", "Events for CloudWatch destinations of configuration sets.", "counter")
        for (account, event, labels), count in sorted(self._found.items()):
            found.add_sample(f"{found.name}_total", {"account": account, "event": event, **dict(labels)}, count)
        yield found


SES_EVENTS = SesEvents()
REGISTRY.register(SES_EVENTS)
