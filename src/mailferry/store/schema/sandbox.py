"""The sandbox: projects, their inboxes, and the messages that these have caught."""

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, Table, Text, UniqueConstraint, text

from mailferry.store.schema.columns import flag, id_, int_, metadata, text_

#: Of a new inbox; what is caught beyond takes the place of the oldest.
MAX_SIZE = 10_000
#: Octets of a message that a new inbox takes: the most that Mailtrap's largest plan does.
MAX_MESSAGE_SIZE = 25 * 1024 * 1024

projects = Table("projects", metadata, id_(), int_("account_id", index=True), text_("name"), int_("created_at"))

_NAMED = text("email_username <> ''")

inboxes = Table(
    "inboxes",
    metadata,
    id_(),
    int_("account_id", index=True),
    int_("project_id", index=True),
    text_("name"),
    Column("username", Text, nullable=False),
    Column("password_sealed", LargeBinary, nullable=False),
    #: The local part of its own address, and whether mail to that is taken.
    text_("email_username"),
    flag("email_username_enabled"),
    #: active, inactive or pending (Mailtrap's words).
    text_("status", "active"),
    #: Messages, and octets of one.
    Column("max_size", BigInteger, nullable=False, server_default=text(str(MAX_SIZE))),
    Column("max_message_size", BigInteger, nullable=False, server_default=text(str(MAX_MESSAGE_SIZE))),
    #: Kept by whoever adds, reads and deletes messages, since counting a hundred thousand of them takes too long.
    int_("messages_count"),
    int_("unread_count"),
    #: All that it ever caught, and all that was sent on from it.
    int_("caught_count"),
    int_("forwarded_count"),
    #: 0 = it caught nothing yet.
    int_("last_message_at"),
    #: JSON: how it misbehaves on purpose (sandbox/faults.py); empty: it does not.
    text_("faults"),
    int_("created_at"),
    UniqueConstraint("username"),
    Index("uq_inboxes_email_username", "email_username", unique=True, sqlite_where=_NAMED, postgresql_where=_NAMED),
)

inbox_messages = Table(
    "inbox_messages",
    metadata,
    #: Never given twice: clients ask for what is newer or older than one.
    id_(),
    int_("account_id"),
    int_("inbox_id"),
    #: UUIDv7, drawn before the row is written: by it a message is found again whose commit was not heard of.
    Column("key", Text, nullable=False),
    text_("from_email"),
    text_("from_name"),
    #: The first of To.
    text_("to_email"),
    text_("to_name"),
    text_("subject"),
    #: Subject and all of To in small letters, cut: what a search looks through.
    text_("searched"),
    Column("is_read", Boolean, nullable=False, server_default=text("false")),
    #: Octets as stored, and of the two bodies as they are shown.
    int_("size"),
    int_("html_size"),
    int_("text_size"),
    #: smtp, or mailtrap: the API.
    text_("endpoint"),
    #: The envelope: recipients as a JSON array. Empty for what came by an API.
    text_("envelope_from"),
    text_("envelope_to", "[]"),
    text_("client_ip"),
    text_("category"),
    text_("custom_variables", "{}"),
    #: The template that it was rendered from, 0 = none, and its variables as JSON; empty where they were too many.
    int_("template_id"),
    text_("template_variables"),
    #: Where the bytes lie (store/captured.py).
    text_("segment"),
    int_("place"),
    int_("created_at"),
    int_("updated_at"),
    #: A page, a search and what is oldest are read from this index alone.
    Index(None, "inbox_id", "id", "searched"),
    #: Which segments are needed no more.
    Index(None, "segment"),
    sqlite_autoincrement=True,
)

#: Links by which whoever has one reads an inbox, all inboxes of a project, or one message, without an account.
share_links = Table(
    "share_links",
    metadata,
    id_(),
    int_("account_id", index=True),
    #: project or inbox, and which; the message that alone is shown, 0 = all of them.
    text_("kind"),
    int_("resource_id"),
    int_("message_id"),
    #: SHA-256 of the secret, to find it by; and the secret, sealed: who keeps a project is shown its link again.
    Column("secret_hash", Text, nullable=False, unique=True),
    Column("secret_sealed", LargeBinary, nullable=False),
    text_("created_by"),
    int_("created_at"),
    Index(None, "kind", "resource_id"),
)
