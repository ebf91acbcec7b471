"""The ways in: HTTP and HTTPS, SMTP submission, POP3, the control socket and the listener of metrics."""

import errno
import ssl
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from mailferry.config import BY_KEY, parse_listen
from mailferry.ending import Ending
from mailferry.endpoints import line_server
from mailferry.endpoints.bodies import BodyBudget
from mailferry.endpoints.fallback import not_served
from mailferry.endpoints.front import front
from mailferry.endpoints.hosts import Hosts
from mailferry.endpoints.invitations import app as invitations
from mailferry.endpoints.listeners import Listener, bind
from mailferry.endpoints.mailtrap import app as mailtrap
from mailferry.endpoints.mailtrap.deps import Deps
from mailferry.endpoints.mailtrap.rates import Rates
from mailferry.endpoints.operations import health
from mailferry.endpoints.operations.control import Control
from mailferry.endpoints.operations.lookups import Lookups
from mailferry.endpoints.operations.tools import Tools
from mailferry.endpoints.pop3 import server as pop3
from mailferry.endpoints.pop3.limits import Limits as Pop3Limits
from mailferry.endpoints.pop3.maildrop import Maildrops
from mailferry.endpoints.ses import app as ses_app
from mailferry.endpoints.ses import deps as ses
from mailferry.endpoints.ses.smtp import SmtpInterface
from mailferry.endpoints.shared import app as shared
from mailferry.endpoints.smtp import server as smtp
from mailferry.endpoints.smtp.amazon import AmazonBackend
from mailferry.endpoints.smtp.dialects import Dialects
from mailferry.endpoints.smtp.faults import SmtpFaults
from mailferry.endpoints.smtp.host import CramMd5
from mailferry.endpoints.smtp.limits import Limits as SmtpLimits
from mailferry.endpoints.smtp.sandbox import SandboxBackend
from mailferry.endpoints.smtp.submission import SubmissionBackend
from mailferry.endpoints.tracking import app as tracking
from mailferry.feedback.hits import Hits
from mailferry.house import House, ticks
from mailferry.intake.accept import Intake
from mailferry.intake.render import Renderer
from mailferry.journal.ids import Ids
from mailferry.journal.recent import Recent
from mailferry.listening import Listening
from mailferry.net.hosts import trusted_networks
from mailferry.resources.access_keys import AccessKeys
from mailferry.resources.dns_records import Operator
from mailferry.resources.documents import DocumentBook
from mailferry.resources.inboxes import InboxBook
from mailferry.resources.notification_keys import NotificationKeys
from mailferry.resources.tokens import Credentials
from mailferry.resources.tracking_hosts import TrackingHosts
from mailferry.roles import checks
from mailferry.sandbox.arrivals import Arrivals
from mailferry.sandbox.capture import Sandbox
from mailferry.sandbox.faults import FaultPlayer

#: Seconds that SMTP and POP3 sessions get when the process ends (see ending.py).
GRACE = 4.0


