"""The sandbox: projects, inboxes, and what they caught."""

from typing import Any

from mailferry.endpoints.mailtrap import (
    inbox_attachments,
    inbox_forwards,
    inbox_messages,
    inbox_reports,
    inboxes,
    projects,
    share_links,
)
from mailferry.endpoints.mailtrap.openapi.declaration import GONE, Answer, Asked, Declared, Families, Parameter, json
from mailferry.endpoints.mailtrap.openapi.schemas import (
    ANYTHING,
    COUNT,
    EMAIL,
    ID,
    Component,
    answered,
    any_of,
    array,
    asked,
    choice,
    flag,
    free,
    integer,
    nullable,
    number,
    text,
    time,
)
from mailferry.endpoints.mailtrap.table import Function
from mailferry.resources.inboxes import MOST_MESSAGES, MOST_OCTETS
from mailferry.resources.projects import LEAST_NAME, MOST_NAME
from mailferry.sandbox.inbox import PAGE
from mailferry.sandbox.report import NAMES

_PERMISSIONS = answered({name: flag() for name in ("can_read", "can_update", "can_destroy", "can_leave")})
INBOX = Component(
    "Inbox",
    answered(
        {
            "id": ID,
            "name": text(),
            "username": text("Of SMTP."),
            "password": nullable(text("Of SMTP; for admins of the inbox alone.")),
            "max_size": integer("Messages that it holds; the oldest make room.", minimum=1),
            "status": choice(("active", "inactive", "pending")),
            "email_username": text("The local part of its own address."),
            "email_username_enabled": flag(),
            "sent_messages_count": integer("All that it ever caught.", minimum=0),
            "forwarded_messages_count": COUNT,
            "used": flag("Whether it ever caught anything."),
            "forward_from_email_address": text(),
            "project_id": ID,
            "domain": text("The host of SMTP."),
            "pop3_domain": text(),
            "email_domain": text(),
            "api_domain": text("The host of the API."),
            "emails_count": COUNT,
            "emails_unread_count": COUNT,
            "last_message_sent_at": nullable(time()),
            "smtp_ports": array(integer()),
            "pop3_ports": array(integer()),
            "max_message_size": integer("Octets of one message.", minimum=1),
            "permissions": _PERMISSIONS,
        }
    ),
)


def _project(name: str, inboxes_of: str) -> Component:
    schema = answered(
        {
            "id": ID,
            "name": text(),
            inboxes_of: array(INBOX, "Those that the token may see."),
            "permissions": _PERMISSIONS,
        }
    )
    schema["properties"]["share_links"] = answered(
        {"admin": text(), "viewer": text()}, "For admins of the project alone; empty: they are off."
    )
    return Component(name, schema)


PROJECT = Families(_project("ProjectWithInboxes", "inboxes"), _project("ProjectWithSandboxes", "sandboxes"))


_BLOCKLISTS = any_of(
    {"type": "boolean", "const": False},
    answered(
        {
            "result": choice(("success", "pending", "error")),
            "domain": text(),
            "ip": text(),
            "report": array(
                answered(
                    {
                        "name": text(),
                        "url": text(),
                        "in_black_list": flag(),
                        "status": text("Mailferry's own."),
                        "details": text("Mailferry's own."),
                    }
                )
            ),
        }
    ),
    about="False where no blocklist was asked.",
)


def _message(name: str, inbox: str) -> Component:
    paths = ("html_path", "txt_path", "raw_path", "download_path", "html_source_path")
    return Component(
        name,
        answered(
            {
                "id": ID,
                inbox: ID,
                "subject": text(),
                "sent_at": time("When it was caught."),
                **{name: text() for name in ("from_email", "from_name")},
                "to_email": text("The first of To."),
                "to_name": text(),
                "email_size": COUNT,
                "is_read": flag(),
                "created_at": time(),
                "updated_at": time(),
                "template_id": COUNT,
                "template_variables": nullable(free(ANYTHING)),
                "html_body_size": COUNT,
                "text_body_size": COUNT,
                "human_size": text(),
                **{name: text("A link for a day that needs no token.") for name in paths},
                "blacklists_report_info": _BLOCKLISTS,
                "smtp_information": {
                    "type": "object",
                    "properties": {
                        "ok": flag("Whether it came by SMTP."),
                        "data": answered(
                            {
                                "mail_from_addr": text(),
                                "client_ip": text(),
                                "rcpt_to_addrs": array(text(), "All of the envelope, Bcc among them."),
                            }
                        ),
                    },
                    "required": ["ok"],
                },
                "category": text("Mailferry's own."),
                "custom_variables": free(text(), "Mailferry's own."),
            }
        ),
    )


