"""Every operation of Amazon's dialect, once: what it does here, who may call it, and its function.

An operation of the model without a function is answered by a clear refusal; docs/ses.md is made from this table.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mailferry.endpoints.ses import account, sending, sts
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.model import service
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
    CHANGE = "change"


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
        if self.may is May.READ:
            granted = rights.granted(Resource.DOMAIN, VIEWER)
            return granted is None or bool(granted)
        return rights.account >= ADMIN


def _no(why: str) -> Op:
    return Op(None, does=Does.UNSUPPORTED, remark=why)


_V1: dict[str, Op] = {
    "GetAccountSendingEnabled": Op(account.get_sending_enabled, May.READ),
    "GetSendQuota": Op(account.get_send_quota, May.ANY),
    "GetSendStatistics": Op(account.get_send_statistics, May.READ),
    "SendEmail": Op(sending.send_email_v1, May.ANY),
    "SendRawEmail": Op(sending.send_raw_email_v1, May.ANY),
    "UpdateAccountSendingEnabled": Op(account.update_sending_enabled),
}
_V2: dict[str, Op] = {
    "GetAccount": Op(account.get_account, May.ANY),
    "PutAccountSendingAttributes": Op(account.put_sending_attributes),
    "SendEmail": Op(sending.send_email_v2, May.ANY),
}
_SNS: dict[str, Op] = {}
_STS: dict[str, Op] = {"GetCallerIdentity": Op(sts.get_caller_identity, May.ANY)}

TABLE: Mapping[str, Mapping[str, Op]] = {
    "ses": {name: _V1.get(name, _no("not there yet")) for name in service("ses").operations},
    "sesv2": {name: _V2.get(name, _no("not there yet")) for name in service("sesv2").operations},
    "sns": _SNS,
    "sts": _STS,
}
