"""Every metric once, as Prometheus knows them; /metrics on a loopback listener shows them."""

from prometheus_client import Counter, Gauge, Histogram

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
SMTP_SESSIONS = Gauge("mailferry_smtp_sessions", "SMTP sessions open now.")
