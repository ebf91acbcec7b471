"""Files of export jobs: metrics, which are made at once, and messages, piece by piece."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any

import msgspec
from sqlalchemy import Connection

from mailferry.consumers.stats.reading import Counts
from mailferry.endpoints.ses import metrics, stories
from mailferry.endpoints.ses.metrics import Asked
from mailferry.endpoints.ses.stories import Story
from mailferry.journal import files
from mailferry.journal.files import Form
from mailferry.mail.providers import PROVIDERS
from mailferry.resources import domains
from mailferry.resources.contacts.exports import Piece
from mailferry.resources.contacts.jobs import Job

#: Amazon's, of one file of messages.
MOST = 10_000
#: Recipients looked at for one piece.
PIECE = 500
#: Combinations of dimensions in one file of metrics.
MOST_COMBINED = 100
FORMS = {"CSV": Form.CSV, "JSON": Form.JSONL}
_ALL = "*"
_MESSAGE_COLUMNS = (
    *("MessageId", "SendTimestamp", "FromEmailAddress", "Destination", "Subject", "Isp", "EmailTags"),
    *("LastDeliveryEvent", "LastDeliveryEventTimestamp", "LastEngagementEvent", "LastEngagementEventTimestamp"),
)
_METRIC_COLUMNS = ("Timestamp", "Metric", "Aggregation", "Value")


class Request(msgspec.Struct, frozen=True):
    """``source`` and ``destination`` as the client gave them, times in Unix milliseconds."""

    kind: str
    source: dict[str, Any]
    destination: dict[str, Any]

    @property
    def form(self) -> Form:
        return FORMS[self.destination["DataFormat"]]


class TooManyCombined(ValueError):
    """The dimensions ask for more than :data:`MOST_COMBINED` combinations."""


def metrics_file(connection: Connection, account_id: int, request: Request) -> tuple[bytes, int]:
    """The file, and its rows. Raises `metrics.Uncounted` and :class:`TooManyCombined`."""
    given = request.source
    combined = list(_combined(connection, account_id, given["Dimensions"]))
    if len(combined) > MOST_COMBINED:
        raise TooManyCombined
    found: list[dict[str, Any]] = []
    for dimensions in combined:
        asked = Asked("SEND", given["StartDate"], given["EndDate"], dimensions)
        counted = metrics.counted(connection, account_id, asked)
        for each in given["Metrics"]:
            name, how = each.get("Name", "SEND"), each.get("Aggregation", "VOLUME")
            measure = metrics.rate if how == "RATE" else metrics.value
            for day in asked.days:
                counts = counted.get(day, Counts())
                at = _iso(day * 86_400_000)
                row = {"Timestamp": at, "Metric": name, "Aggregation": how, "Value": measure(name, counts)}
                found.append(row | dimensions)
    columns = (*_METRIC_COLUMNS, *given["Dimensions"])
    return files.head(request.form, columns) + files.body(request.form, columns, found), len(found)


def messages_piece(connection: Connection, job: Job) -> Piece:
    """The next one of the file."""
    request = msgspec.json.decode(job.request, type=Request)
    given = request.source
    found = stories.page(
        connection, job.account_id, given["StartDate"], given["EndDate"], after=job.cursor, limit=PIECE
    )
    room = given.get("MaxResults", MOST) - job.created_count
    chosen = [each for each in found if _wanted(each, given)][:room]
    head = b"" if job.cursor else files.head(request.form, _MESSAGE_COLUMNS)
    content = head + files.body(request.form, _MESSAGE_COLUMNS, map(_row, chosen))
    last = len(found) < PIECE or len(chosen) == room
    return Piece(content, len(chosen), found[-1].recipient_id if found else job.cursor, last)


def _combined(connection: Connection, account_id: int, given: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    values = []
    for name, chosen in given.items():
        if _ALL in chosen and name == "ISP":
            chosen = PROVIDERS
        elif _ALL in chosen and name == "EMAIL_IDENTITY":
            chosen = sorted({each.name for each in domains.of_account(connection, account_id)})
        values.append(chosen)
    return (dict(zip(given, each, strict=True)) for each in product(*values))


def _wanted(story: Story, given: Mapping[str, Any]) -> bool:
    include, exclude = given.get("Include", {}), given.get("Exclude", {})
    return all(_matches(story, name, words) for name, words in include.items() if words) and not any(
        _matches(story, name, words) for name, words in exclude.items()
    )


def _matches(story: Story, name: str, words: Sequence[str]) -> bool:
    own = {
        "FromEmailAddress": story.sender,
        "Destination": story.address,
        "Subject": story.subject,
        "Isp": story.isp,
        "LastDeliveryEvent": story.last_delivery,
        "LastEngagementEvent": story.last_engagement,
    }.get(name, "")
    return own.casefold() in {word.casefold() for word in words}


def _row(story: Story) -> dict[str, Any]:
    delivery = next((each for each in reversed(story.events) if each.delivery), None)
    engagement = next((each for each in reversed(story.events) if each.type in ("OPEN", "CLICK")), None)
    return {
        "MessageId": story.public_id,
        "SendTimestamp": _iso(story.created_at),
        "FromEmailAddress": story.sender,
        "Destination": story.address,
        "Subject": story.subject,
        "Isp": story.isp,
        "EmailTags": dict(story.tags),
        "LastDeliveryEvent": story.last_delivery,
        "LastDeliveryEventTimestamp": _iso(delivery.at) if delivery else "",
        "LastEngagementEvent": story.last_engagement,
        "LastEngagementEventTimestamp": _iso(engagement.at) if engagement else "",
    }


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