MESSAGE = Families(_message("InboxMessage", "inbox_id"), _message("SandboxMessage", "sandbox_id"))
ATTACHMENT = Component(
    "InboxAttachment",
    answered(
        {
            "id": ID,
            "message_id": ID,
            "filename": text(),
            "attachment_type": choice(inbox_attachments.TYPES),
            "content_type": text(),
            "content_id": text(),
            "transfer_encoding": text(),
            "attachment_size": COUNT,
            "created_at": time(),
            "updated_at": time(),
            "attachment_human_size": text(),
            "download_path": text("A link for a day that needs no token."),
        }
    ),
)

_SPAM = answered(
    {
        "ResponseCode": integer("0: it was judged."),
        "ResponseMessage": text(),
        "ResponseVersion": text(),
        "Score": number(),
        "Spam": flag(),
        "Threshold": number(),
        "Details": array(
            answered({"Pts": text("A number with one digit."), "RuleName": text(), "Description": text()})
        ),
        "Engine": text("Mailferry's own: who judged."),
    }
)
_LINES = answered(
    {
        "error_line": integer(),
        "rule_name": text(),
        "email_clients": answered({name: array(text()) for name in ("desktop", "mobile", "web")}),
    }
)
_ANALYSIS = answered(
    {
        "report": any_of(
            answered({"status": choice(("success",)), "errors": array(_LINES)}),
            answered({"status": choice(("error",)), "msg": text()}),
        )
    }
)
_CHECK = answered({"result": ANYTHING, "problem": nullable(text()), "ms": COUNT})
_PROJECT_NAME = {"name": text(minLength=LEAST_NAME, maxLength=MOST_NAME)}
_INBOX_NAME = text(minLength=inboxes.LEAST_NAME, maxLength=inboxes.MOST_NAME)
_SIZES = {
    "max_size": integer("Mailferry's own.", minimum=1, maximum=MOST_MESSAGES),
    "max_message_size": integer("Mailferry's own.", minimum=1, maximum=MOST_OCTETS),
}
_WRAPPER = Families("inbox", "sandbox")
_MISSING = Answer("The message has no such body.", {"text/plain": text()})


def _each(schema: Families[Component]) -> Families[Answer | None]:
    return Families(json(schema.older), json(schema.newer))


def _several(schema: Families[Component], about: str) -> Families[Answer | None]:
    return Families(json(array(schema.older), about), json(array(schema.newer), about))


def _body(summary: str, media: str, *, missing: bool = True) -> Declared:
    return Declared(summary, {200: Answer("As it is.", {media: text()}), **({409: _MISSING} if missing else {})})


SHARE_LINK = Component(
    "ShareLink",
    answered(
        {
            "id": ID,
            "url": text("Whoever has it reads; it needs no token."),
            "level": choice(("viewer",)),
            "message_id": nullable(integer("The message that alone is shown.")),
            "created_by": text("The token's name; empty: the command line."),
            "created_at": time(),
        }
    ),
)
_LEVEL = {"level": choice(("viewer",))}


def _sharing(
    what: str, get_list: Function, create: Function, delete: Function, members: dict[str, Any], about: str
) -> dict[Function, Declared]:
    made = Asked(asked(_LEVEL | members), "share_link", example={"level": "viewer"})
    return {
        get_list: Declared(f"List share links of {what}", {200: json(array(SHARE_LINK))}, ours=True),
        create: Declared(f"Make a share link of {what}", {200: json(SHARE_LINK)}, made, about=about, ours=True),
        delete: Declared(f"Revoke a share link of {what}", {204: GONE}, ours=True),
    }


