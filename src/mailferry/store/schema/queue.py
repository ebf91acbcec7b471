"""The queue: what waits to be delivered, and the lanes that workers look at."""

from sqlalchemy import BigInteger, Column, Index, Table, Text, UniqueConstraint, text

from mailferry.store.schema.columns import flag, id_, int_, metadata, text_

#: Let go by the hour, and not claimed yet. As text, because SQLite takes a partial index only for its very words.
RELEASED = text("released AND NOT counted AND due IS NOT NULL")

queue = Table(
    "queue",
    metadata,
    Column("recipient_id", Text, primary_key=True),
    int_("lane_id"),
    #: The lane's. Held rows are found by it; 0 = written by a version that did not know it (delivery/release.py).
    int_("domain_id"),
    #: When it may next be taken. A lease pushes it into the future; NULL = held, it waits for a decision and not for time.
    Column("due", BigInteger),
    #: The boot that holds the lease, 0 = none.
    int_("owner"),
    #: Counts the leases: an attempt settles under the number it was taken with.
    int_("fence"),
    int_("tries"),
    #: Counted against the new domain's hourly limit already: retries are not counted again.
    flag("counted"),
    #: Let go by the hour: while it waits for its claim, which counts it, nobody else is let go in its place.
    flag("released"),
    #: When it is given up. While it is held the clock stands still: its release moves this on by the time since
    #: recipients.updated_at.
    int_("expires_at"),
    # Of one domain, oldest first: those that were tried already, then those that never left.
    Index(
        "ix_queue_held",
        "domain_id",
        "counted",
        "recipient_id",
        sqlite_where=text("due IS NULL"),
        postgresql_where=text("due IS NULL"),
    ),
    Index("ix_queue_released", "domain_id", sqlite_where=RELEASED, postgresql_where=RELEASED),
    Index(
        "ix_queue_lane_due",
        "lane_id",
        "due",
        sqlite_where=text("due IS NOT NULL"),
        postgresql_where=text("due IS NOT NULL"),
    ),
    Index("ix_queue_owner", "owner", sqlite_where=text("owner <> 0"), postgresql_where=text("owner <> 0")),
    sqlite_with_rowid=False,
)

#: One row a (sending domain, stream, destination): workers look here, never over the rows of the queue.
lanes = Table(
    "lanes",
    metadata,
    id_(),
    int_("domain_id"),
    text_("stream"),
    text_("destination"),
    #: At or before the earliest due row of the lane; NULL = nothing waits for time.
    Column("next_due", BigInteger),
    #: Why the whole lane waits until next_due, empty = it does not.
    text_("hold_reason"),
    UniqueConstraint("domain_id", "stream", "destination"),
    Index(
        "ix_lanes_next_due",
        "next_due",
        sqlite_where=text("next_due IS NOT NULL"),
        postgresql_where=text("next_due IS NOT NULL"),
    ),
)
