"""The first start on an empty database: what it makes, where it is written, and that it is never made twice or lost."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from mailferry import credentials, first_run
from mailferry.config import Config, load
from mailferry.house import House, clock, open_house
from mailferry.resources.domains import DEMO, fresh_keys
from mailferry.resources.tokens import Credentials
from mailferry.roles import furnish
from mailferry.store.schema import accounts, domains, inboxes, projects, users

KEYS = {
    "account_id": int,
    "api_token": str,
    "http_url": str,
    "https_url": str,
    "ca_file": str,
    "smtp": {"host": str, "port": int, "username": str, "password": str},
    "bulk_smtp": {"host": str, "port": int, "username": str, "password": str},
    "ses": {
        "access_key_id": str,
        "secret_access_key": str,
        "region": str,
        "smtp_username": str,
        "smtp_password": str,
    },
    "sandbox": {"project_id": int, "inbox_id": int, "username": str, "password": str},
    "dashboard": type(None),
}


def configured(data: Path, **settings: str) -> Config:
    names = {name.replace("__", "."): value for name, value in settings.items()}
    return load(None, {}, {"server.data_dir": str(data), "server.hostname": "mail.mailferry.test"} | names)


def shape(value: Any) -> Any:
    return {name: shape(each) for name, each in value.items()} if isinstance(value, dict) else type(value)


async def test_a_first_start_makes_all_of_it_and_a_second_nothing(tmp_path: Path, blank_url: str) -> None:
    config = configured(tmp_path, database__url=blank_url)
    async with open_house(config) as house:
        await furnish(house)
        made = credentials.recall(tmp_path)
        await furnish(house)
        assert credentials.recall(tmp_path) == made
        counted = [accounts, users, projects, inboxes, domains]
        numbers = await house.database.read(
            lambda connection: [connection.scalar(select(func.count()).select_from(table)) for table in counted]
        )
        assert numbers == [1, 1, 1, 1, 1]
        demo = await house.database.read(lambda c: c.execute(select(domains.c.name, domains.c.state)).one())
        assert tuple(demo) == (credentials.DEMO_DOMAIN, DEMO)
        assert await account_of(house, made["api_token"]) == made["account_id"] == 1
    assert set(made) == {"account_id", "api_token", "ses", "sandbox", "owner"}
    assert stat.S_IMODE((tmp_path / "first-run.json").stat().st_mode) == 0o600


async def test_two_nodes_that_start_together_make_it_once(tmp_path: Path, postgres_url: str) -> None:
    key = tmp_path / "secret.key"
    first = configured(tmp_path / "a", database__url=postgres_url, secrets__key_file=str(key))
    second = configured(tmp_path / "b", database__url=postgres_url, secrets__key_file=str(key))
    async with open_house(first) as one, open_house(second) as two:
        await asyncio.gather(furnish(one), furnish(two))
        assert await one.database.read(lambda c: c.scalar(select(func.count()).select_from(accounts))) == 1
    written = [node for node in ("a", "b") if (tmp_path / node / "first-run.json").exists()]
    assert len(written) == 1


async def test_a_first_run_that_is_cut_off_before_its_commit_is_made_anew(tmp_path: Path) -> None:
    """The file is written before the commit, so that no account can stand whose token nobody knows."""
    async with open_house(configured(tmp_path)) as house:
        keys = fresh_keys()

        def cut_off(connection: Connection) -> None:
            made = first_run.furnish(connection, house.sealer, keys, "password", "hash", clock())
            assert made is not None
            first_run.remember(tmp_path, made)
            raise KeyError("the power fails here")

        with pytest.raises(KeyError):
            await house.database.write(cut_off)
        lost = credentials.recall(tmp_path)["api_token"]
        await furnish(house)
        found = credentials.recall(tmp_path)["api_token"]
        assert found != lost
        assert await account_of(house, found) == 1
        assert await account_of(house, lost) is None


async def account_of(house: House, token: str) -> int | None:
    who = await Credentials(house.database, clock, clock).token(token)
    return who.account_id if who else None


async def test_credentials_have_exactly_the_promised_keys(tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with open_house(config) as house:
        await furnish(house)
    found = credentials.credentials(config, tmp_path / "ca" / "ca.pem")
    assert shape(found) == KEYS
    assert (found["http_url"], found["https_url"]) == ("http://127.0.0.1:8025", "https://127.0.0.1:8443")
    assert found["smtp"]["username"] == "api" and found["bulk_smtp"]["username"] == "bulk"
    assert found["api_token"] == found["smtp"]["password"] == found["bulk_smtp"]["password"]

    assert credentials.forget(tmp_path)
    assert not credentials.forget(tmp_path)
    forgotten = credentials.credentials(config, tmp_path / "ca" / "ca.pem")
    assert set(forgotten) == set(KEYS)
    assert forgotten["api_token"] is forgotten["account_id"] is forgotten["sandbox"] is None
    assert forgotten["smtp"] == {"host": "127.0.0.1", "port": 2525, "username": "api", "password": None}


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"http.listen": "0.0.0.0:80"}, {"http_url": "http://127.0.0.1:80"}),
        ({"http.tls_listen": "[::]:443,127.0.0.1:8443"}, {"https_url": "https://[::1]:443"}),
        ({"http.listen": "", "http.tls_listen": ""}, {"http_url": None, "https_url": None}),
        ({"smtp.listen": ""}, {"smtp": None, "bulk_smtp": None}),
        ({"tls.certificate": "c.pem", "tls.key": "k.pem"}, {"ca_file": None}),
    ],
)
def test_credentials_say_what_listens(tmp_path: Path, settings: dict[str, str], found: dict[str, Any]) -> None:
    config = load(None, {}, {"server.data_dir": str(tmp_path), **settings})
    said = credentials.credentials(config, tmp_path / "ca.pem")
    assert {name: said[name] for name in found} == found


def test_clients_are_told_of_the_listener_with_starttls(tmp_path: Path) -> None:
    config = configured(tmp_path, smtp__listen="tls://0.0.0.0:465,[::]:587")
    assert credentials.smtp_listener(config) == ("::1", 587, False)
    assert credentials.credentials(config, tmp_path)["smtp"]["port"] == 587
    assert credentials.smtp_listener(configured(tmp_path, smtp__listen="tls://0.0.0.0:465")) == ("127.0.0.1", 465, True)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    for damage in ("", "{", "[]", '{"api_token": '):
        (tmp_path / "first-run.json").write_text(damage)
        with pytest.raises(credentials.BadFile, match=r"first-run\.json cannot be read"):
            credentials.recall(tmp_path)
    (tmp_path / "first-run.json").write_text(json.dumps({"api_token": "t"}))
    assert credentials.recall(tmp_path) == {"api_token": "t"}
