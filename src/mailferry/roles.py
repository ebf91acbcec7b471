"""The one place that builds things, and says which role runs what.

``api`` HTTP endpoints, ``smtp`` submission, ``delivery`` the worker, ``consumers`` what follows the journal (webhooks, statistics),
``housekeeping`` what must be done now and then.
``serve`` runs all of them in one event loop; on PostgreSQL each may run in processes of its own.
"""

import asyncio
import contextlib
import errno
import gc
import os
import resource
import signal
import ssl
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

import structlog
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from mailferry import first_run, readiness
from mailferry.config import BY_KEY, Config, parse_host_port, parse_listen
from mailferry.consumers.stats.counter import Counter
from mailferry.consumers.webhooks.post import Poster
from mailferry.consumers.webhooks.service import Webhooks
from mailferry.delivery import queue as queues
from mailferry.delivery.carrier import Carrier
from mailferry.delivery.claim import Claimer
from mailferry.delivery.job import HandoffBudget
from mailferry.delivery.prepare import Preparer
from mailferry.delivery.settle import Settler
from mailferry.delivery.signing import Signers
from mailferry.delivery.tracking import Tracker
from mailferry.delivery.transports.mx import Mx
from mailferry.delivery.transports.pool import Pool
from mailferry.delivery.transports.relay import Relay
from mailferry.delivery.transports.simulator import Simulator
from mailferry.delivery.transports.transport import Transport
from mailferry.delivery.worker import Worker
from mailferry.ending import ALARM_SECONDS, DATABASE_SECONDS, Ending
from mailferry.endpoints.fallback import not_served
from mailferry.endpoints.front import front
from mailferry.endpoints.hosts import Hosts
from mailferry.endpoints.listeners import Listener, bind
from mailferry.endpoints.mailtrap import app as mailtrap
from mailferry.endpoints.mailtrap.body import BodyBudget
from mailferry.endpoints.mailtrap.deps import Deps
from mailferry.endpoints.mailtrap.rates import Rates
from mailferry.endpoints.operations import health
from mailferry.endpoints.operations.control import Control
from mailferry.endpoints.operations.lookups import Lookups
from mailferry.endpoints.operations.tools import Tools
from mailferry.endpoints.smtp import server as smtp
from mailferry.endpoints.smtp.limits import Limits as SmtpLimits
from mailferry.endpoints.smtp.submission import SubmissionBackend
from mailferry.endpoints.tracking import app as tracking
from mailferry.feedback.hits import Hits
from mailferry.feedback.simulated import Simulated
from mailferry.house import House, open_house, ticks
from mailferry.housekeeping import Housekeeping
from mailferry.intake.accept import Intake
from mailferry.intake.checks import Limits
from mailferry.intake.keep import Keeper
from mailferry.intake.render import Renderer
from mailferry.journal.ids import Ids
from mailferry.listening import Listening, own_hosts
from mailferry.mail import links
from mailferry.net import smtp as smtp_client
from mailferry.net.guard import Guard
from mailferry.net.hosts import trusted_networks
from mailferry.net.http import HttpClient
from mailferry.resources.accounts import any_account, hash_password
from mailferry.resources.dns_records import Operator
from mailferry.resources.domains import fresh_keys
from mailferry.resources.tokens import Credentials
from mailferry.resources.tracking_hosts import TrackingHosts
from mailferry.resources.tracking_opt_outs import OptOutBook

log = structlog.get_logger(__name__)

