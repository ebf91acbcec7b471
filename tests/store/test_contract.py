"""The store's contract: one suite, both databases."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, inspect, select
from sqlalchemy.exc import IntegrityError

from mailferry.store.content import Content, ContentGone, TableContent, day_of
from mailferry.store.database import Database
from mailferry.store.given import among, delete_rows, insert_if_new, insert_rows, pack, put_rows, rows
from mailferry.store.migrations import HEAD, NewerDatabase, current, migrate
from mailferry.store.schema import accounts, contact_values, events, idempotency_keys, metadata, queue
from mailferry.store.segments import SegmentContent

DAY = 86_400_000


async def test_migrations_make_the_schema(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        def ours(name: str | None, kind: str, _parents: object) -> bool:
            # The tables of contents with their partitions, and the index of followers, exist on PostgreSQL alone, outside the
            # common schema.
            return (
                not (kind == "table" and str(name).startswith(("content", "inbox_contents")))
                and name != "ix_events_xact_id"
            )

        options = {"include_name": ours, "compare_server_default": False}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    assert await database.read(differences) == []
    assert await database.read(current) == HEAD


async def test_migrating_again_changes_nothing(database: Database) -> None:
    before = await database.read(lambda c: sorted(inspect(c).get_table_names()))
    await database.write(migrate)
    assert await database.read(lambda c: sorted(inspect(c).get_table_names())) == before


async def test_a_newer_database_is_refused(database: Database) -> None:
    await database.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabase, match="9999"):
        await database.write(migrate)


async def test_given_rows_keep_every_type(database: Database) -> None:
    values = [
        {"recipient_id": "a", "lane_id": 2**40, "due": None, "counted": True, "expires_at": 5},
        {"recipient_id": 'b"\u2603\n\\', "lane_id": 1, "due": 7, "counted": False, "expires_at": 6},
    ]
    await database.write(lambda c: insert_rows(c, queue, values))
    found = await database.read(
        lambda c: c.execute(
            select(queue.c.recipient_id, queue.c.lane_id, queue.c.due, queue.c.counted).order_by(queue.c.recipient_id)
        ).all()
    )
    assert [tuple(row) for row in found] == [("a", 2**40, None, True), ('b"\u2603\n\\', 1, 7, False)]


async def test_rows_are_given_in_order(database: Database) -> None:
    values = [{"kind": "accepted", "message_id": "m", "recipient_id": str(n)} for n in range(300)]
    await database.write(lambda c: insert_rows(c, events, values))
    found = await database.read(
        lambda c: c.execute(select(events.c.recipient_id).order_by(events.c.id)).scalars().all()
    )
    assert found == [str(n) for n in range(300)]


async def test_put_rows_replace_those_of_their_key_and_delete_rows_take_them_away(database: Database) -> None:
    def put(connection: Connection, *values: tuple[str, int, int | None, float | None]) -> None:
        names = ("contact_id", "field_id", "integer_key", "float_key")
        put_rows(connection, contact_values, [dict(zip(names, each, strict=True)) for each in values])

    def delete(connection: Connection, *keys: tuple[str, int]) -> None:
        delete_rows(connection, contact_values, [{"contact_id": each, "field_id": field} for each, field in keys])

    def all_rows(connection: Connection) -> list[tuple[object, ...]]:
        columns = [contact_values.c[name] for name in ("contact_id", "field_id", "integer_key", "float_key")]
        return [tuple(row) for row in connection.execute(select(*columns).order_by(*columns[:2]))]

    await database.write(lambda c: put(c, ("a", 1, 5, None), ("a", 2, None, 0.1), ("b", 1, 2**62, None)))
    await database.write(lambda c: put(c, ("a", 1, None, 1 / 3), ("c", 1, -1, None)))
    await database.write(lambda c: delete(c, ("a", 2), ("b", 2), ("c", 1)))
    assert await database.read(all_rows) == [("a", 1, None, 1 / 3), ("b", 1, 2**62, None)]
    await database.write(lambda c: (put(c), delete(c)))
    assert len(await database.read(all_rows)) == 2


async def test_rows_among_given_values(database: Database) -> None:
    def found(connection: Connection, *wanted: str) -> list[str]:
        given = select(rows(connection.dialect.name, [queue.c.recipient_id]).c.recipient_id)
        asked = select(queue.c.recipient_id).where(among(connection.dialect.name, queue.c.recipient_id, given))
        packed = pack([{"recipient_id": each} for each in wanted])
        return list(connection.execute(asked.order_by(queue.c.recipient_id), {"rows": packed}).scalars())

    await database.write(lambda c: insert_rows(c, queue, [{"recipient_id": each} for each in ("a", "b'", "{c}")]))
    assert await database.read(lambda c: found(c, "{c}", "a", "a", "x,y", "b")) == ["a", "{c}"]
    assert await database.read(lambda c: found(c, "b'")) == ["b'"] and await database.read(found) == []


async def test_insert_if_new_tells_what_was_new(database: Database) -> None:
    table = idempotency_keys

    def put(connection: Connection, *keys: str) -> list[str]:
        values = [{"account_id": 1, "endpoint": "send", "key": key, "created_at": 1} for key in keys]
        return [row.key for row in insert_if_new(connection, table, values, returning=(table.c.key,))]

    assert await database.write(lambda c: put(c, "a", "b")) == ["a", "b"]
    assert await database.write(lambda c: put(c, "b", "c")) == ["c"]


async def test_a_join_with_given_rows(database: Database) -> None:
    await database.write(lambda c: insert_rows(c, queue, [{"recipient_id": r, "lane_id": 1} for r in "abc"]))

    def find(connection: Connection) -> list[str]:
        given = rows(connection.dialect.name, [queue.c.recipient_id])
        statement = select(queue.c.recipient_id).join(given, given.c.recipient_id == queue.c.recipient_id)
        packed = pack([{"recipient_id": "a"}, {"recipient_id": "x"}, {"recipient_id": "c"}])
        return sorted(connection.execute(statement, {"rows": packed}).scalars())

    assert await database.read(find) == ["a", "c"]


async def test_one_bad_item_leaves_its_group_alone(database: Database) -> None:
    await database.write(lambda c: c.execute(insert(accounts).values(id=7, name="there")))

    def batch(connection: Connection, ids: list[int]) -> list[int]:
        connection.execute(insert(accounts), [{"id": number, "name": "new"} for number in ids])
        return ids

    # The first keeps the writer busy, so that the others wait and form a group.
    results = await asyncio.gather(*(database.submit(batch, n) for n in (1, 2, 7, 3)), return_exceptions=True)
    assert [type(r) if isinstance(r, Exception) else r for r in results] == [1, 2, IntegrityError, 3]
    found = await database.read(lambda c: c.execute(select(accounts.c.id).order_by(accounts.c.id)).scalars().all())
    assert found == [1, 2, 3, 7]


async def test_many_writers_share_commits(database: Database) -> None:
    def batch(connection: Connection, names: list[str]) -> list[str]:
        insert_rows(connection, accounts, [{"name": name} for name in names])
        return names

    before = database.writer.groups
    await asyncio.gather(*(database.submit(batch, str(n)) for n in range(500)))
    assert await database.read(lambda c: len(c.execute(select(accounts.c.id)).all())) == 500
    assert database.writer.groups - before < 250


async def test_a_cancelled_caller_leaves_the_write_standing(database: Database) -> None:
    task = asyncio.ensure_future(database.write(lambda c: c.execute(insert(accounts).values(id=1, name="x"))))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await database.write(lambda c: None)  # the writer goes on
    assert await database.read(lambda c: len(c.execute(select(accounts.c.id)).all())) in (0, 1)


async def test_a_failed_write_leaves_nothing(database: Database) -> None:
    def half(connection: Connection) -> None:
        connection.execute(insert(accounts).values(id=1, name="x"))
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        await database.write(half)
    assert await database.read(lambda c: c.execute(select(accounts.c.id)).all()) == []


# --- message bytes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def content(database: Database, tmp_path: Path) -> Content:
    return SegmentContent(tmp_path / "segments") if database.dialect == "sqlite" else TableContent()


BODIES = [("m1", b"first\r\n"), ("m2", bytes(range(256)) * 5000), ("m3", b"")]


async def test_bytes_come_back(database: Database, content: Content) -> None:
    now = 1_800_000_000_000
    places = await database.write(lambda c: content.keep(c, BODIES, now))
    more = await database.write(lambda c: content.keep(c, [("m4", b"later")], now + 1000))
    for place, (_, body) in zip([*places, *more], [*BODIES, ("m4", b"later")], strict=True):
        assert await database.read(lambda c, place=place: content.read(c, place)) == body
        assert await database.read(lambda c, place=place: content.kept(c, place))


async def test_bytes_of_old_days_are_forgotten_unless_needed(database: Database, content: Content) -> None:
    start = 1_800_000_000_000
    places = []
    for day in range(4):
        places += await database.write(lambda c, day=day: content.keep(c, [(f"d{day}", b"x" * 10)], start + day * DAY))
    before = day_of(start + 3 * DAY)
    needed = frozenset({places[1].segment})
    dropped = await database.write(lambda c: content.forget(c, before, needed))
    assert sorted(dropped) == sorted([places[0].segment, places[2].segment])
    with pytest.raises(ContentGone):
        await database.read(lambda c: content.read(c, places[0]))
    kept = [await database.read(lambda c, place=place: content.kept(c, place)) for place in places]
    assert (kept[0], kept[1], kept[-1]) == (False, True, True)
    assert await database.read(lambda c: content.read(c, places[1])) == b"x" * 10


async def test_sealed_segments_are_read_alike(tmp_path: Path) -> None:
    content = SegmentContent(tmp_path)
    start = 1_800_000_000_000
    bodies = [(str(n), bytes([n]) * (700_000 + n)) for n in range(9)]
    places = content.keep(None, bodies, start)  # type: ignore[arg-type]  # segments need no connection
    plain = (tmp_path / f"{places[0].segment}.seg").stat().st_size
    content.keep(None, [("next", b"day")], start + DAY)  # type: ignore[arg-type]
    assert content.seal() == [places[0].segment]
    assert not (tmp_path / f"{places[0].segment}.seg").exists()
    assert (tmp_path / f"{places[0].segment}.zseg").stat().st_size < plain / 10
    for place, (_, body) in zip(places, bodies, strict=True):
        assert content.read(None, place) == body  # type: ignore[arg-type]
        assert content.kept(None, place)  # type: ignore[arg-type]
    content.close()
    again = SegmentContent(tmp_path)  # a restart begins a new segment: nothing is appended to what may be torn
    (place,) = again.keep(None, [("after", b"restart")], start + DAY)  # type: ignore[arg-type]
    assert place.segment != places[0].segment and place.offset == 0
    again.close()
