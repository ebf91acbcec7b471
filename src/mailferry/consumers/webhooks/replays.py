"""Sends a range of the journal to a webhook once more: asked for in one moment, worked on piece by piece."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from mailferry.consumers.ses.publishing import Publisher
from mailferry.consumers.webhooks import gather, pending
from mailferry.journal import follow
from mailferry.journal.follow import Cursor
from mailferry.resources import webhooks
from mailferry.resources.webhooks import Webhook
from mailferry.store.database import Database
from mailferry.store.schema import events, webhook_replays

#: Events looked at in one piece.
PIECE = 2_000
#: Ids follow their times but for the moments between a clock's reading and its commit.
SLACK_MS = 60_000


@dataclass(frozen=True, slots=True)
class Replay:
    id: int
    webhook_id: int
    #: Unix milliseconds, both included.
    from_at: int
    until_at: int
    after_id: int
    last_id: int
    queued: int
    created_at: int
    #: 0 = not yet.
    done_at: int


def start(connection: Connection, webhook: Webhook, from_at: int, until_at: int, now: int) -> Replay:
    """All events of that time that the webhook would be told of as it is now, whether it was told of them or not."""
    values = {
        "webhook_id": webhook.id,
        "from_at": from_at,
        "until_at": until_at,
        "after_id": follow.first_at(connection, from_at) - 1,
        "last_id": connection.execute(select(func.coalesce(func.max(events.c.id), 0))).scalar_one(),
        "created_at": now,
    }
    row = connection.execute(insert(webhook_replays).values(values).returning(*_COLUMNS)).one()
    webhooks.touch(connection, webhook, now)
    return _replay(row)


def of_webhook(connection: Connection, webhook_id: int) -> list[Replay]:
    """Newest first."""
    chosen = select(*_COLUMNS).where(webhook_replays.c.webhook_id == webhook_id).order_by(webhook_replays.c.id.desc())
    return [_replay(row) for row in connection.execute(chosen.limit(100))]


class Replayer:
    def __init__(self, database: Database, publisher: Publisher, clock: Callable[[], int]) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock

    async def work(self, held: Cursor) -> int | None:
        """A piece of the first one that is not done; the webhook it is for, None: there is nothing to do."""
        found = await self._database.read(lambda connection: _piece(connection, self._publisher, self._clock()))
        if found is None:
            return None
        replay, after_id, deliveries, done = found
        now = self._clock()

        def write(connection: Connection) -> None:
            if not follow.is_held(connection, held):
                return
            mine = (webhook_replays.c.id == replay.id, webhook_replays.c.after_id == replay.after_id)
            values = {"after_id": after_id, "queued": replay.queued + len(deliveries), "done_at": now if done else 0}
            if connection.execute(update(webhook_replays).where(*mine).values(values)).rowcount == 1:
                pending.put(connection, deliveries)

        await self._database.write(write)
        return replay.webhook_id


def _piece(
    connection: Connection, publisher: Publisher, now: int
) -> tuple[Replay, int, list[dict[str, Any]], bool] | None:
    table = webhook_replays
    row = connection.execute(select(*_COLUMNS).where(table.c.done_at == 0).order_by(table.c.id).limit(1)).one_or_none()
    if row is None:
        return None
    replay = _replay(row)
    webhook = webhooks.by_id(connection, replay.webhook_id)
    if webhook is None:
        return replay, replay.after_id, [], True
    window = connection.execute(
        select(events)
        .where(events.c.id > replay.after_id, events.c.id <= replay.last_id)
        .order_by(events.c.id)
        .limit(PIECE)
    ).all()
    wanted = [each for each in window if replay.from_at <= each.at <= replay.until_at]
    done = len(window) < PIECE or window[-1].at > replay.until_at + SLACK_MS
    after_id = window[-1].id if window else replay.after_id
    return (
        replay,
        after_id,
        gather.worded(connection, publisher, [webhook], wanted, now, replayed=True).deliveries,
        done,
    )


_COLUMNS = [webhook_replays.c[name] for name in Replay.__dataclass_fields__]


def _replay(row: Row[Any]) -> Replay:
    return Replay(**row._asdict())
