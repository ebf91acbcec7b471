"""The strangers as pytest fixtures. What is missing skips the tests that ask for it, by name; as root under CI it fails.

Loaded by tests/conftest.py through `pytest_plugins`. Fixtures of scope "session" are made once a test process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from . import handlebars_js, mailauth, namespaces, npm, opendkim, parts
from .certificates import Authority
from .chromium import Chromium
from .parts import CHROMIUM, OPENDKIM, POSTFIX, POSTGRESQL, SPAMASSASSIN, SWAKS, Part
from .postfix import Mx
from .postgres import Cluster
from .relays import SmarthostClient
from .spamassassin import Spamd
from .swaks import Said, swaks


def require(part: Part) -> None:
    """Skips the test, naming the part, when it is missing; fails instead as root under CI."""
    _judge(parts.missing(part))


def _judge(reason: str) -> None:
    if reason and parts.strict():
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A running PostgreSQL that syncs nothing: a database a test costs a twentieth of what it would cost with syncs."""
    require(POSTGRESQL)
    with Cluster(fsync=False) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def synced_postgres_cluster() -> Iterator[Cluster]:
    """A running PostgreSQL with its syncs on."""
    require(POSTGRESQL)
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def postgres_url(postgres_cluster: Cluster) -> Iterator[str]:
    """The URL (`postgresql+psycopg://...`) of a fresh, empty database."""
    url = postgres_cluster.create_database()
    yield url
    postgres_cluster.drop_database(url)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority for servers of the tests."""
    return Authority(tmp_path_factory.mktemp("authority"))


class MakeMx(Protocol):
    """`postfix_mx("a.test", "b.test", tls=True)`; what is named otherwise goes to `postfix.Mx`."""

    def __call__(self, *domains: str, tls: bool = False, **options: Any) -> Mx: ...


@pytest.fixture
def postfix_mx(authority: Authority) -> Iterator[MakeMx]:
    """Starts Postfix as MX of the domains named, as often as it is called; all are stopped after the test."""
    require(POSTFIX)
    with ExitStack() as running:

        def make(*domains: str, tls: bool = False, **options: Any) -> Mx:
            if tls:
                options["certificate"] = authority.issue(options.get("hostname", "mx.peer.test"), "127.0.0.1")
            return running.enter_context(Mx(domains, **options))

        yield make


@pytest.fixture
def postfix_client() -> Iterator[Callable[..., SmarthostClient]]:
    """Starts Postfix as a client of a submission server: `postfix_client(port, username=, password=, ca_file=)`."""
    require(POSTFIX)
    with ExitStack() as running:

        def make(relay_port: int, *, username: str, password: str, ca_file: Path, **options: Any) -> SmarthostClient:
            client = SmarthostClient(relay_port, username=username, password=password, ca_file=ca_file, **options)
            return running.enter_context(client)

        yield make


@pytest.fixture
def run_swaks() -> Callable[..., Said]:
    """`run_swaks("--server", ...)`, see `swaks.swaks`."""
    require(SWAKS)
    return swaks


@pytest.fixture
def opendkim_verify() -> Callable[..., bool]:
    """`opendkim_verify(message, keys)`, see `opendkim.verify_with_opendkim`."""
    require(OPENDKIM)
    return opendkim.verify_with_opendkim


@pytest.fixture(scope="module")
def spamd() -> Iterator[Spamd]:
    """SpamAssassin with the rules of its package; it takes two seconds to start."""
    require(SPAMASSASSIN)
    with Spamd() as peer:
        yield peer


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """A browser without a window; a page of it takes some tens of milliseconds."""
    require(CHROMIUM)
    with Chromium() as browser:
        yield browser


@pytest.fixture
def mailauth_verify() -> Callable[..., list[mailauth.Signature]]:
    """`mailauth_verify(message, keys)`, see `mailauth.verify_with_mailauth`."""
    _judge(mailauth.missing())
    return mailauth.verify_with_mailauth


@pytest.fixture(scope="session")
def handlebars_peer() -> Iterator[handlebars_js.HandlebarsJs]:
    """handlebars.js, ready to be asked."""
    _judge(handlebars_js.missing())
    with handlebars_js.HandlebarsJs() as peer:
        yield peer


@pytest.fixture
def mailtrap_node() -> Path:
    """The folder whose node_modules has Mailtrap's Node SDK and nodemailer."""
    _judge(npm.MAILTRAP.missing())
    return npm.MAILTRAP.folder


@pytest.fixture
def amazon_node() -> Path:
    """The folder whose node_modules has the AWS SDK's client of SES v2 and nodemailer."""
    _judge(npm.AMAZON.missing())
    return npm.AMAZON.folder


@pytest.fixture
def own_hosts(tmp_path: Path) -> namespaces.Own:
    """Namespaces with an /etc/hosts of their own, whose ports are all free."""
    own = namespaces.Own(tmp_path / "hosts")
    _judge(own.missing())
    return own