class Doors:
    """Opens what the roles of this process need; each is closed again by ``ending``."""

    def __init__(
        self,
        house: House,
        ending: Ending,
        listening: Listening,
        documents: DocumentBook,
        sandbox: Sandbox,
        arrivals: Arrivals,
    ) -> None:
        self._house = house
        self._config = house.config
        self._ending = ending
        self._listening = listening
        self._documents = documents
        self._faults = FaultPlayer()
        self._inboxes = InboxBook(house.database, house.sealer, ticks)
        self._arrivals = arrivals
        self._sandbox = sandbox
        # With the doors: who waits would hold up a listener's end.
        ending.door("waiters", arrivals.close)

    async def open_http(
        self,
        intake: Intake,
        credentials: Credentials,
        keys: AccessKeys,
        notification_keys: NotificationKeys,
        lookups: Lookups,
        tools: Tools,
        hits: Hits,
    ) -> None:
        house, config, listening = self._house, self._config, self._listening
        deps = Deps(
            intake=intake,
            credentials=credentials,
            db=house.database,
            content=house.content,
            sandbox=self._sandbox,
            captured=house.captured,
            checker=checks.checker(
                config, self._ending, resolver=house.resolver, own=listening.own_addresses, clock=house.clock
            ),
            listed=checks.listed(config, house.resolver, ticks),
            arrivals=self._arrivals,
            clock=house.clock,
            new_id=Ids(house.clock).new,
            log=structlog.get_logger("mailferry.endpoints.mailtrap"),
            budget=BodyBudget(config["http.body_memory"]),
            rates=Rates(ticks, config["limits.api_rate"]),
            sealer=house.sealer,
            operator=Operator(house.hostname, config["dns.zone"]),
            forget_domains=house.book.forget,
            forget_inboxes=self._inboxes.forget,
            forget_documents=self._documents.forget,
            faults=self._faults,
            smtp_ports=[parse_listen(text)[1] for text in config["smtp.listen"]],
            pop3_ports=[parse_listen(text)[1] for text in config["pop3.listen"]],
            look_up_domain=lookups.ask,
            renderer=Renderer(house.database, ticks),
            max_templates=config["limits.templates"],
            poster=tools.poster,
            send_mail=tools.send_mail,
            public_url=config["server.public_url"],
        )
        amazon = replace(
            self._amazon(intake, keys, notification_keys, tools),
            budget=deps.budget,
            renderer=deps.renderer,
            look_up_domain=lookups.ask,
            look_up_anew=lookups.ask_anew,
            look_up_host=lookups.ask_host,
        )
        well = Route("/health", health.route(house.database, house.content, house.clock))
        site = tracking.Deps(hits, house.link_keys, house.database, house.book, house.clock)
        people = invitations.Deps(house.database, house.clock)
        readers = shared.Deps(house.database, house.captured, deps.checker, deps.downloads, house.clock)
        pages = [*tracking.routes(site), *invitations.routes(people), *shared.routes(readers)]
        routes = [well, *ses_app.routes(amazon, front), *pages, *mailtrap.routes(deps)]
        app = Starlette(routes=routes, exception_handlers={HTTPException: not_served})
        app.router.redirect_slashes = False
        tracking_hosts = TrackingHosts(house.database, ticks)
        listening.hosts = Hosts(
            app, listening.rules(), trusted_networks(config["server.trusted_proxies"]), tracking_hosts.serves
        )
        for setting, context in (("http.listen", None), ("http.tls_listen", listening.https)):
            for text in config[setting]:
                await self._listen(setting, text, listening.hosts, context)

    async def open_smtp(
        self,
        intake: Intake,
        credentials: Credentials,
        keys: AccessKeys,
        notification_keys: NotificationKeys,
        tools: Tools,
    ) -> None:
        house, config = self._house, self._config
        mailtrap_users = SubmissionBackend(intake, credentials, house.hostname, house.clock)
        amazon_users = AmazonBackend(
            keys, SmtpInterface(self._amazon(intake, keys, notification_keys, tools)), house.hostname
        )
        inbox_users = SandboxBackend(self._sandbox, self._inboxes, house.hostname, SmtpFaults(self._faults))
        plain = config["smtp.plain_auth"]
        cram: CramMd5 = "always" if config["smtp.cram_md5"] else "clear"
        server = smtp.Server(
            Dialects(mailtrap_users, amazon_users, inbox_users),
            [smtp.Listener(*parse_listen(text), plain_auth=plain, cram_md5=cram) for text in config["smtp.listen"]],
            tls=self._listening.smtp,
            limits=SmtpLimits(
                message=config["smtp.max_message_size"],
                connections=config["smtp.max_connections"],
                connections_per_address=config["smtp.max_connections_per_ip"],
                messages=config["smtp.max_messages_per_connection"],
            ),
            log=partial(_log, "smtp"),
        )
        await self._start("smtp", server)

    async def open_pop3(self) -> None:
        house, config = self._house, self._config
        plain = config["pop3.plain_auth"]
        server = pop3.Server(
            Maildrops(house.database, house.captured, self._inboxes),
            [line_server.Listener(*parse_listen(text), plain_auth=plain) for text in config["pop3.listen"]],
            tls=self._listening.smtp,
            limits=Pop3Limits(
                connections=config["pop3.max_connections"],
                connections_per_address=config["pop3.max_connections_per_ip"],
            ),
            log=partial(_log, "pop3"),
        )
        await self._start("pop3", server)

    async def _start(self, name: str, server: line_server.LineServer) -> None:
        try:
            await server.start()
        except OSError as error:
            raise self._config.wrong(f"{name}.listen", not_bound(f"{name}.listen", error)) from error
        self._ending.door(name, lambda: server.close(GRACE))

    def _amazon(self, intake: Intake, keys: AccessKeys, notification_keys: NotificationKeys, tools: Tools) -> ses.Deps:
        house, config = self._house, self._config
        return ses.Deps(
            intake=intake,
            keys=keys,
            db=house.database,
            content=house.content,
            clock=house.clock,
            log=structlog.get_logger("mailferry.endpoints.ses"),
            budget=BodyBudget(config["http.body_memory"]),
            sealer=house.sealer,
            operator=Operator(house.hostname, config["dns.zone"]),
            forget_domains=house.book.forget,
            documents=self._documents,
            recent=Recent(house.database, house.clock),
            renderer=Renderer(house.database, ticks),
            max_templates=config["limits.templates"],
            notification_certificate=notification_keys.certificate,
            may_have_port=tools.poster.may_have,
            public_url=config["server.public_url"],
        )

    async def open_control(self, tools: Tools) -> None:
        path = self._house.data_dir / "control.sock"
        control = Control(path, tools)
        try:
            await control.start()
        except OSError as error:  # most of all: the address of a UNIX socket has 107 octets
            raise self._config.wrong("server.data_dir", f"{path} cannot be listened on: {error}") from error
        self._ending.door("control", control.close)

    async def open_metrics(self, text: str) -> None:
        house = self._house
        app = health.metrics_app(house.database, house.content, house.clock)
        await self._listen("metrics.listen", text, app, None)

    async def _listen(self, setting: str, text: str, app: ASGIApp, context: ssl.SSLContext | None) -> None:
        host, port, _ = parse_listen(text)
        try:
            listener = Listener(app, bind(host, port), context)
        except OSError as error:
            raise self._config.wrong(setting, f"{text} {not_bound(setting, error)}") from error
        await listener.open()
        self._ending.door(text, listener.close)


def not_bound(setting: str, error: OSError) -> str:
    """What was wrong, and what would be right."""
    found = f"cannot be listened on: {error.strerror or error}"
    if error.errno == errno.EACCES:
        return f"{found}: ports below 1024 need CAP_NET_BIND_SERVICE (docs/running.md)"
    if error.errno != errno.EADDRINUSE:
        return found
    return f"{found}: choose another port there or by {BY_KEY[setting].variable}"


def _log(name: str, facts: Mapping[str, object]) -> None:
    logger, event = structlog.get_logger(f"mailferry.{name}"), str(facts.get("event"))
    # A step that raised is a bug of ours, and must not hide among what every session says.
    say = logger.error if event == f"{name}_error" else logger.debug
    say(event, **_without_event(facts))


def _without_event(facts: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in facts.items() if name != "event"}
