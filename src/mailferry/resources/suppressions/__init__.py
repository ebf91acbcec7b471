"""Addresses that must not be written to, each for one domain or all, one stream or any (Mailtrap's and SES's list alike).

``standing`` is the list and its history, ``reading`` shows it, ``putting`` changes it address by address. ``files`` reads
and writes it as a file of any provider: ``tables`` takes CSV apart, ``words`` and ``dates`` say what its cells mean.
"""

from mailferry.resources.suppressions.putting import lift, put
from mailferry.resources.suppressions.reading import (
    DRIFT_MS,
    LISTED,
    Query,
    Story,
    find,
    newest,
    of_addresses,
    page,
    scope,
    stories,
    walk,
)
from mailferry.resources.suppressions.standing import (
    ALL_DOMAINS,
    ANY,
    DELIVERY,
    HARD_BOUNCE,
    MANUAL_IMPORT,
    SPAM_COMPLAINT,
    STREAMS,
    TYPES,
    UNSUBSCRIPTION,
    Suppression,
    Target,
    add,
    entry,
    matching,
    remove,
    stopping,
    why_rejected,
)

__all__ = [
    "ALL_DOMAINS",
    "ANY",
    "DELIVERY",
    "DRIFT_MS",
    "HARD_BOUNCE",
    "LISTED",
    "MANUAL_IMPORT",
    "SPAM_COMPLAINT",
    "STREAMS",
    "TYPES",
    "UNSUBSCRIPTION",
    "Query",
    "Story",
    "Suppression",
    "Target",
    "add",
    "entry",
    "find",
    "lift",
    "matching",
    "newest",
    "of_addresses",
    "page",
    "put",
    "remove",
    "scope",
    "stopping",
    "stories",
    "walk",
    "why_rejected",
]