#: SIGTERM ends the process within ten seconds (see ending.py): listeners get four, running attempts the next.
ATTEMPT_GRACE = 3.5
SMTP_GRACE = 4.0


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
        await furnish(house)
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
        self._simulator = Simulator(first_run.DEMO_DOMAIN)
        self._worker: Worker | None = None
        self._counter = Counter(house.database, house.clock)
        self._hits = Hits(house.database, Ids(house.clock), house.clock)

    async def start(self) -> None:
        house, config = self._house, self._config
        listening = Listening(house, self._roles)
        self._spawn("clock", house.clock.keep(house.database, queues.move))
        self._spawn("certificates", listening.tend())
        guard = Guard(config["net.allow_private"], listening.own_addresses)
        poster = self._poster(guard)
        budget = self._budget()
        if "delivery" in self._roles:
            self._worker = await self._start_worker(listening, guard, budget)
        if "consumers" in self._roles:
            self._start_webhooks(poster)
            self._spawn("statistics", self._counter.run())
        intake = self._intake(budget)
        credentials = Credentials(house.database, house.clock, ticks)
        tools = self.tools(listening, credentials, poster)
        if "api" in self._roles:
            lookups = Lookups(tools, ticks)
            self._ending.part("look-ups", lookups.close)
            await self._start_http(listening, intake, credentials, lookups, poster)
        if "smtp" in self._roles:
            await self._start_smtp(listening, intake, credentials)
        await self._start_control(tools)
        if "housekeeping" in self._roles:
            self._spawn("housekeeping", Housekeeping(tools, house.content, house.clock.grown).run())
        if text := config["metrics.listen"]:
            await self._listen(
                "metrics.listen", text, health.metrics_app(house.database, house.content, house.clock), None
            )

    async def close(self) -> None:
        await self._ending.close()

    def tools(self, listening: Listening, credentials: Credentials, poster: Poster) -> Tools:
        house = self._house
        return Tools(
            database=house.database,
            sealer=house.sealer,
            book=house.book,
            resolver=house.resolver,
            config=house.config,
            hostname=house.hostname,
            clock=house.clock,
            wake=self._worker.wake if self._worker else lambda: None,
            reload_hosts=listening.reload,
            poster=poster,
            counter=self._counter,
            forget_tokens=credentials.forget,
        )

    # --- delivery --------------------------------------------------------------------------------------------------

    def _budget(self) -> HandoffBudget | None:
        if "delivery" not in self._roles:
            return None
        return HandoffBudget(self._config["delivery.handoff_messages"], self._config["delivery.handoff_memory"])

    async def _start_worker(self, listening: Listening, guard: Guard, budget: HandoffBudget | None) -> Worker:
        house, config = self._house, self._config
        simulated = Simulated(
            self._hits, house.database, house.clock, link_keys=house.link_keys, return_path_key=house.return_path_key
        )
        self._simulator.react = simulated.react
        self._ending.part("simulator", simulated.close)
        processes = config["delivery.signers"]
        signers = Signers(_cores() if processes < 0 else processes)
        await signers.start()
        self._ending.part("signers", signers.close)
        preparer = Preparer(
            house.book,
            house.sealer,
            signers,
            house.clock,
            hostname=house.hostname,
            tracker=self._tracker(listening),
            opt_outs=OptOutBook(house.database, ticks),
        )
        carrier = Carrier(
            preparer,
            house.book,
            self._transport(guard),
            self._simulator,
            house.clock,
            return_path_key=house.return_path_key,
        )
        self._ending.part("connections", carrier.close)
        first_retry_ms = config["delivery.retry_seconds"] * 1000
        settler = Settler(
            house.database,
            Ids(house.clock),
            house.clock,
            Random(),  # noqa: S311  # jitter
            first_retry_ms=first_retry_ms,
            grown=house.clock.grown,
        )
        worker = Worker(
            house.database,
            house.content,
            Claimer(house.clock, boot=house.boot, hourly=config["limits.new_domain_hourly"]),
            carrier,
            settler,
            house.clock,
            boot=house.boot,
            budget=budget,
            connections=config["delivery.connections"],
        )
        running = asyncio.create_task(worker.run())

        async def close() -> None:
            await worker.close(ATTEMPT_GRACE)
            await running

        self._ending.part("worker", close)
        return worker

    def _tracker(self, listening: Listening) -> Tracker:
        house, config = self._house, self._config
        url = config["tracking.url"] or config["server.public_url"]
        if not url:
            log.warning(
                "mail_not_tracked", needed="[tracking] url or [server] public_url", still="the simulator's mail is"
            )
        number = max(house.link_keys)
        return Tracker(
            links.Key(number, house.link_keys[number]),
            url=url,
            local=_local_url(config),
            scheme_of=listening.scheme_of,
            simulated=self._simulator.is_simulated,
        )

    # --- consumers -------------------------------------------------------------------------------------------------

    def _poster(self, guard: Guard) -> Poster:
        client = HttpClient(self._house.resolver, guard)
        self._ending.part("http client", client.close)
        return Poster(client, self._house.sealer, self._house.clock, any_port=self._config["net.allow_private"])

    def _start_webhooks(self, poster: Poster) -> None:
        database, days = self._house.database, self._config["retention.logs_days"]
        served = Webhooks(database, poster, self._house.clock, Random(), logs_days=days)  # noqa: S311  # jitter
        database.writer.after_commit = served.wake
        # Closed in the opposite order: first nothing new is begun, then what is under way ends.
        self._ending.part("requests to webhooks", served.close)
        self._spawn("webhooks", served.run())

    def _transport(self, guard: Guard) -> Transport:
        house, config = self._house, self._config
        common: dict[str, Any] = {
            "resolver": house.resolver,
            "guard": guard,
            "clock": ticks,
            "rng": Random(),  # noqa: S311  # hosts of equal preference are shuffled
            "helo": house.hostname,
            "local_ip": config["delivery.local_address"],
            "pool": Pool(connections=config["delivery.connections"], attempts=config["delivery.attempts"]),
        }
        if config["delivery.transport"] == "mx":
            return Mx(port=config["delivery.smtp_port"], own_hosts=own_hosts(house), **common)
        host, port = parse_host_port(config["relay.host"])
        user = config["relay.username"]
        return Relay(
            host,
            port,
            tls=config["relay.tls"],
            context=_relay_context(config),
            credentials=smtp_client.Credentials(user, config["relay.password"]) if user else None,
            **common,
        )

    # --- the ways in -----------------------------------------------------------------------------------------------

    def _intake(self, budget: HandoffBudget | None) -> Intake:
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
            simulated=self._simulator.is_simulated,
            hand_over=self._worker.hand_over if self._worker else lambda jobs: None,
        )

    async def _start_http(
        self, listening: Listening, intake: Intake, credentials: Credentials, lookups: Lookups, poster: Poster
    ) -> None:
        house, config = self._house, self._config
        deps = Deps(
            intake=intake,
            credentials=credentials,
            db=house.database,
            clock=house.clock,
            log=structlog.get_logger("mailferry.endpoints.mailtrap"),
            budget=BodyBudget(config["http.body_memory"]),
            rates=Rates(ticks, config["limits.api_rate"]),
            sealer=house.sealer,
            operator=Operator(house.hostname, config["dns.zone"]),
            forget_domains=house.book.forget,
            look_up_domain=lookups.ask,
            renderer=Renderer(house.database, ticks),
            max_templates=config["limits.templates"],
            poster=poster,
        )
        well = Route("/health", health.route(house.database, house.content, house.clock))
        site = tracking.Deps(self._hits, house.link_keys, house.database, house.book, house.clock)
        routes = [Route("/", front), well, *tracking.routes(site), *mailtrap.routes(deps)]
        app = Starlette(routes=routes, exception_handlers={HTTPException: not_served})
        app.router.redirect_slashes = False
        tracking_hosts = TrackingHosts(house.database, ticks)
        listening.hosts = Hosts(
            app, listening.rules(), trusted_networks(config["server.trusted_proxies"]), tracking_hosts.serves
        )
        for setting, context in (("http.listen", None), ("http.tls_listen", listening.https)):
            for text in config[setting]:
                await self._listen(setting, text, listening.hosts, context)

    async def _start_smtp(self, listening: Listening, intake: Intake, credentials: Credentials) -> None:
        config = self._config
        plain = config["smtp.plain_auth"]
        listeners = [smtp.Listener(*parse_listen(text), plain_auth=plain) for text in config["smtp.listen"]]
        server = smtp.Server(
            SubmissionBackend(intake, credentials, self._house.hostname, self._house.clock),
            listeners,
            tls=listening.smtp,
            limits=SmtpLimits(
                message=config["smtp.max_message_size"],
                connections=config["smtp.max_connections"],
                connections_per_address=config["smtp.max_connections_per_ip"],
                messages=config["smtp.max_messages_per_connection"],
            ),
            log=_log_smtp,
        )
        try:
            await server.start()
        except OSError as error:
            raise config.wrong("smtp.listen", _not_bound("smtp.listen", error)) from error
        self._ending.door("smtp", lambda: server.close(SMTP_GRACE))

    async def _start_control(self, tools: Tools) -> None:
        path = self._house.data_dir / "control.sock"
        control = Control(path, tools)
        try:
            await control.start()
        except OSError as error:  # most of all: the address of a UNIX socket has 107 octets
            raise self._config.wrong("server.data_dir", f"{path} cannot be listened on: {error}") from error
        self._ending.door("control", control.close)

    async def _listen(self, setting: str, text: str, app: ASGIApp, context: ssl.SSLContext | None) -> None:
        host, port, _ = parse_listen(text)
        try:
            listener = Listener(app, bind(host, port), context)
        except OSError as error:
            raise self._config.wrong(setting, f"{text} {_not_bound(setting, error)}") from error
        await listener.open()
        self._ending.door(text, listener.close)

    def _spawn(self, name: str, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)

        async def close() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self._ending.part(name, close)


