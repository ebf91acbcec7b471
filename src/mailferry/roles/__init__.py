"""The one place that builds things, and says which role runs what.

``api`` HTTP endpoints, ``smtp`` submission, ``delivery`` the worker, ``consumers`` what follows the journal (webhooks,
statistics, alerts, notices), ``housekeeping`` what must be done now and then. ``serve`` runs all of them in one event loop; on
PostgreSQL each may run in processes of its own.
"""

import asyncio
import gc
import resource
import signal
from collections.abc import Callable
from random import Random

import structlog
from sqlalchemy import Connection

from mailferry import first_run, readiness
from mailferry.config import Config
from mailferry.consumers.alerts.watch import Alerts
from mailferry.consumers.notices.send import Notices
from mailferry.consumers.ses.publishing import Publisher
from mailferry.consumers.stats.counter import Counter
from mailferry.consumers.webhooks.post import Poster
from mailferry.consumers.webhooks.service import Webhooks
from mailferry.credentials import DEMO_DOMAIN
from mailferry.delivery import queue as queues
from mailferry.delivery.job import HandoffBudget
from mailferry.delivery.transports.simulator import Simulator
from mailferry.delivery.worker import Worker
from mailferry.ending import ALARM_SECONDS, DATABASE_SECONDS, Ending
from mailferry.endpoints.operations.lookups import Lookups
from mailferry.endpoints.operations.tools import Tools
from mailferry.feedback.hits import Hits
from mailferry.house import House, at_start, open_house, ticks
from mailferry.housekeeping import Housekeeping
from mailferry.intake.accept import Intake
from mailferry.intake.checks import Limits
from mailferry.intake.keep import Keeper
from mailferry.intake.quotas import Quotas
from mailferry.journal.ids import Ids
from mailferry.journal.recent import Recent
from mailferry.listening import Listening
from mailferry.net.guard import Guard
from mailferry.net.http import HttpClient
from mailferry.resources.access_keys import AccessKeys
from mailferry.resources.accounts import any_account
from mailferry.resources.documents import DocumentBook
from mailferry.resources.domains import fresh_keys
from mailferry.resources.notification_keys import NotificationKeys
from mailferry.resources.system_mail import Send
from mailferry.resources.tokens import Credentials
from mailferry.resources.users import hash_password
from mailferry.roles.delivery import Delivery
from mailferry.roles.doors import Doors
from mailferry.roles.mail import SystemMail
from mailferry.sandbox.arrivals import Arrivals
from mailferry.sandbox.capture import Sandbox

log = structlog.get_logger(__name__)


async def serve(config: Config, announce: Callable[[Config], None]) -> None:
    """Run the roles until SIGTERM or SIGINT. ``announce`` is called when everything listens."""
    _allow_many_files()
    stop, ending = asyncio.Event(), Ending()

    def end() -> None:
        ending.begin()
        # The kernel's own: no thread of ours runs any more while the interpreter takes itself apart.
        signal.setitimer(signal.ITIMER_REAL, ALARM_SECONDS)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    async with open_house(config) as house:
        await at_start(config, lambda: furnish(house))
        parts = Parts(house, ending)
        try:
            await parts.start()
            readiness.tell(readiness.READY)
            announce(config)
            log.info("started", roles=config["server.roles"], database=house.database.dialect, boot=house.boot)
            await stop.wait()
            readiness.tell(readiness.STOPPING)
            log.info("stopping")
        finally:
            await parts.close()
            await house.database.close(ending.left(DATABASE_SECONDS))
    log.info("stopped")
    gc.freeze()  # or the interpreter searches all that was ever loaded for garbage: a quarter of a second


async def furnish(house: House) -> None:
    """What a first start makes; nothing on any other."""
    if await house.database.read(any_account):
        return
    keys = await asyncio.to_thread(fresh_keys)
    password = first_run.new_password()
    hashed = await asyncio.to_thread(hash_password, password)

    def make(connection: Connection) -> None:
        made = first_run.furnish(connection, house.sealer, keys, password, hashed, house.clock())
        if made is not None:
            # Before the commit: a crash between the two would leave an account whose token nobody knows. After it the
            # next start makes all of it anew, and writes the file again.
            first_run.remember(house.data_dir, made)

    await house.database.write(make)


