"""What became of a submission, in the metrics and in the log."""

import structlog

from mailferry import metrics
from mailferry.intake.environment import Way
from mailferry.intake.submission import Refused, Submission

log = structlog.get_logger(__name__)


def record(submission: Submission, way: Way | Refused) -> None:
    """The log has the ids by which a message is followed."""
    facts = {"endpoint": submission.endpoint, "client_ip": submission.client_ip, "token_id": submission.token_id}
    if isinstance(way, Way):
        told = {"message_id": way.told.message_id, "recipient_ids": way.told.recipient_ids}
        if way.draft is None:  # the sandbox counts it
            log.info("caught_by_environment", **told, **facts)
            return
        metrics.ACCEPTED.labels(submission.endpoint, submission.stream).inc()
        log.info("accepted", **told, **facts)
        return
    for refusal in way.refusals:
        metrics.REFUSED.labels(submission.endpoint, refusal.reason).inc()
    first = way.refusals[0]
    log.info("refused", reason=first.reason, detail=first.detail, refusals=len(way.refusals), **facts)
