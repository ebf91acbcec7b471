"""What the house itself keeps."""

from sqlalchemy import Column, LargeBinary, Table, Text

from mailferry.store.schema.columns import id_, int_, metadata, text_

#: One row a start of a process. A lease names its boot.
boots = Table("boots", metadata, id_(), text_("host"), int_("pid"), int_("started_at"))

#: Small things that all nodes share, sealed: keys of return paths and links.
shared_keys = Table(
    "shared_keys",
    metadata,
    id_(),
    Column("purpose", Text, nullable=False, index=True),
    Column("key_sealed", LargeBinary, nullable=False),
    int_("created_at"),
)
