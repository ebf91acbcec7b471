"""Every operation of Amazon's dialect, once: what it does here, who may call it, and its function.

An operation of the model without a function is answered by a clear refusal; docs/ses.md is made from this table.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mailferry.endpoints.ses import account, dedicated_ips, receipt_rules, reputation, sending, sts, tenants
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


def _kept(function: Function, remark: str, may: May = May.CHANGE) -> Op:
    return Op(function, may, Does.STORED, remark)


_NOTHING_RECEIVED = "nothing is received yet, so no rule acts"
_NO_DASHBOARD = (
    "the deliverability dashboard (inbox placement tests, campaigns of other senders) is Amazon's own service"
)
_NO_REGIONS = "there are no regions here; several nodes on one PostgreSQL are what outlives a machine"
_NO_ADDRESSES = "addresses are the operator's, and the account has none of its own"

_V1: dict[str, Op] = {
    "CloneReceiptRuleSet": _kept(receipt_rules.clone_set, _NOTHING_RECEIVED),
    "CreateReceiptFilter": _kept(receipt_rules.create_filter, _NOTHING_RECEIVED),
    "CreateReceiptRule": _kept(receipt_rules.create_rule, "S3, Lambda, WorkMail and Connect actions are refused"),
    "CreateReceiptRuleSet": _kept(receipt_rules.create_set, _NOTHING_RECEIVED),
    "DeleteReceiptFilter": _kept(receipt_rules.delete_filter, _NOTHING_RECEIVED),
    "DeleteReceiptRule": _kept(receipt_rules.delete_rule, _NOTHING_RECEIVED),
    "DeleteReceiptRuleSet": _kept(receipt_rules.delete_set, _NOTHING_RECEIVED),
    "DescribeActiveReceiptRuleSet": _kept(receipt_rules.describe_active_set, _NOTHING_RECEIVED, May.READ),
    "DescribeReceiptRule": _kept(receipt_rules.describe_rule, _NOTHING_RECEIVED, May.READ),
    "DescribeReceiptRuleSet": _kept(receipt_rules.describe_set, _NOTHING_RECEIVED, May.READ),
    "GetAccountSendingEnabled": Op(account.get_sending_enabled, May.READ),
    "GetSendQuota": Op(account.get_send_quota, May.ANY),
    "GetSendStatistics": Op(account.get_send_statistics, May.READ),
    "ListReceiptFilters": _kept(receipt_rules.list_filters, _NOTHING_RECEIVED, May.READ),
    "ListReceiptRuleSets": _kept(receipt_rules.list_sets, _NOTHING_RECEIVED, May.READ),
    "ReorderReceiptRuleSet": _kept(receipt_rules.reorder_set, _NOTHING_RECEIVED),
    "SendBounce": _no("it answers a mail that was received, and nothing is received yet"),
    "SendEmail": Op(sending.send_email_v1, May.ANY),
    "SendRawEmail": Op(sending.send_raw_email_v1, May.ANY),
    "SetActiveReceiptRuleSet": _kept(receipt_rules.set_active_set, _NOTHING_RECEIVED),
    "SetReceiptRulePosition": _kept(receipt_rules.set_rule_position, _NOTHING_RECEIVED),
    "UpdateAccountSendingEnabled": Op(account.update_sending_enabled),
    "UpdateReceiptRule": _kept(receipt_rules.update_rule, "S3, Lambda, WorkMail and Connect actions are refused"),
}
_V2: dict[str, Op] = {
    "CreateDedicatedIpPool": _kept(dedicated_ips.create_pool, "the pool `bulk` chooses the bulk stream"),
    "CreateDeliverabilityTestReport": _no(_NO_DASHBOARD),
    "CreateMultiRegionEndpoint": _no(_NO_REGIONS),
    "CreateTenant": _kept(tenants.create, "mail of a tenant is sent as any other"),
    "CreateTenantResourceAssociation": _kept(tenants.associate, "confines nothing"),
    "DeleteDedicatedIpPool": _kept(dedicated_ips.delete_pool, ""),
    "DeleteMultiRegionEndpoint": _no(_NO_REGIONS),
    "DeleteTenant": _kept(tenants.delete, ""),
    "DeleteTenantResourceAssociation": _kept(tenants.dissociate, ""),
    "GetAccount": Op(account.get_account, May.ANY),
    "GetBlacklistReports": _no(_NO_DASHBOARD),
    "GetDedicatedIp": _kept(dedicated_ips.get_ip, _NO_ADDRESSES, May.READ),
    "GetDedicatedIpPool": _kept(dedicated_ips.get_pool, "", May.READ),
    "GetDedicatedIps": _kept(dedicated_ips.get_ips, _NO_ADDRESSES, May.READ),
    "GetDeliverabilityDashboardOptions": _kept(account.get_dashboard_options, "always off", May.READ),
    "GetDeliverabilityTestReport": _no(_NO_DASHBOARD),
    "GetDomainDeliverabilityCampaign": _no(_NO_DASHBOARD),
    "GetDomainStatisticsReport": _no(_NO_DASHBOARD),
    "GetEmailAddressInsights": _no("addresses are not guessed at; a bounce tells whether one is there"),
    "GetMultiRegionEndpoint": _no(_NO_REGIONS),
    "GetReputationEntity": _kept(reputation.get_entity, "healthy, but for what the customer paused", May.READ),
    "GetTenant": _kept(tenants.get, "", May.READ),
    "ListDedicatedIpPools": _kept(dedicated_ips.list_pools, "", May.READ),
    "ListDeliverabilityTestReports": _no(_NO_DASHBOARD),
    "ListDomainDeliverabilityCampaigns": _no(_NO_DASHBOARD),
    "ListMultiRegionEndpoints": _no(_NO_REGIONS),
    "ListReputationEntities": _kept(reputation.list_entities, "those of which something was set", May.READ),
    "ListResourceTenants": _kept(tenants.list_of_resource, "", May.READ),
    "ListTenantResources": _kept(tenants.list_resources, "", May.READ),
    "ListTenants": _kept(tenants.list_all, "", May.READ),
    "PutAccountDedicatedIpWarmupAttributes": _kept(dedicated_ips.put_auto_warmup, "warms up nothing"),
    "PutAccountDetails": _kept(account.put_details, "an account is not reviewed here, a domain is"),
    "PutAccountPricingAttributes": _kept(account.put_pricing, "costs nothing"),
    "PutAccountSendingAttributes": Op(account.put_sending_attributes),
    "PutAccountVdmAttributes": _kept(account.put_vdm, "insights are always on"),
    "PutDedicatedIpInPool": _kept(dedicated_ips.put_ip_in_pool, _NO_ADDRESSES),
    "PutDedicatedIpPoolScalingAttributes": _kept(dedicated_ips.put_scaling, ""),
    "PutDedicatedIpWarmupAttributes": _kept(dedicated_ips.put_ip_warmup, _NO_ADDRESSES),
    "PutDeliverabilityDashboardOption": _no(_NO_DASHBOARD),
    "PutTenantSuppressionAttributes": _kept(tenants.put_suppression, "the account's suppression list counts"),
    "SendEmail": Op(sending.send_email_v2, May.ANY),
    "UpdateReputationEntityCustomerManagedStatus": _kept(reputation.update_status, "stops no mail"),
    "UpdateReputationEntityPolicy": _kept(reputation.update_policy, ""),
}
_SNS: dict[str, Op] = {}
_STS: dict[str, Op] = {"GetCallerIdentity": Op(sts.get_caller_identity, May.ANY)}

TABLE: Mapping[str, Mapping[str, Op]] = {
    "ses": {name: _V1.get(name, _no("not there yet")) for name in service("ses").operations},
    "sesv2": {name: _V2.get(name, _no("not there yet")) for name in service("sesv2").operations},
    "sns": _SNS,
    "sts": _STS,
}
