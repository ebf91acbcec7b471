"""What the functions behind the paths are handed, and nothing else reaches them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from mailferry.consumers.webhooks.post import Poster
from mailferry.endpoints.bodies import BodyBudget, BodyRules
from mailferry.endpoints.hosts import CLIENT
from mailferry.endpoints.mailtrap.errors import Problem, Shape, problem
from mailferry.endpoints.mailtrap.rates import Rates
from mailferry.intake.checks import Limits
from mailferry.intake.render import Renderer
from mailferry.intake.submission import Accepted, KeyReused, Once, Refused, Replayed, Submission
from mailferry.resources.audit import Actor
from mailferry.resources.dns_records import Operator
from mailferry.resources.permissions import Rights
from mailferry.resources.system_mail import Send, no_mail
from mailferry.resources.tokens import Token
from mailferry.sandbox.arrivals import Arrivals
from mailferry.sandbox.capture import Capture
from mailferry.sandbox.faults import FaultPlayer
from mailferry.sandbox.listed import Listed
from mailferry.sandbox.report import Report
from mailferry.store.captured import CapturedContent
from mailferry.store.content import Content
from mailferry.store.secrets import Sealer

#: Octets; a client that reads slowly holds its part for as long.
DOWNLOADS = 256 * 1024 * 1024

T = TypeVar("T")


class Intake(Protocol):
    """See intake/accept.py."""

    async def accept(
        self, submissions: Sequence[Submission], once: Once | None = None
    ) -> list[Accepted | Refused] | Replayed | KeyReused: ...
    async def known(self, once: Once) -> Replayed | KeyReused | None: ...


class Sandbox(Protocol):
    """See sandbox/capture.py."""

    async def capture(self, captures: Sequence[Capture]) -> list[int]: ...


class Checker(Protocol):
    """See sandbox/report.py."""

    async def check(self, raw: bytes, names: Collection[str]) -> Report: ...


class TokenBook(Protocol):
    """See resources/tokens.py."""

    async def token(self, secret: str) -> Token | None: ...
    def forget(self) -> None: ...


class Store(Protocol):
    """See store/database.py."""

    async def read(self, query: Callable[[Connection], T]) -> T: ...
    async def write(self, query: Callable[[Connection], T]) -> T: ...


class Log(Protocol):
    """The part of a structlog logger that is used here."""

    def info(self, event: str, **facts: Any) -> Any: ...
    def warning(self, event: str, **facts: Any) -> Any: ...
    def exception(self, event: str, **facts: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Deps:
    """Made once, by roles/."""

    intake: Intake
    credentials: TokenBook
    db: Store
    #: The bytes of messages.
    content: Content
    sandbox: Sandbox
    #: The bytes of what it caught.
    captured: CapturedContent
    #: Unix milliseconds.
    clock: Callable[[], int]
    #: What is said of a caught message, and of its sender.
    checker: Checker
    listed: Listed
    #: Draws an id that no message had.
    new_id: Callable[[], str]
    log: Log
    #: The budget is shared by all requests of the process.
    budget: BodyBudget
    rates: Rates
    #: Keys of new domains are sealed with it.
    sealer: Sealer
    #: Whose records domains are asked to publish.
    operator: Operator
    #: After any change of domains: caches are forgotten.
    forget_domains: Callable[[], None]
    renderer: Renderer
    #: Sends test events to webhooks, and says which ports their URLs may have.
    poster: Poster
    #: Has a domain's records looked up in the background; asked again at once it does nothing.
    look_up_domain: Callable[[int], None] = lambda domain_id: None
    #: After any change of inboxes: who logs in by SMTP is looked up anew.
    forget_inboxes: Callable[[], None] = lambda: None
    #: After any change of what is asked with every message, but for domains.
    forget_documents: Callable[[], None] = lambda: None
    #: What inboxes do wrong on purpose; shared with SMTP.
    faults: FaultPlayer = field(default_factory=FaultPlayer)
    #: Where an inbox's mail is taken, and read.
    smtp_ports: Sequence[int] = ()
    pop3_ports: Sequence[int] = ()
    #: Of one account.
    max_templates: int = 200
    #: Who waits for what an inbox catches.
    arrivals: Arrivals = field(default_factory=Arrivals)
    #: What of caught messages is being shown, all together.
    downloads: BodyBudget = field(default_factory=lambda: BodyBudget(DOWNLOADS))
    #: Sends what Mailferry itself has to say.
    send_mail: Send = no_mail
    #: [server] public_url; empty: pages of ours are where the client has reached us.
    public_url: str = ""
    limits: Limits = field(default_factory=Limits)
    body: BodyRules = field(default_factory=BodyRules)


@dataclass(frozen=True, slots=True)
class Call:
    """One request whose token was found right."""

    request: Request
    token: Token
    deps: Deps
    shape: Shape
    #: transactional or bulk; what the host or the path said.
    stream: str
    request_id: str
    #: The account that the path names, or the token's.
    account_id: int
    #: What the token may do there.
    rights: Rights

    @property
    def client_ip(self) -> str:
        """Behind a trusted proxy the client's, not the proxy's."""
        peer = self.request.client.host if self.request.client else ""
        known: str = self.request.scope.get(CLIENT, peer)
        return known

    @property
    def legacy(self) -> bool:
        """Asked over the paths that name the account: inboxes and sending domains have those names there."""
        return "account_id" in self.request.path_params

    @property
    def actor(self) -> Actor:
        return Actor("api_token", self.token.id, self.token.name)

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self.deps.db.read(query)

    async def write(self, query: Callable[[Connection], T]) -> T:
        return await self.deps.db.write(query)

    def problem(self, found: Problem) -> Response:
        return problem(self.shape, found)
