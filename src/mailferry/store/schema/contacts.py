"""Contacts with their fields, lists, segments and events, and the jobs that import and export them.

Ids of lists, fields, segments and jobs are never used twice: what is left of a deleted one must not show up in a new one.
"""

from sqlalchemy import BigInteger, Column, Double, Index, LargeBinary, Table, Text, UniqueConstraint, text

from mailferry.store.schema.columns import id_, int_, metadata, text_

_STANDS = text("deleted_at = 0")

contacts = Table(
    "contacts",
    metadata,
    Column("id", Text, primary_key=True),
    int_("account_id"),
    #: As it was given (mail/address.parse).
    Column("email", Text, nullable=False),
    #: What it is found by (mail/address.key).
    Column("address", Text, nullable=False),
    #: What a program keeps with it, whatever that may be; nothing here reads it.
    text_("attributes"),
    int_("created_at"),
    int_("updated_at"),
    UniqueConstraint("account_id", "address"),
    Index(None, "account_id", "id"),
)

contact_fields = Table(
    "contact_fields",
    metadata,
    id_(),
    int_("account_id"),
    text_("name"),
    #: text, integer, float, boolean or date.
    text_("data_type"),
    text_("merge_tag"),
    int_("created_at"),
    #: 0 = it stands. The row of a deleted one stays until its values are gone.
    int_("deleted_at"),
    Index(
        "uq_contact_fields_merge_tag",
        "account_id",
        "merge_tag",
        unique=True,
        sqlite_where=_STANDS,
        postgresql_where=_STANDS,
    ),
    sqlite_autoincrement=True,
)

#: One row a contact and field. Just one of the keys is there, by the field's type; segments look at it.
contact_values = Table(
    "contact_values",
    metadata,
    Column("contact_id", Text, primary_key=True),
    Column("field_id", BigInteger, primary_key=True, autoincrement=False),
    #: JSON, as clients see it.
    text_("value"),
    #: Case-folded.
    Column("text_key", Text),
    #: Integers, booleans as 0 and 1, dates as the day's number (date.toordinal).
    Column("integer_key", BigInteger),
    Column("float_key", Double),
    *(
        Index(
            f"ix_contact_values_{kind}",
            "field_id",
            kind,
            "contact_id",
            sqlite_where=text(f"{kind} IS NOT NULL"),
            postgresql_where=text(f"{kind} IS NOT NULL"),
        )
        for kind in ("text_key", "integer_key", "float_key")
    ),
    sqlite_with_rowid=False,
)

contact_lists = Table(
    "contact_lists",
    metadata,
    id_(),
    int_("account_id"),
    text_("name"),
    int_("created_at"),
    #: 0 = it stands. The row of a deleted one stays until its members are gone.
    int_("deleted_at"),
    Index(
        "uq_contact_lists_name",
        "account_id",
        "name",
        unique=True,
        sqlite_where=_STANDS,
        postgresql_where=_STANDS,
    ),
    sqlite_autoincrement=True,
)

contact_list_members = Table(
    "contact_list_members",
    metadata,
    Column("list_id", BigInteger, primary_key=True, autoincrement=False),
    Column("contact_id", Text, primary_key=True),
    Index(None, "contact_id"),
    sqlite_with_rowid=False,
)

#: Who said no to a list. Not being a member is no answer: such a contact gets what the list's default is.
contact_opt_outs = Table(
    "contact_opt_outs",
    metadata,
    Column("list_id", BigInteger, primary_key=True, autoincrement=False),
    Column("contact_id", Text, primary_key=True),
    Index(None, "contact_id"),
    sqlite_with_rowid=False,
)

contact_segments = Table(
    "contact_segments",
    metadata,
    id_(),
    int_("account_id"),
    text_("name"),
    #: JSON (resources/contacts/segments.py).
    text_("rule"),
    int_("created_at"),
    int_("updated_at"),
    UniqueConstraint("account_id", "name"),
    sqlite_autoincrement=True,
)

contact_events = Table(
    "contact_events",
    metadata,
    id_(),
    int_("account_id"),
    Column("contact_id", Text, nullable=False),
    text_("name"),
    #: A JSON object of scalars.
    text_("params", "{}"),
    int_("created_at"),
    Index(None, "contact_id", "id"),
)

_OPEN = text("status IN ('created', 'started')")

contact_jobs = Table(
    "contact_jobs",
    metadata,
    id_(),
    int_("account_id"),
    #: import, export, file_import or report.
    text_("kind"),
    #: receiving (nobody was told of it yet), uploaded (a file without a job), created, started, finished, failed, cancelled.
    text_("status"),
    #: JSON: what is to be done.
    text_("request", "{}"),
    int_("created_at"),
    int_("updated_at"),
    #: Who works on it, drawn anew by each claim; until when nobody else may.
    text_("lease"),
    int_("lease_until"),
    #: Pieces in a row that failed, and why.
    int_("tries"),
    text_("error"),
    #: Where an export goes on: the last contact that is written.
    text_("cursor"),
    int_("created_count"),
    int_("updated_count"),
    #: Records that were refused.
    int_("failed_count"),
    Index("ix_contact_jobs_open", "account_id", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    sqlite_autoincrement=True,
)

#: What is still to import, or what is exported already.
contact_job_pieces = Table(
    "contact_job_pieces",
    metadata,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("piece", BigInteger, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
    int_("size"),
)