DECLARED: dict[Function, Declared] = {
    projects.get_list: Declared("List projects", {200: _several(PROJECT, "With the inboxes that the token may see.")}),
    projects.get_one: Declared("Show a project", {200: _each(PROJECT)}),
    projects.create: Declared(
        "Make a project",
        {200: _each(PROJECT)},
        Asked(asked(_PROJECT_NAME, "name"), "project", example={"name": "Shop"}),
    ),
    projects.update: Declared(
        "Rename a project",
        {200: _each(PROJECT)},
        Asked(asked(_PROJECT_NAME, "name"), "project", example={"name": "Shop 2"}),
    ),
    projects.delete: Declared(
        "Delete a project", {200: json(answered({"id": ID}))}, about="With its inboxes and all that they caught."
    ),
    inboxes.get_list: Declared("List inboxes", {200: json(array(INBOX), "Those that the token may see.")}),
    inboxes.get_one: Declared("Show an inbox", {200: json(INBOX)}),
    projects.create_inbox: Declared(
        "Make an inbox",
        {200: json(INBOX)},
        Asked(asked({"name": _INBOX_NAME, **_SIZES}, "name"), _WRAPPER, example={"name": "Staging"}),
    ),
    inboxes.update: Declared(
        "Change an inbox",
        {200: json(INBOX)},
        Asked(
            asked({"name": _INBOX_NAME, "email_username": text(maxLength=63), **_SIZES}),
            _WRAPPER,
            example={"name": "Staging 2"},
        ),
        about="Only what is given changes.",
    ),
    inboxes.delete: Declared("Delete an inbox", {200: json(INBOX, "As it was.")}, about="With all that it caught."),
    inboxes.clean: Declared("Delete all messages of an inbox", {200: json(INBOX)}),
    inboxes.mark_all_read: Declared("Mark all messages of an inbox as read", {200: json(INBOX)}),
    inboxes.reset_credentials: Declared("Give an inbox a new user and password", {200: json(INBOX)}),
    inboxes.toggle_email_username: Declared("Turn an inbox's own address on or off", {200: json(INBOX)}),
    inboxes.reset_email_username: Declared("Give an inbox a new address", {200: json(INBOX)}),
    inbox_messages.get_list: Declared(
        "List messages of an inbox",
        {200: _several(MESSAGE, f"The newest first, {PAGE} at most.")},
        query=(
            Parameter("search", text(maxLength=1000), "A part of the subject, or of an address or name in To."),
            Parameter("last_id", integer(minimum=1), "Those that are older than this message."),
            Parameter("page", integer(minimum=1, default=1), "Not looked at beside `last_id`."),
        ),
    ),
    inbox_messages.get_one: Declared("Show a message", {200: _each(MESSAGE)}),
    inbox_messages.update: Declared(
        "Mark a message as read or unread",
        {200: _each(MESSAGE)},
        Asked(
            asked({"is_read": {"type": ["boolean", "string"], "enum": [True, False, "true", "false"]}}, "is_read"),
            "message",
            example={"is_read": True},
        ),
    ),
    inbox_messages.delete: Declared("Delete a message", {200: _each(MESSAGE)}),
    inbox_messages.get_text: _body("Show a message's text", "text/plain"),
    inbox_messages.get_html: _body("Show a message's HTML", "text/html"),
    inbox_messages.get_html_source: _body("Show the source of a message's HTML", "text/html"),
    inbox_messages.get_raw: _body("Show a message as it came", "text/plain", missing=False),
    inbox_messages.get_eml: _body("Download a message as it came", "message/rfc822", missing=False),
    inbox_reports.get_spam_report: Declared(
        "Ask for a message's spam report",
        {200: json(answered({"report": _SPAM}))},
        about="docs/checks.md has its words.",
    ),
    inbox_reports.get_analysis: Declared("Ask which mail clients lack what a message uses", {200: json(_ANALYSIS)}),
    inbox_reports.get_checks: Declared(
        "Ask for all checks of a message",
        {200: json(free(_CHECK, "By the check's name."))},
        query=(Parameter("names[]", array(choice(NAMES)), "These alone; all of them where none is named."),),
        about="Each has a result, or says why there is none.",
        ours=True,
    ),
    inbox_forwards.forward: Declared(
        "Forward a message",
        {200: json(answered({"success": flag(), "message": text()}))},
        Asked(asked({"email": EMAIL}, "email"), example={"email": "ann@example.com"}),
        about="To one of the account's people, from an approved domain of the account.",
    ),
    inbox_messages.get_headers: Declared(
        "Show a message's header",
        {200: json(answered({"headers": free({"anyOf": [text(), array(text())]}, "By names in lower case.")}))},
        about="A field that stands there several times is an array. `bcc` is of the envelope what the header does not name.",
    ),
    inbox_attachments.get_list: Declared(
        "List attachments of a message",
        {200: json(array(ATTACHMENT))},
        query=(Parameter("attachment_type", choice(inbox_attachments.TYPES), "Of this kind alone."),),
    ),
    inbox_attachments.get_one: Declared("Show an attachment", {200: json(ATTACHMENT)}),
}
DECLARED |= _sharing(
    "a project",
    share_links.of_project,
    share_links.create_of_project,
    share_links.delete_of_project,
    {},
    "Of all its inboxes, those that it will have as well.",
)
DECLARED |= _sharing(
    "an inbox",
    share_links.of_inbox,
    share_links.create_of_inbox,
    share_links.delete_of_inbox,
    {"message_id": integer("This message alone.", minimum=1)},
    "Of all that it holds, or of one message.",
)
