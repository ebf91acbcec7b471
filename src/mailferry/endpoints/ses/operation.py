"""What is known of an operation of Amazon's dialect beside its function: what it does here, and who may call it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.resources.permissions import ADMIN, VIEWER, Resource, Rights

Function = Callable[[Call, Params], Awaitable[Result]]


class Does(StrEnum):
    """What an operation does here."""

    FULL = "full"
    #: Kept, and read back; without effect on mail.
    STORED = "stored"
    UNSUPPORTED = "not supported"


class May(StrEnum):
    """What a key must be granted."""

    #: Whatever it is granted: the operation looks itself, or tells of the key alone.
    ANY = "any"
    READ = "read"
    #: What belongs to the whole account, and to none of its domains.
    READ_ALL = "read all"
    CHANGE = "change"
    READ_TEMPLATES = "read templates"
    CHANGE_TEMPLATES = "change templates"


_TEMPLATE_LEVELS = {May.READ_TEMPLATES: VIEWER, May.CHANGE_TEMPLATES: ADMIN}


@dataclass(frozen=True, slots=True)
class Op:
    function: Function | None
    may: May = May.CHANGE
    does: Does = Does.FULL
    #: For docs/ses.md, and for the refusal of what is not supported.
    remark: str = ""

    def allows(self, rights: Rights) -> bool:
        """A key that is confined to domains may read, and the functions confine it to those."""
        if self.may is May.ANY:
            return True
        if self.may in _TEMPLATE_LEVELS:
            return rights.on(Resource.TEMPLATES, rights.account_id) >= _TEMPLATE_LEVELS[self.may]
        if self.may is May.READ:
            granted = rights.granted(Resource.DOMAIN, VIEWER)
            return granted is None or bool(granted)
        if self.may is May.READ_ALL:
            return rights.account >= VIEWER
        return rights.account >= ADMIN


def refused(why: str) -> Op:
    return Op(None, does=Does.UNSUPPORTED, remark=why)


def kept(function: Function, remark: str, may: May = May.CHANGE) -> Op:
    return Op(function, may, Does.STORED, remark)
