"""Every function of Mailtrap's API that changes something stands in the audit log, in whoever's name."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Row

from mailferry.endpoints.mailtrap import (
    account_accesses,
    accounts,
    api_tokens,
    company_info,
    contact_events,
    contact_exports,
    contact_fields,
    contact_imports,
    contact_lists,
    contact_segments,
    contacts,
    domain_reviews,
    domains,
    environments,
    inbox_faults,
    inbox_forwards,
    inbox_messages,
    inbox_queries,
    inboxes,
    invitations,
    projects,
    sandbox_sending,
    sending,
    share_links,
    suppressions,
    template_versions,
    templates,
    tracking_opt_outs,
    webhooks,
)
from mailferry.endpoints.mailtrap.table import TABLE
from mailferry.resources import audit
from mailferry.resources.permissions import ADMIN, Grant, Resource
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.mailtrap_domains import COMPANY, furnished
from tests.mailtrap_house import MailtrapHouse

#: These change nothing that an account keeps: mail is sent, a webhook tried, a preview shown; what a contact did is a
#: customer's data, and stands with the contact, and what an inbox caught goes by itself.
NO_CHANGES = {
    *(sending.send, sending.batch, domains.send_setup_instructions),
    *(webhooks.test, template_versions.preview, contact_events.create),
    *(sandbox_sending.send, sandbox_sending.batch, inbox_forwards.forward),
    *(inboxes.clean, inboxes.mark_all_read, inbox_messages.update, inbox_messages.delete),
    *(inbox_queries.check, inbox_queries.delete),
}
TEXTS = {"subject": "Hi", "body_text": "One"}
FAULT = {"stage": "data", "action": "delay", "seconds": 0.5}
TO_ONE = {"mode": "redirect", "redirect_to": "qa@dest.test"}
LETTER = {"name": "Letter", "category": "Welcome", **TEXTS}
CONDITIONS = [{"name": "subscription_status", "operator": "equal", "value": "subscribed"}]
SEGMENT = {"name": "S", "match": "all", "conditions": CONDITIONS}

Step = tuple[Callable[..., Any], str, str, Any, str]


def steps(account: int, number: int, access: int) -> list[Step]:
    """In this order each of them changes something; ``$`` is the newest id of an answer, ``&`` the one before."""
    domain, mine = f"domains/{number}", [{"resource_type": "account", "resource_id": account}]
    viewer, admin = ([{**mine[0], "access_level": level}] for level in (10, 100))
    hook = {"url": "https://example.com/", "webhook_type": "email_sending", "sending_stream": "bulk"}
    bob = {"email": "bob@example.net", "domain_id": number, "sending_stream": "bulk"}
    return [
        (api_tokens.create, "POST", "api_tokens", {"name": "Shop", "resources": viewer}, "api_token.created"),
        (api_tokens.reset, "POST", "api_tokens/$/reset", {}, "api_token.reset"),
        (api_tokens.delete, "DELETE", "api_tokens/$", None, "api_token.deleted"),
        (
            *(account_accesses.update_permissions, "PUT", f"account_accesses/{access}/permissions/bulk"),
            *({"permissions": admin}, "permissions.updated"),
        ),
        (account_accesses.remove, "DELETE", f"account_accesses/{access}", None, "account_access.deleted"),
        (
            *(invitations.create, "POST", "invitations"),
            *({"email": "ann@example.net", "permissions": viewer}, "invitation.created"),
        ),
        (invitations.resend, "POST", "invitations/$/resend", {}, "invitation.resent"),
        (invitations.delete, "DELETE", "invitations/$", None, "invitation.deleted"),
        (domains.update, "PATCH", domain, {"domain": {"open_tracking_enabled": False}}, "domain.updated"),
        (company_info.create, "POST", f"{domain}/company_info", {"company_info": COMPANY}, "company_info.created"),
        (
            *(company_info.update, "PATCH", f"{domain}/company_info"),
            *({"company_info": {"name": "Shop 2"}}, "company_info.updated"),
        ),
        (domain_reviews.reply, "POST", f"{domain}/review", {"message": "Hello"}, "domain_review.message"),
        (suppressions.create, "POST", "suppressions", bob, "suppression.created"),
        (suppressions.delete, "DELETE", "suppressions/$", None, "suppression.deleted"),
        (
            *(tracking_opt_outs.create, "POST", "tracking_opt_outs"),
            *({"email": "bob@example.net", "domain_id": number}, "tracking_opt_out.created"),
        ),
        (tracking_opt_outs.delete, "DELETE", "tracking_opt_outs/$", None, "tracking_opt_out.deleted"),
        (domains.create, "POST", "domains", {"domain": {"domain_name": "new.test"}}, "api_token.created"),
        (domains.delete, "DELETE", "domains/$", None, "domain.deleted"),
        (templates.create, "POST", "email_templates", {"email_template": LETTER}, "email_template.created"),
        (templates.update, "PATCH", "email_templates/$", {"email_template": {"name": "A"}}, "email_template.updated"),
        (
            template_versions.put_test_data,
            "PUT",
            "email_templates/$/test_data",
            {"template_variables": {"a": 1}},
            "email_template.updated",
        ),
        (templates.update_enveloped, "PATCH", "templates/$", {"body_text": "Two"}, "email_template.updated"),
        (template_versions.restore, "POST", "email_templates/$/versions/1/restore", {}, "email_template.updated"),
        (templates.delete, "DELETE", "email_templates/$", None, "email_template.deleted"),
        (templates.create_enveloped, "POST", "templates", LETTER, "email_template.created"),
        (contact_lists.create, "POST", "contacts/lists", {"name": "News"}, "contact_list.created"),
        (contact_lists.update, "PATCH", "contacts/lists/$", {"name": "Old"}, "contact_list.updated"),
        (contact_lists.delete, "DELETE", "contacts/lists/$", None, "contact_list.deleted"),
        (
            *(contact_fields.create, "POST", "contacts/fields"),
            *({"name": "Age", "merge_tag": "age", "data_type": "integer"}, "contact_field.created"),
        ),
        (contact_fields.update, "PATCH", "contacts/fields/$", {"name": "Years"}, "contact_field.updated"),
        (contact_fields.delete, "DELETE", "contacts/fields/$", None, "contact_field.deleted"),
        (contacts.create, "POST", "contacts", {"contact": {"email": "ann@example.net"}}, "contact.created"),
        (
            *(contacts.update, "PATCH", "contacts/ann@example.net"),
            *({"contact": {"email": "eve@example.net"}}, "contact.updated"),
        ),
        (contacts.delete, "DELETE", "contacts/eve@example.net", None, "contact.deleted"),
        (
            *(contact_imports.create, "POST", "contacts/imports"),
            *({"contacts": [{"email": "max@example.net"}]}, "contact_import.created"),
        ),
        (contact_exports.create, "POST", "contacts/exports", {"filters": []}, "contact_export.created"),
        (contact_segments.create, "POST", "contacts/segments", SEGMENT, "contact_segment.created"),
        (contact_segments.update, "PATCH", "contacts/segments/$", {"name": "T"}, "contact_segment.updated"),
        (contact_segments.delete, "DELETE", "contacts/segments/$", None, "contact_segment.deleted"),
        (webhooks.create, "POST", "webhooks", {"webhook": {**hook, "event_types": ["open"]}}, "webhook.created"),
        (webhooks.update, "PATCH", "webhooks/$", {"webhook": {"active": False}}, "webhook.updated"),
        (webhooks.reset_secret, "POST", "webhooks/$/reset_secret", {}, "webhook.secret_reset"),
        (webhooks.replay, "POST", "webhooks/$/replays", {"parked": True}, "webhook.replayed"),
        (webhooks.delete, "DELETE", "webhooks/$", None, "webhook.deleted"),
        (projects.create, "POST", "projects", {"project": {"name": "Shop"}}, "project.created"),
        (projects.update, "PATCH", "projects/$", {"project": {"name": "Store"}}, "project.updated"),
        (projects.create_inbox, "POST", "projects/$/sandboxes", {"sandbox": {"name": "Tests"}}, "inbox.created"),
        (share_links.create_of_inbox, "POST", "sandboxes/$/share_links", None, "share_link.created"),
        (share_links.delete_of_inbox, "DELETE", "sandboxes/&/share_links/$", None, "share_link.deleted"),
        (inboxes.update, "PATCH", "sandboxes/&", {"sandbox": {"name": "Stage"}}, "inbox.updated"),
        (inbox_faults.replace, "PUT", "sandboxes/$/faults", {"rules": [FAULT]}, "inbox.faults_changed"),
        (inbox_faults.delete, "DELETE", "sandboxes/$/faults", None, "inbox.faults_changed"),
        (inboxes.reset_credentials, "PATCH", "sandboxes/$/reset_credentials", None, "inbox.credentials_reset"),
        (inboxes.toggle_email_username, "PATCH", "sandboxes/$/toggle_email_username", None, "inbox.updated"),
        (inboxes.reset_email_username, "PATCH", "sandboxes/$/reset_email_username", None, "inbox.updated"),
        (inboxes.delete, "DELETE", "sandboxes/$", None, "inbox.deleted"),
        (projects.create, "POST", "projects", {"project": {"name": "Other"}}, "project.created"),
        (share_links.create_of_project, "POST", "projects/$/share_links", None, "share_link.created"),
        (share_links.delete_of_project, "DELETE", "projects/&/share_links/$", None, "share_link.deleted"),
        (projects.delete, "DELETE", "projects/&", None, "project.deleted"),
        (environments.replace, "PUT", "environment", TO_ONE, "environment.updated"),
        (environments.delete, "DELETE", "environment", None, "environment.updated"),
        (environments.replace_of_domain, "PUT", f"{domain}/environment", TO_ONE, "environment.updated"),
        (environments.delete_of_domain, "DELETE", f"{domain}/environment", None, "environment.updated"),
    ]


async def newest(house: MailtrapHouse) -> Row[Any]:
    (row,) = await house.database.read(lambda c: audit.page(c, 0, limit=1))
    return row


def identity(body: Any, before: object) -> object:
    """The id in an answer, with or without its envelope."""
    found = body.get("data", body) if isinstance(body, dict) else {}
    return found.get("id", before) if isinstance(found, dict) else before


def test_every_function_is_known_here() -> None:
    changing = {op.function for row in TABLE for method, op in row.ops.items() if method != "GET"}
    told = {step[0] for step in steps(0, 0, 0)} | {accounts.create_sub_account}
    assert changing == told | NO_CHANGES


async def test_every_change_is_told_of(database: Database, clock: Clock) -> None:
    house = await furnished(database, clock)
    await house.token(Grant(Resource.DOMAIN, house.domain, ADMIN), name="Other")
    everybody = (await house.ask("GET", "account_accesses")).json
    (access,) = [each["id"] for each in everybody if each["specifier"].get("name") == "Other"]
    number: object = 0
    earlier: object = 0
    last = 0
    for function, method, path, body, event in steps(house.account, house.domain, access):
        answer = await house.ask(method, path.replace("$", str(number)).replace("&", str(earlier)), body, legacy=False)
        assert 200 <= answer.status < 300, (method, path, answer.status, answer.body)
        if answer.body:
            earlier, number = number, identity(answer.json, number)
        row = await newest(house)
        assert row.id > last and row.event == event, function
        assert (row.account_id, row.actor_type, row.actor_name) == (house.account, "api_token", "Admin"), function
        last = row.id


async def test_a_sub_account_is_told_of(database: Database, clock: Clock) -> None:
    house = await furnished(database, clock)
    organization = await house.organize()
    token = await house.token(Grant(Resource.ORGANIZATION, organization, ADMIN), name="Group")
    path = f"organizations/{organization}/sub_accounts"
    made = await house.ask("POST", path, {"account": {"name": "Below"}}, token=token, legacy=False)
    row = await newest(house)
    assert (row.account_id, row.event, row.actor_name) == (made.json["id"], "account.created", "Group")
