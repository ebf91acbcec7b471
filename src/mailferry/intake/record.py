"""What became of a submission, in the metrics and in the log."""

import structlog

from mailferry import metrics
from mailferry.intake.submission import Accepted, Refused, Submission

log = structlog.get_logger(__name__)


def record(submission: Submission, result: Accepted | Refused) -> None:
    """The log has the ids by which a message is followed."""
    facts = {"endpoint": submission.endpoint, "client_ip": submission.client_ip, "token_id": submission.token_id}
    if isinstance(result, Accepted):
        metrics.ACCEPTED.labels(submission.endpoint, submission.stream).inc()
        log.info("accepted", message_id=result.message_id, recipient_ids=result.recipient_ids, **facts)
        return
    for refusal in result.refusals:
        metrics.REFUSED.labels(submission.endpoint, refusal.reason).inc()
    first = result.refusals[0]
    log.info("refused", reason=first.reason, detail=first.detail, refusals=len(result.refusals), **facts)
