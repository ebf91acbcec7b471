"""What customers configure and read back, each thing one JSON document under its kind and name.

Configuration sets, topics, identities' settings and the like: few, small, looked up by name, written seldom. What is asked
row by row with every message has a table of its own.
"""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from mailferry.store.schema.columns import int_, metadata, text_

documents = Table(
    "documents",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    #: Such as `configuration_set` (resources/documents.py).
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    #: JSON.
    text_("body", "{}"),
    int_("created_at"),
    int_("updated_at"),
    # Found without the account: configuration sets that have something counted (consumers/ses/destinations.py).
    text_("key"),
    Index(None, "key"),
    sqlite_with_rowid=False,
)