def _local_url(config: Config) -> str:
    """Where this machine reaches itself: good for what never leaves it."""
    for setting, scheme in (("http.listen", "http"), ("http.tls_listen", "https")):
        for text in config[setting]:
            port = parse_listen(text)[1]
            return f"{scheme}://localhost:{port}"
    return ""


def _not_bound(setting: str, error: OSError) -> str:
    found = f"cannot be listened on: {error.strerror or error}"
    if error.errno == errno.EACCES:
        return f"{found}: ports below 1024 need CAP_NET_BIND_SERVICE (docs/running.md)"
    if error.errno != errno.EADDRINUSE:
        return found
    return f"{found}: choose another port there or by {BY_KEY[setting].variable}"


def _relay_context(config: Config) -> ssl.SSLContext | None:
    """None leaves it to the transport: the system's authorities, or nothing checked."""
    ca_file = config["relay.ca_file"]
    try:
        return ssl.create_default_context(cafile=ca_file) if ca_file else None
    except OSError as error:
        raise config.wrong("relay.ca_file", f"{ca_file} holds no certificates: {error.strerror or error}") from error


def _allow_many_files() -> None:
    """Every connection is a file descriptor, and many systems start programs with 1,024 of those they may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _log_smtp(facts: Mapping[str, object]) -> None:
    logger, event = structlog.get_logger("mailferry.smtp"), str(facts.get("event"))
    # A step that raised is a bug of ours, and must not hide among what every session says.
    say = logger.error if event == "smtp_error" else logger.debug
    say(event, **_without_event(facts))


def _without_event(facts: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in facts.items() if name != "event"}
