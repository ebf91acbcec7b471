"""Reaches the tools behind a verb: through the control socket of a running server, or by opening the data folder.

On PostgreSQL the database may be opened beside a server; on SQLite never, since a second process could corrupt it.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mailferry.config import SQLITE_FILE, Config
from mailferry.store.lock import AlreadyRunning

if TYPE_CHECKING:
    from mailferry.endpoints.operations.tools import Tools


class Failure(RuntimeError):
    """Shown to the operator as it is; the exit status is 1."""


def call(config: Config, verb: str, **arguments: Any) -> Any:
    """The verb's result. Raises :class:`Failure` with what was wrong."""
    answer = _by_socket(config.data_dir / "control.sock", verb, arguments)
    if answer is None:
        with _opened(config) as ask:
            answer = ask(verb, arguments)
    return _result(answer)


def pieces(config: Config, verb: str, **arguments: Any) -> Iterator[Any]:
    """Results one after the other, each asked for with the ``after`` of the one before, until that is empty.

    Raises :class:`Failure`.
    """
    path = config.data_dir / "control.sock"
    answer = _by_socket(path, verb, arguments)
    with contextlib.ExitStack() as stack:
        if answer is None:
            ask = stack.enter_context(_opened(config))
            answer = ask(verb, arguments)
        else:
            ask = partial(_by_running, path)
        while True:
            result = _result(answer)
            yield result
            if not result["after"]:
                return
            answer = ask(verb, {**arguments, "after": result["after"]})


def tell(config: Config, verb: str) -> Any:
    """The verb's result from a running server; None when none runs. Raises :class:`Failure` with what was wrong."""
    answer = _by_socket(config.data_dir / "control.sock", verb, {})
    return _result(answer) if answer is not None else None


def check_house(config: Config) -> None:
    """Raises :class:`Failure` where no server was ever started.

    Nothing is made by other commands: a folder that was named by mistake would be filled with keys and a database.
    """
    if not config.data_dir.is_dir() or not (config["database.url"] or (config.data_dir / SQLITE_FILE).exists()):
        raise Failure(f"there is no Mailferry in {config.data_dir}; serve makes it, --data names another folder")


def _result(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise Failure(answer["error"])
    return answer["result"]


def _by_running(path: Path, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
    answer = _by_socket(path, verb, arguments)
    if answer is None:
        raise Failure("the server ended before all was read")
    return answer


def _by_socket(path: Path, verb: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    try:
        request = msgspec.json.encode({"verb": verb, "arguments": arguments}) + b"\n"
    except UnicodeEncodeError:  # an argument of the command line: the terminal is set to something else
        raise Failure("an argument holds octets that are no text in UTF-8") from None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(path))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return None  # no server, or one that was killed and left its socket behind
        except PermissionError as error:
            raise Failure(f"{path} belongs to another user; run this as the user that runs the server") from error
        except OSError as error:
            raise Failure(f"{path} cannot be reached: {error}") from error
        try:
            connection.sendall(request)
            with connection.makefile("rb") as lines:
                line = lines.readline()
        except ConnectionError:
            line = b""
    if not line.endswith(b"\n"):
        raise Failure("the server ended before it answered")
    answer: dict[str, Any] = msgspec.json.decode(line)
    return answer


@contextlib.contextmanager
def _opened(config: Config) -> Iterator[Callable[[str, dict[str, Any]], dict[str, Any]]]:
    """The data folder, for as many calls as are made."""
    from mailferry.endpoints.operations.control import run_verb

    try:
        with asyncio.Runner() as runner:
            house = _tools(config)
            tools = runner.run(house.__aenter__())
            try:
                yield lambda verb, arguments: runner.run(run_verb(tools, verb, arguments))
            finally:
                runner.run(house.__aexit__(None, None, None))
    except AlreadyRunning as running:
        raise Failure(f"{running}, but does not answer; it may just be starting or ending") from running


@contextlib.asynccontextmanager
async def _tools(config: Config) -> AsyncIterator["Tools"]:
    from mailferry import logs
    from mailferry.consumers.stats.counter import Counter
    from mailferry.consumers.webhooks.post import Poster
    from mailferry.endpoints.operations.tools import Tools
    from mailferry.house import open_house
    from mailferry.net.guard import Guard
    from mailferry.net.http import HttpClient
    from mailferry.resources.notification_keys import NotificationKeys

    check_house(config)
    logs.configure(config["log.format"], "warning")
    async with open_house(config) as house:
        client = HttpClient(house.resolver, Guard(config["net.allow_private"], ()))  # nothing of ours listens now
        keys = NotificationKeys(house.database, house.sealer, house.clock)
        try:
            yield Tools(
                database=house.database,
                content=house.content,
                sealer=house.sealer,
                book=house.book,
                resolver=house.resolver,
                config=config,
                hostname=house.hostname,
                clock=house.clock,
                wake=lambda: None,
                reload_hosts=lambda: None,
                poster=Poster(client, house.sealer, house.clock, keys.signing, any_port=config["net.allow_private"]),
                counter=Counter(house.database, house.clock),
            )
        finally:
            await client.close()
