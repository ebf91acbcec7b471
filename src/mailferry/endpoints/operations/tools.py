"""What every verb is handed, and how it says that the operator did something wrong."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mailferry.config import Config
from mailferry.consumers.stats.counter import Counter
from mailferry.consumers.webhooks.post import Poster
from mailferry.net.dns import Resolver
from mailferry.resources.audit import Actor
from mailferry.resources.domains import DomainBook
from mailferry.resources.system_mail import Send, no_mail
from mailferry.store.content import Content
from mailferry.store.database import Database
from mailferry.store.secrets import Sealer

#: Who changed something, as the audit log names it.
OPERATOR = Actor("operator", 0, "command line")


class Mistake(ValueError):
    """The operator's; the text is shown as it is."""


@dataclass(frozen=True, slots=True)
class Tools:
    database: Database
    sealer: Sealer
    book: DomainBook
    resolver: Resolver
    config: Config
    hostname: str
    clock: Callable[[], int]
    #: Tells the worker that mail may have come due.
    wake: Callable[[], None]
    #: Takes newly issued host names and certificates into use.
    reload_hosts: Callable[[], None]
    #: Sends test events to webhooks.
    poster: Poster
    #: Counts statistics anew.
    counter: Counter
    #: After any change of tokens or their rights: the cache is forgotten.
    forget_tokens: Callable[[], None] = lambda: None
    #: The same of key pairs.
    forget_keys: Callable[[], None] = lambda: None
    #: The same of what is asked with every message: configuration sets, quotas.
    forget_documents: Callable[[], None] = lambda: None
    #: Sends what Mailferry itself has to say.
    send_mail: Send = no_mail
    #: The bytes of messages.
    content: Content = field(kw_only=True)


def none_of(noun: str, which: object, account: int) -> Mistake:
    """``account``: 0 is any."""
    where = f" of account {account}" if account else ""
    return Mistake(f"there is no {noun} {which}{where}; mailferry {noun}s list shows them")


#: Characters of a name, as in the API.
MAX_NAME = 255


def one_line(text: str, what: str, most: int = MAX_NAME) -> str:
    """``what``: such as "a token's name"."""
    name = text.strip()
    if not name or len(name) > most or not name.isprintable():
        raise Mistake(f"{what} is one line of 1 to {most} characters")
    return name


Verb = Callable[..., Awaitable[Any]]
