"""What the operations are handed, and nothing else reaches them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from mailferry.endpoints.bodies import BodyBudget, BodyRules
from mailferry.endpoints.ses.errors import SesError
from mailferry.intake.render import Renderer
from mailferry.intake.submission import Accepted, KeyReused, Once, Refused, Replayed, Submission
from mailferry.journal.recent import Recent
from mailferry.resources import arns
from mailferry.resources.access_keys import AccessKey
from mailferry.resources.audit import Actor
from mailferry.resources.dns_records import Operator
from mailferry.resources.documents import DocumentBook
from mailferry.resources.permissions import Rights
from mailferry.store.content import Content
from mailferry.store.secrets import Sealer

T = TypeVar("T")


class Intake(Protocol):
    """See intake/accept.py."""

    async def accept(
        self, submissions: Sequence[Submission], once: Once | None = None
    ) -> list[Accepted | Refused] | Replayed | KeyReused: ...


class KeyBook(Protocol):
    """See resources/access_keys.py."""

    async def key(self, key_id: str) -> AccessKey | None: ...
    def used(self, key: AccessKey) -> None: ...


class Store(Protocol):
    """See store/database.py."""

    async def read(self, query: Callable[[Connection], T]) -> T: ...
    async def write(self, query: Callable[[Connection], T]) -> T: ...


class Log(Protocol):
    """The part of a structlog logger that is used here."""

    def info(self, event: str, **facts: Any) -> Any: ...
    def warning(self, event: str, **facts: Any) -> Any: ...
    def exception(self, event: str, **facts: Any) -> Any: ...


async def _no_certificate(number: int) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True)
class Deps:
    """Made once, by roles/."""

    intake: Intake
    keys: KeyBook
    db: Store
    content: Content
    #: Unix milliseconds.
    clock: Callable[[], int]
    log: Log
    #: Shared by all requests of the process.
    budget: BodyBudget
    sealer: Sealer
    #: Whose records domains are asked to publish.
    operator: Operator
    forget_domains: Callable[[], None]
    #: What is asked with every message: configuration sets, the account's settings.
    documents: DocumentBook
    recent: Recent
    renderer: Renderer
    #: PEM, by the number that a notification's SigningCertURL has; None: there is none.
    notification_certificate: Callable[[int], Awaitable[bytes | None]] = _no_certificate
    #: Of subscriptions' URLs.
    may_have_port: Callable[[int], bool] = lambda port: port in (80, 443)
    #: What links to us begin with; empty: whatever a client asks us by.
    public_url: str = ""
    look_up_domain: Callable[[int], None] = lambda domain_id: None
    #: Although it was looked up a moment ago: its records are others now.
    look_up_anew: Callable[[int], None] = lambda domain_id: None
    #: A name that mail is to use, by its account and its document (resources/custom_hosts.py).
    look_up_host: Callable[[int, str], None] = lambda account_id, name: None
    #: Of one account.
    max_templates: int = 200
    #: 40 MB (quotas), in base64 within JSON or a form.
    body: BodyRules = field(default_factory=lambda: BodyRules(limit=64 * 1024 * 1024))


@dataclass(frozen=True, slots=True)
class Call:
    """One request whose signature was found right."""

    deps: Deps
    key: AccessKey
    #: Whatever region the client signed for: it is a part of names and ids, and no place.
    region: str
    #: ``ses``, ``sesv2``, ``sns`` or ``sts``.
    service: str
    operation: str
    request_id: str
    client_ip: str
    #: Scheme, host and port that the client asked, for links back to us.
    base_url: str = ""
    #: As messages that it sends are stored: ``ses``, or ``ses_smtp``.
    endpoint: str = "ses"

    @property
    def account_id(self) -> int:
        return self.key.account_id

    @property
    def rights(self) -> Rights:
        return self.key.rights

    @property
    def actor(self) -> Actor:
        return Actor("access_key", self.key.id, self.key.name)

    @property
    def aws_account(self) -> str:
        return arns.aws_account(self.account_id)

    def arn(self, service: str, resource: str) -> str:
        """Such as ``arn:aws:ses:us-east-1:000000000001:identity/example.com``."""
        return arns.arn(service, self.region, self.account_id, resource)

    def now(self) -> int:
        return self.deps.clock()

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self.deps.db.read(query)

    async def write(self, query: Callable[[Connection], T]) -> T:
        return await self.deps.db.write(query)

    def denied(self, resource: str = "*") -> SesError:
        who = self.arn("iam", f"user/{self.key.name}").replace(f":{self.region}:", "::")
        text = f"User: {who} is not authorized to perform: ses:{self.operation} on resource: {resource}"
        return SesError("AccessDenied", text, status=403)


Params = Mapping[str, Any]
Result = Mapping[str, Any] | None
