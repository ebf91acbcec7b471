"""Templates of messages, and every version of each."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from mailferry.store.schema.columns import flag, id_, int_, metadata, text_

templates = Table(
    "templates",
    metadata,
    id_(),
    int_("account_id"),
    #: What senders name it by.
    Column("uuid", Text, nullable=False, unique=True),
    text_("name"),
    #: That of every message sent with it.
    text_("category"),
    #: How it is rendered: {{x}} with HTML escapes, and whether what the data lacks is an error or nothing.
    flag("escape", True),
    flag("strict"),
    #: JSON: data to look at it with.
    text_("test_data", "{}"),
    #: The number of the version that is sent; it is the newest one.
    int_("version"),
    int_("created_at"),
    int_("updated_at"),
    Index(None, "account_id", "name"),
    # The email log names templates by their ids for longer than they live, so no id may come twice.
    sqlite_autoincrement=True,
)

template_versions = Table(
    "template_versions",
    metadata,
    Column("template_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    # Before the bodies: SQLite reads a row from its front, and these may have megabytes.
    #: Octets of the three texts.
    int_("size"),
    text_("created_by"),
    int_("created_at"),
    text_("subject"),
    #: Empty = it has none.
    text_("body_html"),
    text_("body_text"),
)