class Parts:
    """All that runs in this process. Started in order, closed in the opposite one."""

    def __init__(self, house: House, ending: Ending) -> None:
        self._house = house
        self._ending = ending
        self._config = house.config
        self._roles = frozenset(house.config["server.roles"])
        self._simulator = Simulator(DEMO_DOMAIN)
        self._hits = Hits(house.database, Ids(house.clock), house.clock)
        self._notification_keys = NotificationKeys(house.database, house.sealer, house.clock)
        self._worker: Worker | None = None

    async def start(self) -> None:
        house, config, ending = self._house, self._config, self._ending
        listening = Listening(house, self._roles)
        ending.task("clock", house.clock.keep(house.database, queues.move))
        ending.task("certificates", listening.tend())
        guard = Guard(config["net.allow_private"], listening.own_addresses)
        poster, counter = self._poster(guard), Counter(house.database, house.clock)
        budget = None
        if "delivery" in self._roles:
            delivery = Delivery(house, ending, listening, guard, self._simulator)
            budget = delivery.budget()
            self._worker = await delivery.start(self._hits, budget)
        documents = DocumentBook(house.database, ticks)  # what is changed over one way in is known to all at once
        arrivals = Arrivals(house.database if house.database.dialect == "postgresql" else None)
        sandbox = Sandbox(house.database, house.captured, Ids(house.clock), house.clock, arrivals.note)
        intake = self._intake(budget, documents, sandbox)
        send_mail = SystemMail(house.database, intake).send
        if "consumers" in self._roles:
            self._serve_webhooks(poster)
            ending.task("statistics", counter.run())
            ending.task("alerts", Alerts(house.database, house.clock, send_mail).run())
            ending.task("notices", Notices(house.database, house.clock, send_mail).run())
        credentials = Credentials(house.database, house.clock, ticks)
        keys = AccessKeys(house.database, house.sealer, house.clock, ticks)
        tools = self._tools(listening, credentials, keys, poster, counter, send_mail, documents)
        doors = Doors(house, ending, listening, documents, sandbox, arrivals)
        await self._open_doors(doors, intake, credentials, keys, tools)
        if "housekeeping" in self._roles:
            ending.task("housekeeping", Housekeeping(tools, house.content, house.clock.grown, house.captured).run())

    async def close(self) -> None:
        await self._ending.close()

    async def _open_doors(
        self, doors: Doors, intake: Intake, credentials: Credentials, keys: AccessKeys, tools: Tools
    ) -> None:
        if "api" in self._roles:
            lookups = Lookups(tools, ticks)
            self._ending.part("look-ups", lookups.close)
            await doors.open_http(intake, credentials, keys, self._notification_keys, lookups, tools, self._hits)
        if "smtp" in self._roles:
            await doors.open_smtp(intake, credentials, keys, self._notification_keys, tools)
            await doors.open_pop3()
        await doors.open_control(tools)
        if text := self._config["metrics.listen"]:
            await doors.open_metrics(text)

    def _tools(
        self,
        listening: Listening,
        credentials: Credentials,
        keys: AccessKeys,
        poster: Poster,
        counter: Counter,
        send_mail: Send,
        documents: DocumentBook,
    ) -> Tools:
        house = self._house
        return Tools(
            database=house.database,
            content=house.content,
            sealer=house.sealer,
            book=house.book,
            resolver=house.resolver,
            config=house.config,
            hostname=house.hostname,
            clock=house.clock,
            wake=self._worker.wake if self._worker else lambda: None,
            reload_hosts=listening.reload,
            poster=poster,
            counter=counter,
            forget_tokens=credentials.forget,
            forget_keys=keys.forget,
            forget_documents=documents.forget,
            send_mail=send_mail,
        )

    def _poster(self, guard: Guard) -> Poster:
        client = HttpClient(self._house.resolver, guard)
        self._ending.part("http client", client.close)
        house = self._house
        any_port = self._config["net.allow_private"]
        return Poster(client, house.sealer, house.clock, self._notification_keys.signing, any_port=any_port)

    def _serve_webhooks(self, poster: Poster) -> None:
        database, days = self._house.database, self._config["retention.logs_days"]
        publisher = Publisher(self._house.content, self._house.hostname)
        jitter = Random()  # noqa: S311
        served = Webhooks(database, poster, publisher, self._house.clock, jitter, logs_days=days)
        database.writer.after_commit = served.wake
        # Closed in the opposite order: first nothing new is begun, then what is under way ends.
        self._ending.part("requests to webhooks", served.close)
        self._ending.task("webhooks", served.run())

    def _intake(self, budget: HandoffBudget | None, documents: DocumentBook, sandbox: Sandbox) -> Intake:
        house, config = self._house, self._config
        keeper = Keeper(
            house.content,
            house.clock,
            boot=house.boot,
            budget=budget,
            hourly=config["limits.new_domain_hourly"],
            expire_ms=config["delivery.expire_hours"] * 3_600_000,
        )
        return Intake(
            house.database,
            keeper,
            house.book,
            Ids(house.clock),
            house.clock,
            Limits(),
            Quotas(documents, Recent(house.database, house.clock), ticks),
            documents,
            sandbox.capture,
            simulated=self._simulator.is_simulated,
            hand_over=self._worker.hand_over if self._worker else lambda jobs: None,
        )


def _allow_many_files() -> None:
    """Every connection is a file descriptor, and many systems start programs with 1,024 of those they may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
