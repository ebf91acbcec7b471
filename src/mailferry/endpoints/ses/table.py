"""Every operation of Amazon's dialect, once: what it does here, who may call it, and its function.

An operation of the model without a function is answered by a clear refusal; docs/ses.md is made from this table.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mailferry.endpoints.ses import (
    account,
    bulk,
    configuration_sets,
    contact_lists,
    contacts,
    dedicated_ips,
    event_destinations,
    identities,
    identity_dkim,
    identity_policies,
    identity_settings,
    insights,
    jobs,
    receipt_rules,
    reputation,
    sending,
    sns_subscriptions,
    sns_topics,
    sts,
    suppressions,
    tags,
    templated,
    templates,
    tenants,
    verification_templates,
)
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


def _no(why: str) -> Op:
    return Op(None, does=Does.UNSUPPORTED, remark=why)


def _kept(function: Function, remark: str, may: May = May.CHANGE) -> Op:
    return Op(function, may, Does.STORED, remark)


_NOTHING_RECEIVED = "nothing is received yet, so no rule acts"
_NO_DASHBOARD = (
    "the deliverability dashboard (inbox placement tests, campaigns of other senders) is Amazon's own service"
)
_NO_REGIONS = "there are no regions here; several nodes on one PostgreSQL are what outlives a machine"
_NO_LINKS = "an address is verified by its domain, and no links to verify one are sent"
_NO_ADDRESSES = "addresses are the operator's, and the account has none of its own"
_NO_CERTIFICATES = "mail is signed by DKIM, and not by S/MIME certificates"
_NOT_FORWARDED = "nobody is sent mail about bounces: notifications, webhooks and the log tell of them"
_OWN_RETURN_PATH = "the return path is the one that the domain's records name"
_RIGHTS_DECIDE = "who may send is decided by what a key is granted"
_ALWAYS_SIGNED = "mail is signed whatever is set"
_PROVEN = "an address is verified when the domain that it lies in is, or one above"

#: What event destinations do.
_DESTINATIONS = "topics are told, webhooks stand for buses and streams, CloudWatch is /metrics; Pinpoint is kept"

_V1: dict[str, Op] = {
    "CloneReceiptRuleSet": _kept(receipt_rules.clone_set, _NOTHING_RECEIVED),
    "CreateConfigurationSet": Op(configuration_sets.create_v1),
    "CreateConfigurationSetEventDestination": Op(event_destinations.create_v1, remark=_DESTINATIONS),
    "CreateConfigurationSetTrackingOptions": Op(configuration_sets.create_tracking_v1, does=Does.STORED),
    "CreateCustomVerificationEmailTemplate": _kept(verification_templates.create, _NO_LINKS, May.CHANGE_TEMPLATES),
    "CreateReceiptFilter": _kept(receipt_rules.create_filter, _NOTHING_RECEIVED),
    "CreateReceiptRule": _kept(receipt_rules.create_rule, "S3, Lambda, WorkMail and Connect actions are refused"),
    "CreateReceiptRuleSet": _kept(receipt_rules.create_set, _NOTHING_RECEIVED),
    "CreateTemplate": Op(templates.create_v1, May.CHANGE_TEMPLATES),
    "DeleteConfigurationSet": Op(configuration_sets.delete),
    "DeleteConfigurationSetEventDestination": Op(event_destinations.delete),
    "DeleteConfigurationSetTrackingOptions": Op(configuration_sets.delete_tracking_v1, does=Does.STORED),
    "DeleteCustomVerificationEmailTemplate": _kept(verification_templates.delete_v1, _NO_LINKS, May.CHANGE_TEMPLATES),
    "DeleteIdentity": Op(identities.delete_v1),
    "DeleteIdentityPolicy": _kept(identity_policies.delete_v1, _RIGHTS_DECIDE),
    "DeleteReceiptFilter": _kept(receipt_rules.delete_filter, _NOTHING_RECEIVED),
    "DeleteReceiptRule": _kept(receipt_rules.delete_rule, _NOTHING_RECEIVED),
    "DeleteReceiptRuleSet": _kept(receipt_rules.delete_set, _NOTHING_RECEIVED),
    "DeleteTemplate": Op(templates.delete_v1, May.CHANGE_TEMPLATES),
    "DeleteVerifiedEmailAddress": Op(identities.delete_address_v1),
    "DescribeActiveReceiptRuleSet": _kept(receipt_rules.describe_active_set, _NOTHING_RECEIVED, May.READ_ALL),
    "DescribeConfigurationSet": Op(configuration_sets.describe_v1, May.READ),
    "DescribeReceiptRule": _kept(receipt_rules.describe_rule, _NOTHING_RECEIVED, May.READ_ALL),
    "DescribeReceiptRuleSet": _kept(receipt_rules.describe_set, _NOTHING_RECEIVED, May.READ_ALL),
    "GetAccountSendingEnabled": Op(account.get_sending_enabled, May.READ),
    "GetCustomVerificationEmailTemplate": _kept(verification_templates.get, _NO_LINKS, May.READ_TEMPLATES),
    "GetIdentityDkimAttributes": Op(identity_dkim.get_attributes_v1, May.READ),
    "GetIdentityMailFromDomainAttributes": _kept(identity_settings.get_mail_from_v1, _OWN_RETURN_PATH, May.READ),
    "GetIdentityNotificationAttributes": Op(identity_settings.get_notifications_v1, May.READ),
    "GetIdentityPolicies": _kept(identity_policies.get_v1, _RIGHTS_DECIDE, May.READ),
    "GetIdentityVerificationAttributes": Op(identities.get_verification_v1, May.READ),
    "GetSendQuota": Op(account.get_send_quota, May.ANY),
    "GetSendStatistics": Op(account.get_send_statistics, May.READ),
    "GetTemplate": Op(templates.get_v1, May.READ_TEMPLATES),
    "ListConfigurationSets": Op(configuration_sets.list_v1, May.READ),
    "ListCustomVerificationEmailTemplates": _kept(verification_templates.list_v1, _NO_LINKS, May.READ_TEMPLATES),
    "ListIdentities": Op(identities.list_v1, May.READ),
    "ListIdentityPolicies": _kept(identity_policies.list_v1, _RIGHTS_DECIDE, May.READ),
    "ListReceiptFilters": _kept(receipt_rules.list_filters, _NOTHING_RECEIVED, May.READ_ALL),
    "ListReceiptRuleSets": _kept(receipt_rules.list_sets, _NOTHING_RECEIVED, May.READ_ALL),
    "ListTemplates": Op(templates.list_v1, May.READ_TEMPLATES),
    "ListVerifiedEmailAddresses": Op(identities.list_verified_addresses_v1, May.READ),
    "PutConfigurationSetDeliveryOptions": Op(configuration_sets.put_delivery_v1),
    "PutIdentityPolicy": _kept(identity_policies.put_v1, _RIGHTS_DECIDE),
    "ReorderReceiptRuleSet": _kept(receipt_rules.reorder_set, _NOTHING_RECEIVED),
    "SendBounce": _no("it answers a mail that was received, and nothing is received yet"),
    "SendBulkTemplatedEmail": Op(bulk.send_v1, May.ANY),
    "SendCustomVerificationEmail": _no(_NO_LINKS),
    "SendEmail": Op(sending.send_email_v1, May.ANY),
    "SendRawEmail": Op(sending.send_raw_email_v1, May.ANY),
    "SendTemplatedEmail": Op(templated.send_v1, May.ANY),
    "SetActiveReceiptRuleSet": _kept(receipt_rules.set_active_set, _NOTHING_RECEIVED),
    "SetIdentityDkimEnabled": _kept(identity_dkim.set_enabled_v1, _ALWAYS_SIGNED),
    "SetIdentityFeedbackForwardingEnabled": _kept(identity_settings.set_forwarding_v1, _NOT_FORWARDED),
    "SetIdentityHeadersInNotificationsEnabled": Op(identity_settings.set_headers_v1),
    "SetIdentityMailFromDomain": _kept(identity_settings.set_mail_from_v1, _OWN_RETURN_PATH),
    "SetIdentityNotificationTopic": Op(identity_settings.set_topic_v1),
    "SetReceiptRulePosition": _kept(receipt_rules.set_rule_position, _NOTHING_RECEIVED),
    "TestRenderTemplate": Op(templates.test_render, May.READ_TEMPLATES),
    "UpdateAccountSendingEnabled": Op(account.update_sending_enabled),
    "UpdateConfigurationSetEventDestination": Op(event_destinations.update_v1, remark=_DESTINATIONS),
    "UpdateConfigurationSetReputationMetricsEnabled": Op(configuration_sets.update_reputation_v1, does=Does.STORED),
    "UpdateConfigurationSetSendingEnabled": Op(configuration_sets.update_sending_v1),
    "UpdateConfigurationSetTrackingOptions": Op(configuration_sets.update_tracking_v1, does=Does.STORED),
    "UpdateCustomVerificationEmailTemplate": _kept(verification_templates.update, _NO_LINKS, May.CHANGE_TEMPLATES),
    "UpdateReceiptRule": _kept(receipt_rules.update_rule, "S3, Lambda, WorkMail and Connect actions are refused"),
    "UpdateTemplate": Op(templates.update_v1, May.CHANGE_TEMPLATES),
    "VerifyDomainDkim": Op(identities.verify_domain_dkim_v1),
    "VerifyDomainIdentity": Op(identities.verify_domain_v1),
    "VerifyEmailAddress": Op(identities.verify_address_v1, remark=_PROVEN),
    "VerifyEmailIdentity": Op(identities.verify_address_v1, remark=_PROVEN),
}
_V2: dict[str, Op] = {
    "AssociateEmailIdentityCertificate": _no(_NO_CERTIFICATES),
    "BatchGetMetricData": Op(
        insights.batch_get_metric_data, May.READ, remark="by day, out of the statistics' counters"
    ),
    "CancelExportJob": Op(jobs.cancel_export),
    "CreateConfigurationSet": Op(configuration_sets.create_v2),
    "CreateConfigurationSetEventDestination": Op(event_destinations.create_v2, remark=_DESTINATIONS),
    "CreateContact": Op(contacts.create),
    "CreateContactList": Op(contact_lists.create),
    "CreateCustomVerificationEmailTemplate": _kept(verification_templates.create, _NO_LINKS, May.CHANGE_TEMPLATES),
    "CreateDedicatedIpPool": _kept(dedicated_ips.create_pool, "the pool `bulk` chooses the bulk stream"),
    "CreateDeliverabilityTestReport": _no(_NO_DASHBOARD),
    "CreateEmailIdentity": Op(identities.create_v2, remark=_PROVEN),
    "CreateEmailIdentityPolicy": _kept(identity_policies.create_v2, _RIGHTS_DECIDE),
    "CreateEmailTemplate": Op(templates.create_v2, May.CHANGE_TEMPLATES),
    "CreateExportJob": Op(jobs.create_export, remark="the file is fetched by a link of ours"),
    "CreateImportJob": Op(jobs.create_import, remark="of a file that is uploaded to us"),
    "CreateMultiRegionEndpoint": _no(_NO_REGIONS),
    "CreateTenant": _kept(tenants.create, "mail of a tenant is sent as any other"),
    "CreateTenantResourceAssociation": _kept(tenants.associate, "confines nothing"),
    "DeleteConfigurationSet": Op(configuration_sets.delete),
    "DeleteConfigurationSetEventDestination": Op(event_destinations.delete),
    "DeleteContact": Op(contacts.delete),
    "DeleteContactList": Op(contact_lists.delete),
    "DeleteCustomVerificationEmailTemplate": _kept(verification_templates.delete_v2, _NO_LINKS, May.CHANGE_TEMPLATES),
    "DeleteDedicatedIpPool": _kept(dedicated_ips.delete_pool, ""),
    "DeleteEmailIdentity": Op(identities.delete_v2),
    "DeleteEmailIdentityPolicy": _kept(identity_policies.delete_v2, _RIGHTS_DECIDE),
    "DeleteEmailTemplate": Op(templates.delete_v2, May.CHANGE_TEMPLATES),
    "DeleteMultiRegionEndpoint": _no(_NO_REGIONS),
    "DeleteSuppressedDestination": Op(suppressions.delete),
    "DeleteTenant": _kept(tenants.delete, ""),
    "DeleteTenantResourceAssociation": _kept(tenants.dissociate, ""),
    "DisassociateEmailIdentityCertificate": _no(_NO_CERTIFICATES),
    "GetAccount": Op(account.get_account, May.ANY),
    "GetBlacklistReports": _no(_NO_DASHBOARD),
    "GetConfigurationSet": Op(configuration_sets.get_v2, May.READ),
    "GetConfigurationSetEventDestinations": Op(event_destinations.get_v2, May.READ),
    "GetContact": Op(contacts.get, May.READ_ALL),
    "GetContactList": Op(contact_lists.get, May.READ_ALL),
    "GetCustomVerificationEmailTemplate": _kept(verification_templates.get, _NO_LINKS, May.READ_TEMPLATES),
    "GetDedicatedIp": _kept(dedicated_ips.get_ip, _NO_ADDRESSES, May.READ),
    "GetDedicatedIpPool": _kept(dedicated_ips.get_pool, "", May.READ),
    "GetDedicatedIps": _kept(dedicated_ips.get_ips, _NO_ADDRESSES, May.READ),
    "GetDeliverabilityDashboardOptions": _kept(account.get_dashboard_options, "always off", May.READ),
    "GetDeliverabilityTestReport": _no(_NO_DASHBOARD),
    "GetDomainDeliverabilityCampaign": _no(_NO_DASHBOARD),
    "GetDomainStatisticsReport": _no(_NO_DASHBOARD),
    "GetEmailAddressInsights": _no("addresses are not guessed at; a bounce tells whether one is there"),
    "GetEmailIdentity": Op(identities.get_v2, May.READ),
    "GetEmailIdentityPolicies": _kept(identity_policies.get_v2, _RIGHTS_DECIDE, May.READ),
    "GetEmailTemplate": Op(templates.get_v2, May.READ_TEMPLATES),
    "GetExportJob": Op(jobs.get_export, May.READ_ALL),
    "GetImportJob": Op(jobs.get_import, May.READ_ALL),
    "GetMessageInsights": Op(insights.get_message, May.READ),
    "GetMultiRegionEndpoint": _no(_NO_REGIONS),
    "GetReputationEntity": _kept(reputation.get_entity, "healthy, but for what the customer paused", May.READ_ALL),
    "GetSuppressedDestination": Op(suppressions.get, May.READ),
    "GetTenant": _kept(tenants.get, "", May.READ_ALL),
    "ListConfigurationSets": Op(configuration_sets.list_v2, May.READ),
    "ListContactLists": Op(contact_lists.list_of, May.READ_ALL),
    "ListContacts": Op(contacts.list_of, May.READ_ALL),
    "ListCustomVerificationEmailTemplates": _kept(verification_templates.list_v2, _NO_LINKS, May.READ_TEMPLATES),
    "ListDedicatedIpPools": _kept(dedicated_ips.list_pools, "", May.READ),
    "ListDeliverabilityTestReports": _no(_NO_DASHBOARD),
    "ListDomainDeliverabilityCampaigns": _no(_NO_DASHBOARD),
    "ListEmailIdentities": Op(identities.list_v2, May.READ),
    "ListEmailIdentityCertificates": _no(_NO_CERTIFICATES),
    "ListEmailTemplates": Op(templates.list_v2, May.READ_TEMPLATES),
    "ListExportJobs": Op(jobs.list_exports, May.READ_ALL),
    "ListImportJobs": Op(jobs.list_imports, May.READ_ALL),
    "ListMultiRegionEndpoints": _no(_NO_REGIONS),
    "ListRecommendations": Op(insights.list_recommendations, May.READ, remark="there are none: the answer is empty"),
    "ListReputationEntities": _kept(reputation.list_entities, "those of which something was set", May.READ_ALL),
    "ListResourceTenants": _kept(tenants.list_of_resource, "", May.READ_ALL),
    "ListSuppressedDestinations": Op(suppressions.list_of, May.READ),
    "ListTagsForResource": Op(tags.list_of, May.READ),
    "ListTenantResources": _kept(tenants.list_resources, "", May.READ_ALL),
    "ListTenants": _kept(tenants.list_all, "", May.READ_ALL),
    "PutAccountDedicatedIpWarmupAttributes": _kept(dedicated_ips.put_auto_warmup, "warms up nothing"),
    "PutAccountDetails": _kept(account.put_details, "an account is not reviewed here, a domain is"),
    "PutAccountPricingAttributes": _kept(account.put_pricing, "costs nothing"),
    "PutAccountSendingAttributes": Op(account.put_sending_attributes),
    "PutAccountSuppressionAttributes": Op(suppressions.put_account_attributes),
    "PutAccountVdmAttributes": _kept(account.put_vdm, "insights are always on"),
    "PutConfigurationSetArchivingOptions": Op(configuration_sets.put_archiving, does=Does.STORED),
    "PutConfigurationSetDeliveryOptions": Op(configuration_sets.put_delivery_v2),
    "PutConfigurationSetReputationOptions": Op(configuration_sets.put_reputation, does=Does.STORED),
    "PutConfigurationSetSendingOptions": Op(configuration_sets.put_sending),
    "PutConfigurationSetSuppressionOptions": Op(configuration_sets.put_suppression),
    "PutConfigurationSetTrackingOptions": Op(configuration_sets.put_tracking_v2, does=Does.STORED),
    "PutConfigurationSetVdmOptions": Op(configuration_sets.put_vdm, does=Does.STORED),
    "PutDedicatedIpInPool": _kept(dedicated_ips.put_ip_in_pool, _NO_ADDRESSES),
    "PutDedicatedIpPoolScalingAttributes": _kept(dedicated_ips.put_scaling, ""),
    "PutDedicatedIpWarmupAttributes": _kept(dedicated_ips.put_ip_warmup, _NO_ADDRESSES),
    "PutDeliverabilityDashboardOption": _no(_NO_DASHBOARD),
    "PutEmailIdentityConfigurationSetAttributes": Op(identity_settings.put_configuration_set_v2),
    "PutEmailIdentityDkimAttributes": _kept(identity_dkim.put_attributes_v2, _ALWAYS_SIGNED),
    "PutEmailIdentityDkimSigningAttributes": Op(identity_dkim.put_signing_attributes_v2),
    "PutEmailIdentityFeedbackAttributes": _kept(identity_settings.put_feedback_v2, _NOT_FORWARDED),
    "PutEmailIdentityMailFromAttributes": _kept(identity_settings.put_mail_from_v2, _OWN_RETURN_PATH),
    "PutSuppressedDestination": Op(suppressions.put),
    "PutTenantSuppressionAttributes": _kept(tenants.put_suppression, "the account's suppression list counts"),
    "SendBulkEmail": Op(bulk.send_v2, May.ANY),
    "SendCustomVerificationEmail": _no(_NO_LINKS),
    "SendEmail": Op(sending.send_email_v2, May.ANY),
    "TagResource": Op(tags.tag),
    "TestRenderEmailTemplate": Op(templates.test_render, May.READ_TEMPLATES),
    "UntagResource": Op(tags.untag),
    "UpdateConfigurationSetEventDestination": Op(event_destinations.update_v2, remark=_DESTINATIONS),
    "UpdateContact": Op(contacts.update),
    "UpdateContactList": Op(contact_lists.update),
    "UpdateCustomVerificationEmailTemplate": _kept(verification_templates.update, _NO_LINKS, May.CHANGE_TEMPLATES),
    "UpdateEmailIdentityPolicy": _kept(identity_policies.update_v2, _RIGHTS_DECIDE),
    "UpdateEmailTemplate": Op(templates.update_v2, May.CHANGE_TEMPLATES),
    "UpdateReputationEntityCustomerManagedStatus": _kept(reputation.update_status, "stops no mail"),
    "UpdateReputationEntityPolicy": _kept(reputation.update_policy, ""),
}
_SNS: dict[str, Op] = {
    "ConfirmSubscription": Op(sns_subscriptions.confirm),
    "CreateTopic": Op(sns_topics.create),
    "DeleteTopic": Op(sns_topics.delete),
    "GetSubscriptionAttributes": Op(sns_subscriptions.get_attributes, May.READ_ALL),
    "GetTopicAttributes": Op(sns_topics.get_attributes, May.READ_ALL),
    "ListSubscriptions": Op(sns_subscriptions.get_list, May.READ_ALL),
    "ListSubscriptionsByTopic": Op(sns_subscriptions.list_by_topic, May.READ_ALL),
    "ListTagsForResource": Op(sns_topics.list_tags, May.READ_ALL),
    "ListTopics": Op(sns_topics.get_list, May.READ_ALL),
    "Publish": Op(sns_topics.publish),
    "SetSubscriptionAttributes": Op(
        sns_subscriptions.set_attributes, remark="filter policies are kept and not applied"
    ),
    "SetTopicAttributes": Op(sns_topics.set_attributes),
    "Subscribe": Op(sns_subscriptions.subscribe, remark="protocols http and https"),
    "TagResource": Op(sns_topics.tag),
    "Unsubscribe": Op(sns_subscriptions.unsubscribe),
    "UntagResource": Op(sns_topics.untag),
}
_STS: dict[str, Op] = {
    "GetCallerIdentity": Op(sts.get_caller_identity, May.ANY),
}

TABLE: Mapping[str, Mapping[str, Op]] = {
    "ses": {name: _V1.get(name, _no("not there yet")) for name in service("ses").operations},
    "sesv2": {name: _V2.get(name, _no("not there yet")) for name in service("sesv2").operations},
    "sns": _SNS,
    "sts": _STS,
}
