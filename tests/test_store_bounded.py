"""PostgreSQL that does not answer: how long each thing may take, and what happens to a connection that is given up."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from mailferry.store.database import Database
from mailferry.store.engines import hang_up, postgres_engine, unhurried
from tests.peers.postgres import Cluster

LIMITS = {"statement_timeout": "10s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s"}


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    made = postgres_engine(postgres_url, 2)
    yield made
    made.dispose()


def shown(connection: Connection, *names: str) -> dict[str, str]:
    return {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in names}


def backend(connection: Connection) -> int:
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def test_statements_locks_and_idle_transactions_end(engine: Engine) -> None:
    with engine.connect() as connection:
        assert shown(connection, *LIMITS) == LIMITS


def test_what_the_url_says_wins(postgres_url: str) -> None:
    engine = postgres_engine(f"{postgres_url}?options=-c%20statement_timeout%3D7s&keepalives_idle=3", 1)
    with engine.connect() as connection:
        assert shown(connection, *LIMITS) == LIMITS | {"statement_timeout": "7s"}
        assert option(connection, socket.TCP_KEEPIDLE) == 3
        assert patience(connection) == 9
    engine.dispose()


@pytest.mark.parametrize(
    ("said", "expected"), [("0", None), ("60000", 62), ("2min", 122), ("1s -c statement_timeout=30s", 32)]
)
def test_an_answer_is_waited_for_as_long_as_a_statement_may_take(
    postgres_url: str, said: str, expected: float | None
) -> None:
    engine = postgres_engine(f"{postgres_url}?options={quote('-c statement_timeout=' + said)}", 1)
    with engine.connect() as connection:
        assert patience(connection) == expected
    engine.dispose()


def test_a_dead_peer_is_noticed_by_tcp(engine: Engine) -> None:
    """What a firewall that drops looks like: the kernel gives up, and not after its own two hours."""
    with engine.connect() as connection:
        assert [
            option(connection, name)
            for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        ] == [5, 2, 3, 10_000]
        assert option(connection, socket.SO_KEEPALIVE, socket.SOL_SOCKET) == 1


def option(connection: Connection, name: int, level: int = socket.IPPROTO_TCP) -> int:
    driver = connection.connection.driver_connection
    assert driver is not None
    with socket.socket(fileno=socket.dup(driver.fileno())) as same:
        return same.getsockopt(level, name)


def test_what_takes_its_time_is_given_it_for_one_transaction(engine: Engine) -> None:
    with engine.connect() as connection:
        with connection.begin(), unhurried(connection):
            assert shown(connection, "statement_timeout", "lock_timeout") == {
                "statement_timeout": "0",
                "lock_timeout": "0",
            }
            assert patience(connection) is None
        with connection.begin():
            assert shown(connection, *LIMITS) == LIMITS
            assert patience(connection) == 12


def patience(connection: Connection) -> float | None:
    found: float | None = connection.connection.driver_connection.patience  # type: ignore[union-attr]  # it is ours
    return found


def test_an_answer_that_does_not_come_costs_the_connection_and_nothing_else(engine: Engine) -> None:
    with engine.connect() as connection:
        first = backend(connection)
        connection.connection.driver_connection.patience = 0.2  # type: ignore[union-attr]  # it is ours
        with pytest.raises(OperationalError, match="did not answer") as caught:
            connection.execute(text("SELECT pg_sleep(20)"))
        assert caught.value.connection_invalidated
    with engine.connect() as connection:
        assert backend(connection) != first
        assert connection.execute(text("SELECT 7")).scalar() == 7


def test_a_host_that_accepts_and_says_nothing_is_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        engine = postgres_engine(f"postgresql://ferry@127.0.0.1:{port}/ferry?connect_timeout=2", 1)
        with pytest.raises(OperationalError, match="timeout"):
            engine.connect()


def test_five_seconds_are_enough_to_connect(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.connection.driver_connection.info.get_parameters()["connect_timeout"] == "5"  # type: ignore[union-attr]  # it is ours


async def test_a_hung_up_database_lets_go_of_its_threads(postgres_url: str, postgres_cluster: Cluster) -> None:
    """SIGTERM while a statement hangs: whoever waits hears of it, and close() ends."""
    database = Database("postgresql", postgres_engine(postgres_url, 1), postgres_engine(postgres_url, 2), 2)
    sleep = text("SELECT pg_sleep(9)")
    waiting = [
        asyncio.ensure_future(database.read(lambda c: c.execute(sleep).scalar())),
        asyncio.ensure_future(database.write(lambda c: c.execute(sleep).scalar())),
        database.submit(lambda c, items: [c.execute(sleep).scalar() for _ in items], None),
    ]
    with postgres_cluster.connect() as behind:
        count = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(9)' AND state = 'active'"
        async with asyncio.timeout(8):
            while (row := behind.execute(count).fetchone()) is not None and row[0] < 3:
                await asyncio.sleep(0.02)
    await database.close(0.1)
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, OperationalError) and "the process is ending" in str(result)
    assert database.writer.alive() == []
    assert not {"database_0", "database_1"} & {thread.name for thread in threading.enumerate()}


def test_nothing_begins_on_an_engine_that_was_hung_up(engine: Engine) -> None:
    with engine.connect():
        pass
    hang_up(engine)
    with pytest.raises(OperationalError, match="the process is ending"), contextlib.closing(engine.connect()) as one:
        one.execute(text("SELECT pg_sleep(5)"))
