"""Opening a data folder: one process at a time, its own key, a database it understands; everything else is told plainly."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from mailferry.config import BadSetting, Config, load
from mailferry.house import House, Unusable, at_start, open_house
from mailferry.roles import furnish
from mailferry.store import schema
from mailferry.store.lock import AlreadyRunning, DataLock
from mailferry.store.migrations import HEAD
from tests.fakes.line import BreakingLine
from tests.peers.process import free_port


def configured(data: Path, **settings: str) -> Config:
    names = {name.replace("__", "."): value for name, value in settings.items()}
    return load(None, {}, {"server.data_dir": str(data), "server.hostname": "mail.mailferry.test"} | names)


async def opened(config: Config) -> House:
    """Opens and closes it; the house tells what it was."""
    async with open_house(config) as house:
        return house


async def refused(config: Config) -> str:
    with pytest.raises(Unusable) as caught:
        await opened(config)
    return str(caught.value)


@contextlib.contextmanager
def other_program(data: Path) -> Iterator[sqlite3.Connection]:
    """The database as another program sees it, while nobody else has it open."""
    connection = sqlite3.connect(data / "mailferry.db", isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


async def test_a_new_folder_is_ours_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        await opened(configured(tmp_path / "a" / "data"))
        (tmp_path / "open").mkdir(mode=0o777)
        async with open_house(configured(tmp_path / "open")):
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "open").iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "data").stat().st_mode) == 0o700
    # A folder that somebody made with other rights stays as it is; what we put there is still closed.
    assert modes.pop("segments") == modes.pop("sandbox") == 0o700
    assert {"mailferry.db", "secret.key", "lock"} <= set(modes) and set(modes.values()) == {0o600}


async def test_the_same_key_and_a_new_boot_each_time(tmp_path: Path, database_url: str) -> None:
    config = configured(tmp_path, database__url=database_url)
    first, second = await opened(config), await opened(config)
    assert second.return_path_key == first.return_path_key
    assert second.boot == first.boot + 1
    assert first.hostname == "mail.mailferry.test" and first.data_dir == tmp_path


async def test_a_second_house_on_the_same_folder_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    async with open_house(configured(tmp_path)):
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()} holds {tmp_path}"):
            await opened(configured(tmp_path))
    await opened(configured(tmp_path))


def test_the_lock_goes_with_its_process_however_it_ends(tmp_path: Path) -> None:
    holds = "import sys, time; from pathlib import Path; from mailferry.store.lock import DataLock\n"
    holds += "DataLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holds, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning, match=f"process {child.pid} holds"):
            DataLock(tmp_path).acquire()
        child.kill()
    lock = DataLock(tmp_path)
    lock.acquire()
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    lock.release()


async def test_another_key_is_refused_and_named(tmp_path: Path, database_url: str) -> None:
    config = configured(tmp_path, database__url=database_url)
    await opened(config)
    right = config.key_file.read_bytes()
    config.key_file.write_bytes(os.urandom(32))
    text = await refused(config)
    assert text.startswith(
        f"{config.key_file} is not the key that the database's secrets are sealed with: put the right"
    )
    config.key_file.write_bytes(right)
    await opened(config)


async def test_a_lost_key_is_not_replaced(tmp_path: Path, database_url: str) -> None:
    config = configured(tmp_path, database__url=database_url)
    await opened(config)
    config.key_file.unlink()
    text = await refused(config)
    assert (
        text.startswith(f"{config.key_file} is missing, and the database holds secrets") and "put the file back" in text
    )
    assert not config.key_file.exists()


@pytest.mark.parametrize(
    ("content", "mode", "wrong"),
    [
        (b"short", 0o600, "{} holds 5 octets, a key has 32"),
        (b"k" * 32, 0o640, "{0} can be read by others; run: chmod 600 {0}"),
        (None, 0o700, "{} cannot be used: Is a directory"),
    ],
)
async def test_a_key_file_that_is_no_key(tmp_path: Path, content: bytes | None, mode: int, wrong: str) -> None:
    config = configured(tmp_path / "data", secrets__key_file=str(tmp_path / "key"))
    if content is None:
        config.key_file.mkdir()
    else:
        config.key_file.write_bytes(content)
    config.key_file.chmod(mode)
    assert await refused(config) == wrong.format(config.key_file)


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    await opened(configured(tmp_path))
    with other_program(tmp_path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert await refused(configured(tmp_path)) == (
        f"the database is at step 9999, this version knows {HEAD}: use the newer Mailferry"
    )
    with other_program(tmp_path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


@pytest.mark.parametrize("content", [b"not a database at all", b"x", b"%PDF-1.7\n" * 100])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mailferry.db").write_bytes(content)
    text = await refused(configured(tmp_path))
    assert text == f"{tmp_path / 'mailferry.db'} is no SQLite database: it is damaged, or another program's"
    assert (tmp_path / "mailferry.db").read_bytes() == content


async def test_another_program_s_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with other_program(tmp_path) as connection:
        connection.execute("CREATE TABLE messages (id INTEGER)")
    text = await refused(configured(tmp_path))
    assert text.startswith(f"the database ({tmp_path / 'mailferry.db'}) cannot be used: table messages already exists")
    with other_program(tmp_path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("messages",)]


async def test_a_data_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert await refused(configured(tmp_path / "file")) == f"{tmp_path / 'file'} cannot be the data folder: File exists"
    below = tmp_path / "file" / "data"
    assert await refused(configured(below)) == f"{below} cannot be the data folder: Not a directory"
    (tmp_path / "database" / "mailferry.db").mkdir(parents=True)
    path = tmp_path / "database" / "mailferry.db"
    assert await refused(configured(path.parent)) == f"{path} cannot be opened: Is a directory"
    (tmp_path / "locked" / "lock").mkdir(parents=True)
    assert await refused(configured(tmp_path / "locked")) == f"{tmp_path / 'locked'} cannot be used: Is a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_data_folder_of_somebody_else(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o500)
    assert await refused(configured(folder)) == f"{folder} cannot be used: Permission denied"


async def test_a_postgresql_that_does_not_answer_is_told_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql://ferry:hunter2@127.0.0.1:{free_port()}/ferry"
    text = await refused(configured(tmp_path, database__url=url))
    assert text.startswith("the database ([database] url) cannot be used: ") and "refused" in text
    assert "hunter2" not in text and "\n" not in text
    with pytest.raises(BadSetting) as caught:
        await opened(configured(tmp_path, database__url="postgresql://ferry:hunter2@127.0.0.1:port/ferry"))
    assert str(caught.value).startswith("[database] url from command line: it is no URL; postgresql://")
    assert "hunter2" not in str(caught.value)


async def test_a_machine_whose_name_is_no_host_name_is_told_which_setting_helps(tmp_path: Path) -> None:
    for name in ("a b", "192.0.2.1", "[::1]", "*.example.test", "mail.example.test:25"):
        with pytest.raises(BadSetting) as caught:
            await opened(configured(tmp_path, server__hostname=name))
        assert str(caught.value).startswith(f"[server] hostname from command line: {name!r} is no host name")
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("lost", range(1, 7))
async def test_a_connection_that_breaks_during_the_start_delays_it(
    tmp_path: Path, postgres_url: str, lost: int
) -> None:
    """The first COMMITs that are not answered: of the migrations, the keys, the start's own row, the first account."""
    async with BreakingLine(postgres_url) as line:
        config = configured(tmp_path, database__url=line.url)
        line.lose = lost
        async with open_house(config) as house:
            await at_start(config, lambda: furnish(house))
            counted = select(func.count()).select_from(schema.accounts)
            assert await house.database.read(lambda connection: connection.execute(counted).scalar_one()) == 1
        assert line.lost == lost


async def test_a_database_that_stays_away_ends_the_start_with_a_sentence(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailferry.house.PATIENCE_SECONDS", 0.0)
    async with BreakingLine(postgres_url) as line:
        line.lose = 1
        text = await refused(configured(tmp_path, database__url=line.url))
    assert text.startswith("the database ([database] url) cannot be used: ")
