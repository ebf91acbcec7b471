"""A sending domain: its states, its settings, and when its mail waits."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from mailferry.mail import address
from mailferry.resources.domains.keys import DomainKey

DEMO = "demo"
UNVERIFIED = "unverified_dns"
UNDER_REVIEW = "under_review"
#: Under review, and the operator waits for company info, or for answers (resources/domain_reviews.py).
MISSING_COMPANY_INFO = "missing_company_info"
AWAITING_QUESTIONNAIRE = "awaiting_questionnaire"
COMPLIANT = "compliant"
#: The operator's no.
NON_COMPLIANT = "non_compliant"
SUSPENDED = "suspended"

#: A limited number of recipients leaves in an hour.
IN_REVIEW = (UNDER_REVIEW, MISSING_COMPANY_INFO, AWAITING_QUESTIONNAIRE)
#: What deleting a domain does not wipe away.
JUDGED = (*IN_REVIEW, NON_COMPLIANT, SUSPENDED)

#: What a new domain starts with: the settings that its owner may change.
SETTINGS: Mapping[str, bool | str] = {
    "open_tracking_enabled": True,
    "click_tracking_enabled": False,
    "auto_unsubscribe_link_enabled": False,
    "tracking_opt_out_enabled": False,
    "health_alerts_enabled": True,
    "critical_alerts_enabled": True,
    "alert_recipient_email": "",
}


@dataclass(frozen=True, slots=True)
class Domain:
    id: int
    account_id: int
    name: str
    state: str
    dns_verified: bool
    verified_at: int
    suspicious: bool
    return_path_label: str
    open_tracking_enabled: bool = True
    click_tracking_enabled: bool = False
    auto_unsubscribe_link_enabled: bool = False
    tracking_opt_out_enabled: bool = False
    health_alerts_enabled: bool = True
    critical_alerts_enabled: bool = True
    #: Empty: whoever is the account's.
    alert_recipient_email: str = ""
    #: JSON; see :attr:`statuses`.
    dns_statuses: str = "{}"
    keys: tuple[DomainKey, ...] = ()

    @property
    def statuses(self) -> Mapping[str, str]:
        """What the last look into the DNS found, by the key of the record; nothing before the first."""
        return msgspec.json.decode(self.dns_statuses, type=dict[str, str])

    @property
    def return_path_host(self) -> str:
        return f"{self.return_path_label}.{self.name}"

    @property
    def hold_reason(self) -> str:
        return hold_reason(self.state, self.dns_verified, 0)


def hold_reason(state: str, dns_verified: bool, deleted_at: int) -> str:
    """Why a domain's mail waits now; empty = it may leave."""
    if deleted_at:
        return "domain_deleted"
    if state == NON_COMPLIANT:
        return "domain_rejected"
    if state == SUSPENDED:
        return "domain_suspended"
    if state != DEMO and not dns_verified:
        return "dns_not_verified"
    return ""


def spelled(name: str) -> str:
    """A domain's name in its stored form (mail/address.parse). Raises :class:`~mailferry.mail.address.BadAddress`."""
    return address.split(address.parse(f"postmaster@{name.strip().rstrip('.')}"))[1]


def named_anew(name: str) -> str:
    """As :func:`spelled`, of a domain that is to be added: ``localhost`` and ``com`` are nobody's, so they are refused.

    Not where a domain is looked for: whoever added such a name once must still be able to remove it.
    """
    found = spelled(name)
    if "." not in found:
        raise address.BadAddress("a sending domain has two labels or more, such as example.com")
    return found
