"""Every path of Mailtrap's API, once: its functions, what they need, how they are answered and counted.

The general API has two families of paths: `/api/accounts/{account_id}/...` (what nearly all SDKs call) and `/api/...`
(where the account is the token's), with other names for inboxes and sending domains. :func:`_both` makes a row of each.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.responses import Response

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
    inbox_attachments,
    inbox_events,
    inbox_faults,
    inbox_forwards,
    inbox_messages,
    inbox_queries,
    inbox_reports,
    inboxes,
    invitations,
    log_export,
    logs,
    projects,
    rates,
    sandbox_sending,
    sending,
    share_links,
    stats,
    suppressions,
    template_versions,
    templates,
    tracking_opt_outs,
    webhooks,
)
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Shape
from mailferry.endpoints.mailtrap.rates import Rate
from mailferry.resources.permissions import ADMIN, SINGLE, VIEWER, Resource, Rights

Function = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Need:
    """The least that a token must have to call a function; the function itself looks at single resources.

    ``within``: a level on one resource of these kinds is enough, the answer is confined to those.
    """

    level: int
    within: tuple[Resource, ...] = ()

    def met(self, rights: Rights) -> bool:
        return rights.account >= self.level or any(self._met(rights, kind) for kind in self.within)

    def _met(self, rights: Rights, kind: Resource) -> bool:
        if kind in SINGLE:
            return rights.on(kind, rights.account_id) >= self.level
        granted = rights.granted(kind, self.level)
        return granted is None or bool(granted)


ANY = Need(0)
ACCOUNT_VIEWER, ACCOUNT_ADMIN = Need(VIEWER), Need(ADMIN)
BILLING_VIEWER = Need(VIEWER, (Resource.BILLING,))
DOMAIN_VIEWER = Need(VIEWER, (Resource.DOMAIN,))
DOMAIN_ADMIN = Need(ADMIN, (Resource.DOMAIN,))
TEMPLATES_VIEWER, TEMPLATES_ADMIN = Need(VIEWER, (Resource.TEMPLATES,)), Need(ADMIN, (Resource.TEMPLATES,))

#: More than that, where it is needed, is needed on the one that is named.
SANDBOX_VIEWER = Need(VIEWER, (Resource.PROJECT, Resource.INBOX))


@dataclass(frozen=True, slots=True)
class Op:
    function: Function
    need: Need = ACCOUNT_ADMIN
    #: Counted beside the general rate.
    rate: Rate | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """One row. A final slash changes nothing."""

    path: str
    ops: Mapping[str, Op]
    shape: Shape = Shape.GENERAL
    #: What the path says of the stream, where it does.
    stream: str = ""


# Who may send as which domain is the intake's to say, and its answer says why.
_SEND = {"POST": Op(sending.send, ANY)}
_BATCH = {"POST": Op(sending.batch, ANY)}


def _both(legacy: str, current: str, ops: Mapping[str, Op]) -> tuple[Path, Path]:
    return Path(f"/api/accounts/{{account_id}}/{legacy}", ops), Path(f"/api/{current}", ops)


SENDING = (
    Path("/api/send", _SEND, Shape.SEND),
    Path("/api/batch", _BATCH, Shape.SEND),
    Path("/bulk/api/send", _SEND, Shape.SEND, "bulk"),
    Path("/bulk/api/batch", _BATCH, Shape.SEND, "bulk"),
    # Which inbox, and whose, is the functions' to see: they answer as sending does.
    Path("/api/send/{inbox_id}", {"POST": Op(sandbox_sending.send, ANY)}, Shape.SEND, "sandbox"),
    Path("/api/batch/{inbox_id}", {"POST": Op(sandbox_sending.batch, ANY)}, Shape.SEND, "sandbox"),
)

LOGS = (
    *_both("email_logs", "email_logs", {"GET": Op(logs.get_list, DOMAIN_VIEWER, rates.LOG_LIST)}),
    # Ours (docs/logs.md).
    *_both("email_logs/export", "email_logs/export", {"GET": Op(log_export.export, DOMAIN_VIEWER, rates.LOG_EXPORT)}),
    *_both(
        "email_logs/{message_id}", "email_logs/{message_id}", {"GET": Op(logs.get_one, DOMAIN_VIEWER, rates.LOG_GET)}
    ),
)

STATS = tuple(
    row
    for rest, function in (
        ("", stats.get_total),
        ("/domains", stats.get_domains),
        ("/categories", stats.get_categories),
        ("/email_service_providers", stats.get_providers),
        ("/date", stats.get_days),
    )
    for row in _both(f"stats{rest}", f"stats{rest}", {"GET": Op(function, DOMAIN_VIEWER, rates.STATS)})
)

# --- accounts
ACCOUNTS = (
    Path("/api/accounts", {"GET": Op(accounts.get_list, ANY)}),
    *_both("account_accesses", "account_accesses", {"GET": Op(account_accesses.get_list)}),
    *_both(
        "account_accesses/{account_access_id}",
        "account_accesses/{account_access_id}",
        {"DELETE": Op(account_accesses.remove)},
    ),
    *_both(
        "account_accesses/{account_access_id}/permissions/bulk",
        "account_accesses/{account_access_id}/permissions/bulk",
        {"PUT": Op(account_accesses.update_permissions)},
    ),
    # Ours (docs/users.md).
    *_both(
        "invitations",
        "invitations",
        {"GET": Op(invitations.get_list), "POST": Op(invitations.create, ACCOUNT_ADMIN, rates.INVITATIONS)},
    ),
    *_both("invitations/{invitation_id}", "invitations/{invitation_id}", {"DELETE": Op(invitations.delete)}),
    *_both(
        "invitations/{invitation_id}/resend",
        "invitations/{invitation_id}/resend",
        {"POST": Op(invitations.resend, ACCOUNT_ADMIN, rates.INVITATIONS)},
    ),
    *_both("permissions/resources", "permissions/resources", {"GET": Op(account_accesses.get_resources, ANY)}),
    *_both("api_tokens", "api_tokens", {"GET": Op(api_tokens.get_list, ANY), "POST": Op(api_tokens.create)}),
    *_both(
        "api_tokens/{api_token_id}",
        "api_tokens/{api_token_id}",
        {"GET": Op(api_tokens.get_one, ANY), "DELETE": Op(api_tokens.delete)},
    ),
    *_both("api_tokens/{api_token_id}/reset", "api_tokens/{api_token_id}/reset", {"POST": Op(api_tokens.reset)}),
    *_both("billing/usage", "billing/usage", {"GET": Op(accounts.get_usage, BILLING_VIEWER)}),
    # The organization is looked at by the functions: a token of it is one of an account of it as well.
    Path(
        "/api/organizations/{organization_id}/sub_accounts",
        {"GET": Op(accounts.get_sub_accounts, ANY), "POST": Op(accounts.create_sub_account, ANY)},
    ),
)

# --- domains
#: Ours (docs/environments.md).
ENVIRONMENTS = (
    *_both(
        "environment",
        "environment",
        {
            "GET": Op(environments.get_one, ACCOUNT_VIEWER),
            "PUT": Op(environments.replace),
            "DELETE": Op(environments.delete),
        },
    ),
    *_both(
        "sending_domains/{sending_domain_id}/environment",
        "domains/{domain_id}/environment",
        {
            "GET": Op(environments.get_of_domain, DOMAIN_VIEWER),
            "PUT": Op(environments.replace_of_domain, DOMAIN_ADMIN),
            "DELETE": Op(environments.delete_of_domain, DOMAIN_ADMIN),
        },
    ),
)

DOMAINS = (
    *_both("sending_domains", "domains", {"GET": Op(domains.get_list, DOMAIN_VIEWER), "POST": Op(domains.create)}),
    *_both(
        "sending_domains/{sending_domain_id}",
        "domains/{domain_id}",
        {
            "GET": Op(domains.get_one, DOMAIN_VIEWER),
            "PATCH": Op(domains.update, DOMAIN_ADMIN),
            "DELETE": Op(domains.delete, DOMAIN_ADMIN),
        },
    ),
    *_both(
        "sending_domains/{sending_domain_id}/send_setup_instructions",
        "domains/{domain_id}/send_setup_instructions",
        {"POST": Op(domains.send_setup_instructions, DOMAIN_ADMIN)},
    ),
    *_both(
        "sending_domains/{sending_domain_id}/company_info",
        "domains/{domain_id}/company_info",
        {
            "GET": Op(company_info.get_one, DOMAIN_VIEWER),
            "POST": Op(company_info.create, DOMAIN_ADMIN),
            "PATCH": Op(company_info.update, DOMAIN_ADMIN),
        },
    ),
    # Not Mailtrap's: there the review is on pages only.
    *_both(
        "sending_domains/{sending_domain_id}/review",
        "domains/{domain_id}/review",
        {"GET": Op(domain_reviews.get_one, DOMAIN_VIEWER), "POST": Op(domain_reviews.reply, DOMAIN_ADMIN)},
    ),
)

# --- suppressions
SUPPRESSIONS = (
    *_both(
        "suppressions",
        "suppressions",
        {
            "GET": Op(suppressions.get_list, DOMAIN_VIEWER, rates.SUPPRESSIONS),
            "POST": Op(suppressions.create, DOMAIN_ADMIN, rates.SUPPRESSIONS),
        },
    ),
    *_both(
        "suppressions/{suppression_id}",
        "suppressions/{suppression_id}",
        {"DELETE": Op(suppressions.delete, DOMAIN_ADMIN, rates.SUPPRESSIONS)},
    ),
)

# --- opting out of tracking
TRACKING_OPT_OUTS = (
    *_both(
        "tracking_opt_outs",
        "tracking_opt_outs",
        {"GET": Op(tracking_opt_outs.get_list, DOMAIN_VIEWER), "POST": Op(tracking_opt_outs.create, DOMAIN_ADMIN)},
    ),
    *_both(
        "tracking_opt_outs/{tracking_opt_out_id}",
        "tracking_opt_outs/{tracking_opt_out_id}",
        {"DELETE": Op(tracking_opt_outs.delete, DOMAIN_ADMIN)},
    ),
)

# --- templates
_ONE = "email_templates/{email_template_id}"
_VERSION = f"{_ONE}/versions/{{version}}"
TEMPLATES = (
    *_both(
        "email_templates",
        "email_templates",
        {"GET": Op(templates.get_list, TEMPLATES_VIEWER), "POST": Op(templates.create, TEMPLATES_ADMIN)},
    ),
    *_both(
        _ONE,
        _ONE,
        {
            "GET": Op(templates.get_one, TEMPLATES_VIEWER),
            "PATCH": Op(templates.update, TEMPLATES_ADMIN),
            "DELETE": Op(templates.delete, TEMPLATES_ADMIN),
        },
    ),
    *_both(
        "templates",
        "templates",
        {
            "GET": Op(templates.get_page, TEMPLATES_VIEWER, rates.TEMPLATES_LIST),
            "POST": Op(templates.create_enveloped, TEMPLATES_ADMIN, rates.TEMPLATES_CREATE),
        },
    ),
    *_both(
        "templates/{template_id}",
        "templates/{template_id}",
        {
            "GET": Op(templates.get_one_enveloped, TEMPLATES_VIEWER),
            "PATCH": Op(templates.update_enveloped, TEMPLATES_ADMIN),
            "PUT": Op(templates.update_enveloped, TEMPLATES_ADMIN),
            "DELETE": Op(templates.delete, TEMPLATES_ADMIN),
        },
    ),
    # Ours (docs/templates.md).
    *_both(f"{_ONE}/versions", f"{_ONE}/versions", {"GET": Op(template_versions.get_list, TEMPLATES_VIEWER)}),
    *_both(_VERSION, _VERSION, {"GET": Op(template_versions.get_one, TEMPLATES_VIEWER)}),
    *_both(f"{_VERSION}/restore", f"{_VERSION}/restore", {"POST": Op(template_versions.restore, TEMPLATES_ADMIN)}),
    *_both(
        f"{_ONE}/test_data",
        f"{_ONE}/test_data",
        {
            "GET": Op(template_versions.get_test_data, TEMPLATES_VIEWER),
            "PUT": Op(template_versions.put_test_data, TEMPLATES_ADMIN),
        },
    ),
    *_both(f"{_ONE}/preview", f"{_ONE}/preview", {"POST": Op(template_versions.preview, TEMPLATES_VIEWER)}),
)

# --- contacts


def _contacts(path: str, ops: Mapping[str, Function]) -> tuple[Path, Path]:
    """Whoever sees the account sees its contacts, and its admins change them. All of it is counted together."""
    counted = {
        method: Op(function, ACCOUNT_VIEWER if method == "GET" else ACCOUNT_ADMIN, rates.CONTACTS)
        for method, function in ops.items()
    }
    return _both(f"contacts{path}", f"contacts{path}", counted)


CONTACTS = (
    *_contacts("", {"POST": contacts.create}),
    *_contacts("/lists", {"GET": contact_lists.get_list, "POST": contact_lists.create}),
    *_contacts(
        "/lists/{list_id}",
        {"GET": contact_lists.get_one, "PATCH": contact_lists.update, "DELETE": contact_lists.delete},
    ),
    *_contacts("/fields", {"GET": contact_fields.get_list, "POST": contact_fields.create}),
    *_contacts(
        "/fields/{field_id}",
        {"GET": contact_fields.get_one, "PATCH": contact_fields.update, "DELETE": contact_fields.delete},
    ),
    *_contacts("/imports", {"POST": contact_imports.create}),
    *_contacts("/imports/{import_id}", {"GET": contact_imports.get_one}),
    *_contacts("/exports", {"POST": contact_exports.create}),
    *_contacts("/exports/{export_id}", {"GET": contact_exports.get_one}),
    # Ours: Mailtrap has segments on its pages alone.
    *_contacts("/segments", {"GET": contact_segments.get_list, "POST": contact_segments.create}),
    *_contacts(
        "/segments/{segment_id}",
        {"GET": contact_segments.get_one, "PATCH": contact_segments.update, "DELETE": contact_segments.delete},
    ),
    *_contacts("/segments/{segment_id}/contacts", {"GET": contact_segments.get_contacts}),
    # Last, and with all that is left of the path: the part before an address's @ may hold a slash.
    *_contacts("/{contact_identifier:path}/events", {"POST": contact_events.create}),
    *_contacts(
        "/{contact_identifier:path}",
        # Mailtrap documents PATCH, its PHP SDK says PUT, and it changes what is given and no more either way.
        {"GET": contacts.get_one, "PATCH": contacts.update, "PUT": contacts.update, "DELETE": contacts.delete},
    ),
)

# --- webhooks


def _webhooks(path: str, ops: Mapping[str, Function]) -> tuple[Path, Path]:
    """Whoever sees the account sees its webhooks, and its admins change them."""
    needed = {
        method: Op(function, ACCOUNT_VIEWER if method == "GET" else ACCOUNT_ADMIN) for method, function in ops.items()
    }
    return _both(f"webhooks{path}", f"webhooks{path}", needed)


WEBHOOKS = (
    *_webhooks("", {"GET": webhooks.get_list, "POST": webhooks.create}),
    *_webhooks("/{webhook_id}", {"GET": webhooks.get_one, "PATCH": webhooks.update, "DELETE": webhooks.delete}),
    # Ours (docs/webhooks.md).
    *_webhooks("/{webhook_id}/test", {"POST": webhooks.test}),
    *_webhooks("/{webhook_id}/reset_secret", {"POST": webhooks.reset_secret}),
    *_webhooks("/{webhook_id}/replays", {"GET": webhooks.get_replays, "POST": webhooks.replay}),
    *_webhooks("/{webhook_id}/events", {"GET": webhooks.get_log}),
    *_webhooks("/{webhook_id}/attempts", {"GET": webhooks.get_attempts}),
)

# --- the sandbox
_MESSAGE = "{{inbox_message_id}}"


def _sandboxes(path: str, ops: Mapping[str, Op]) -> tuple[Path, Path]:
    """``path`` begins with {}, where it is about one."""
    return _both(f"inboxes{path.format('{inbox_id}')}", f"sandboxes{path.format('{sandbox_id}')}", ops)


def _message(path: str, method: str, function: Function) -> tuple[Path, Path]:
    return _sandboxes(f"/{{}}/messages/{_MESSAGE}{path}", {method: Op(function, SANDBOX_VIEWER)})


SANDBOX = (
    *_both("projects", "projects", {"GET": Op(projects.get_list, SANDBOX_VIEWER), "POST": Op(projects.create)}),
    *_both(
        "projects/{project_id}",
        "projects/{project_id}",
        {
            "GET": Op(projects.get_one, SANDBOX_VIEWER),
            "PATCH": Op(projects.update, SANDBOX_VIEWER),
            "DELETE": Op(projects.delete, SANDBOX_VIEWER),
        },
    ),
    *_both(
        "projects/{project_id}/inboxes",
        "projects/{project_id}/sandboxes",
        {"POST": Op(projects.create_inbox, SANDBOX_VIEWER)},
    ),
    # Ours (docs/sandbox.md).
    *_both(
        "projects/{project_id}/share_links",
        "projects/{project_id}/share_links",
        {
            "GET": Op(share_links.of_project, SANDBOX_VIEWER),
            "POST": Op(share_links.create_of_project, SANDBOX_VIEWER),
        },
    ),
    *_both(
        "projects/{project_id}/share_links/{share_link_id}",
        "projects/{project_id}/share_links/{share_link_id}",
        {"DELETE": Op(share_links.delete_of_project, SANDBOX_VIEWER)},
    ),
    *_sandboxes(
        "/{}/share_links",
        {"GET": Op(share_links.of_inbox, SANDBOX_VIEWER), "POST": Op(share_links.create_of_inbox, SANDBOX_VIEWER)},
    ),
    *_sandboxes("/{}/share_links/{{share_link_id}}", {"DELETE": Op(share_links.delete_of_inbox, SANDBOX_VIEWER)}),
    *_sandboxes("", {"GET": Op(inboxes.get_list, SANDBOX_VIEWER)}),
    *_sandboxes(
        "/{}",
        {
            "GET": Op(inboxes.get_one, SANDBOX_VIEWER),
            "PATCH": Op(inboxes.update, SANDBOX_VIEWER),
            "DELETE": Op(inboxes.delete, SANDBOX_VIEWER),
        },
    ),
    *_sandboxes("/{}/clean", {"PATCH": Op(inboxes.clean, SANDBOX_VIEWER)}),
    *_sandboxes("/{}/all_read", {"PATCH": Op(inboxes.mark_all_read, SANDBOX_VIEWER)}),
    *_sandboxes("/{}/reset_credentials", {"PATCH": Op(inboxes.reset_credentials, SANDBOX_VIEWER)}),
    *_sandboxes("/{}/toggle_email_username", {"PATCH": Op(inboxes.toggle_email_username, SANDBOX_VIEWER)}),
    *_sandboxes("/{}/reset_email_username", {"PATCH": Op(inboxes.reset_email_username, SANDBOX_VIEWER)}),
    # Ours (docs/faults.md).
    *_sandboxes(
        "/{}/faults",
        {
            "GET": Op(inbox_faults.get_one, SANDBOX_VIEWER),
            "PUT": Op(inbox_faults.replace, SANDBOX_VIEWER),
            "DELETE": Op(inbox_faults.delete, SANDBOX_VIEWER),
        },
    ),
    *_sandboxes(
        "/{}/messages",
        # The deletion by query is ours.
        {"GET": Op(inbox_messages.get_list, SANDBOX_VIEWER), "DELETE": Op(inbox_queries.delete, SANDBOX_VIEWER)},
    ),
    # Ours (docs/testing.md). Before the message, whose id none of these words is.
    *_sandboxes("/{}/messages/wait", {"GET": Op(inbox_queries.wait, SANDBOX_VIEWER)}),
    *_sandboxes("/{}/messages/events", {"GET": Op(inbox_events.events, SANDBOX_VIEWER)}),
    *_sandboxes("/{}/messages/latest", {"GET": Op(inbox_queries.latest, SANDBOX_VIEWER)}),
    *_sandboxes("/{}/messages/search", {"GET": Op(inbox_queries.search, SANDBOX_VIEWER)}),
    *_sandboxes("/{}/messages/assert", {"POST": Op(inbox_queries.check, SANDBOX_VIEWER)}),
    *_sandboxes(
        f"/{{}}/messages/{_MESSAGE}",
        {
            "GET": Op(inbox_messages.get_one, SANDBOX_VIEWER),
            "PATCH": Op(inbox_messages.update, SANDBOX_VIEWER),
            "DELETE": Op(inbox_messages.delete, SANDBOX_VIEWER),
        },
    ),
    *_message("/body.txt", "GET", inbox_messages.get_text),
    *_message("/body.html", "GET", inbox_messages.get_html),
    *_message("/body.htmlsource", "GET", inbox_messages.get_html_source),
    *_message("/body.raw", "GET", inbox_messages.get_raw),
    *_message("/body.eml", "GET", inbox_messages.get_eml),
    *_message("/forward", "POST", inbox_forwards.forward),
    *_message("/mail_headers", "GET", inbox_messages.get_headers),
    *_message("/spam_report", "GET", inbox_reports.get_spam_report),
    *_message("/analyze", "GET", inbox_reports.get_analysis),
    # Ours (docs/checks.md).
    *_message("/checks", "GET", inbox_reports.get_checks),
    *_message("/attachments", "GET", inbox_attachments.get_list),
    *_message("/attachments/{{attachment_id}}", "GET", inbox_attachments.get_one),
)

#: What later issues bring, and what nobody knows.
UNKNOWN = (
    Path("/bulk/api/{rest:path}", {}, Shape.SEND),
    Path("/api/send/{rest:path}", {}, Shape.SEND),
    Path("/api/batch/{rest:path}", {}, Shape.SEND),
    Path("/api/accounts/{account_id}/{rest:path}", {}),
    Path("/api/{rest:path}", {}),
    Path("/api", {}),
)

TABLE: tuple[Path, ...] = (
    *SENDING,
    *LOGS,
    *STATS,
    *ACCOUNTS,
    *DOMAINS,
    *ENVIRONMENTS,
    *SUPPRESSIONS,
    *TRACKING_OPT_OUTS,
    *TEMPLATES,
    *CONTACTS,
    *WEBHOOKS,
    *SANDBOX,
    *UNKNOWN,
)
