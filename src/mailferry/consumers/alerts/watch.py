"""Looks at every sending domain each three hours, keeps how well it does, and tells of what has changed.

Judging, keeping and what webhooks are to be told are one transaction, which the first of several nodes wins. What its owner
was told by mail is kept after the mail was accepted, under a key that is good for one mail: whoever dies in between, it is
sent, and sent once.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

import structlog
from sqlalchemy import Connection

from mailferry import metrics
from mailferry.consumers.alerts import judge, words
from mailferry.consumers.alerts.judge import Change
from mailferry.consumers.stats import reading
from mailferry.consumers.stats.reading import Counts
from mailferry.consumers.stats.tally import HOUR_MS
from mailferry.consumers.webhooks import pending
from mailferry.journal.events import Kind
from mailferry.resources import domain_alerts, webhooks
from mailferry.resources.domain_alerts import Level, Watched
from mailferry.resources.system_mail import Send
from mailferry.resources.webhooks import Webhook
from mailferry.store.database import Database

log = structlog.get_logger(__name__)

#: Mailtrap's: how often a domain is looked at, and by how much of its mail it is judged.
EVERY_MS = 3 * HOUR_MS
DAY_HOURS, WEEK_HOURS = 24, 7 * 24
#: Seconds between two looks for domains whose time has come.
PAUSE_SECONDS = 60.0

Changed = list[tuple[Watched, list[Change]]]


class Alerts:
    def __init__(self, database: Database, clock: Callable[[], int], send: Send) -> None:
        self._database = database
        self._clock = clock
        self._send = send

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.step()
            except Exception:
                # The database may be away; what was not looked at or told stays due.
                log.warning("domains_not_watched", exc_info=True)
            await asyncio.sleep(PAUSE_SECONDS)

    async def step(self) -> None:
        """Look at all domains whose time has come, then tell what is not told yet."""
        now = self._clock()
        while found := await self._database.read(lambda c: domain_alerts.due(c, now - EVERY_MS, now)):
            for account_id, some in groupby(found, key=lambda watched: watched.account_id):
                await self._look(account_id, list(some), now)
        after = 0
        while untold := await self._database.read(partial(domain_alerts.untold, after=after)):
            for watched in untold:
                await self._try_to_tell(watched)
            after = untold[-1].domain_id

    async def _look(self, account_id: int, some: Sequence[Watched], now: int) -> None:
        day, week = await self._database.read(partial(_counted, account_id, now // HOUR_MS))
        looked = [(each, day.get(each.domain_id, Counts()), week.get(each.domain_id, Counts())) for each in some]
        for watched, changed in await self._database.write(partial(_keep, looked, now)):
            for change in changed:
                metrics.ALERTS.labels(change.measure, change.level).inc()
                # Not `level`, which is the log line's own.
                told = {"measure": change.measure, "now": str(change.level), "before": change.before}
                log.info(
                    "deliverability_changed",
                    account_id=watched.account_id,
                    domain=watched.name,
                    rate=judge.rate(change.measure, watched.standing),
                    **told,
                )

    async def _try_to_tell(self, watched: Watched) -> None:
        try:
            await self._tell(watched)
        except Exception:  # it stays due, and does not keep the others'
            log.warning("alert_not_told", account_id=watched.account_id, domain=watched.name, exc_info=True)

    async def _tell(self, watched: Watched) -> None:
        standing = watched.standing
        told = (standing.told_bounce_level, standing.told_spam_level)
        changed = judge.changes(told, (standing.bounce_level, standing.spam_level))
        # Nobody wants to know any more, or it is what it was again.
        if watched.enabled and changed:
            refused = await self._send(words.mail(watched, changed))
            if refused:
                log.warning("alert_not_mailed", account_id=watched.account_id, domain=watched.name, reason=refused)
        await self._database.write(lambda connection: domain_alerts.told(connection, watched))


def _counted(account_id: int, hour: int, connection: Connection) -> tuple[dict[int, Counts], dict[int, Counts]]:
    """By domain, of a day and of a week, the hour that goes on included."""
    day, week = (reading.of_hours(connection, account_id, hour - hours + 1, hour) for hours in (DAY_HOURS, WEEK_HOURS))
    return day, week


def _keep(looked: Sequence[tuple[Watched, Counts, Counts]], now: int, connection: Connection) -> Changed:
    found: Changed = []
    for watched, day, week in looked:
        judged = _judged(watched, day, week, now)
        if not domain_alerts.keep(connection, watched, now, judged) or not judged:
            continue
        before = (watched.standing.bounce_level, watched.standing.spam_level)
        changed = judge.changes(before, (judged["bounce_level"], judged["spam_level"]))
        if changed:
            found.append((replace(watched, standing=replace(watched.standing, **judged)), changed))
    _queue(connection, found, now)
    return found


def _judged(watched: Watched, day: Counts, week: Counts, now: int) -> dict[str, Any]:
    """Values of the row; none where too little was sent."""
    levels = judge.levels(day, week)
    if levels is None:
        return {}
    standing = watched.standing
    values: dict[str, Any] = {name: getattr(day, name) for name in ("sent", "bounced", "delivered", "spam")}
    values |= {"bounce_level": levels[0], "spam_level": levels[1], "judged_at": now}
    if levels != (standing.bounce_level, standing.spam_level):
        values["changed_at"] = now
    for name in ("bounce_level", "spam_level"):
        told = getattr(standing, f"told_{name}")
        if not watched.enabled or (not told and values[name] == Level.GREEN):
            values[f"told_{name}"] = values[name]
    return values


def _queue(connection: Connection, found: Changed, now: int) -> None:
    """For the webhooks that ask for it; the sender finds it within a minute."""
    for account_id in {watched.account_id for watched, _ in found if watched.enabled}:
        asking = [each for each in webhooks.of_account(connection, account_id) if Kind.ALERT in each.kinds]
        pending.put(
            connection,
            [
                _delivery(webhook, watched, change, now)
                for watched, changed in found
                if watched.enabled
                for change in changed
                for webhook in asking
                if webhook.domain_id in (0, watched.domain_id)
            ],
        )


def _delivery(webhook: Webhook, watched: Watched, change: Change, now: int) -> dict[str, Any]:
    return {
        "webhook_id": webhook.id,
        # Of no event of the journal, and of no message: a domain's alerts arrive in their order.
        "event_id": 0,
        "message_id": f"domain {watched.domain_id}",
        "kind": Kind.ALERT,
        "at": now,
        "payload": words.payload(watched, change, now),
        "replayed": False,
        "created_at": now,
    }
