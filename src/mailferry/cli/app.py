"""The commands that start, set up and tell; the nouns are in :mod:`mailferry.cli.nouns`."""

import asyncio
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from mailferry import __version__, credentials
from mailferry.cli import card, nouns, show
from mailferry.cli.options import HERE, Flag, Json, Where
from mailferry.cli.reach import Failure, check_house, tell
from mailferry.cli.show import Column
from mailferry.config import ROLES, SETTINGS, BadSetting, Config, Setting
from mailferry.net.hosts import BadHost, certificate_names
from mailferry.net.trust import trust_instructions
from mailferry.store.lock import AlreadyRunning

FORGOTTEN = (
    "This copy of the first run's secrets is deleted. The token and the password stay valid, and cannot be shown again; "
    "mailferry tokens create makes another token."
)


def _unclear(error: CycloptsError) -> str:
    """What was not understood about a command line, in one line like every other mistake."""
    said = " ".join(str(error).split())
    if isinstance(error, UnusedCliTokensError):
        said = f"There is nothing that {shlex.join(error.unused_tokens or ())} could mean here."
    return f"{said} See: {' '.join(('mailferry', *(error.command_chain or ())))} --help"


app = App(
    name="mailferry",
    help="Self-hosted email delivery. `mailferry serve` starts it; the other commands work beside it, and also while it is down.",
    version=__version__,
    help_format="plaintext",
)
nouns.register(app)


@app.command
def serve(
    *,
    where: Where = HERE,
    roles: Annotated[
        str, Parameter(show_default=False, help=f"Parts to run, with commas, instead of all: {', '.join(ROLES)}.")
    ] = "",
) -> int:
    """Start the server. Ctrl-C or SIGTERM ends it within ten seconds, and nothing is lost."""
    config = where.load(roles)
    from mailferry import logs
    from mailferry.roles import serve as run_roles

    logs.configure(config["log.format"], config["log.level"])

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run_roles(config, card.announce))
    return 0


@app.command(name="credentials")
def credentials_(
    *,
    where: Where = HERE,
    json: Json = False,
    forget: Annotated[
        bool, Flag, Parameter(help="Delete the first run's secrets from the data folder; they stay valid.")
    ] = False,
) -> int:
    """Show what the first run made, token and passwords, and where the server is found."""
    from mailferry.net.authority import ca_file

    config = where.load()
    if forget:
        gone = credentials.forget(config.data_dir)
        show.line(FORGOTTEN if gone else "There was nothing to delete.")
        return 0
    listeners = tell(config, "server.listeners")
    config = config.but(listeners or {})
    found = credentials.credentials(config, ca_file(config.data_dir))
    if json:
        show.as_json(found)
        return 0
    check_house(config)
    if found["api_token"] is None:
        again = card.command(config, "tokens create NAME")
        elsewhere = ", or lie on another node" if config["database.url"] else ""
        told = f"the first run's secrets were deleted from {config.data_dir}{elsewhere}"
        raise Failure(f"{told}; for a new token: {again}")
    show.line(card.text(config, runs=listeners is not None))
    return 0


@app.command(usage="Usage: mailferry certificates [OPTIONS] [HOSTS...]")
def certificates(
    *hosts: Annotated[str, Parameter(help="Names, *.NAME for all one label below it, or IP addresses.")],
    where: Where = HERE,
    json: Json = False,
) -> int:
    """Issue the server's certificate for further host names, serve them, and say how clients trust it.

    Without names it says which are issued. With [tls] certificate set it has a running server load that file now.
    Example: mailferry certificates send.api.mailtrap.io mailtrap.io
    """
    config = where.load()
    result = _load_given(config, hosts) if config["tls.certificate"] else _issue(config, hosts)
    if json:
        show.as_json(result)
    elif config["tls.certificate"]:
        state = (
            "is in use now" if result["served"] else f"is right; no server runs in {config.data_dir} that could load it"
        )
        show.line(f"{result['certificate']} {state}.")
    else:
        _issued(result)
    return 0


def _issue(config: Config, hosts: tuple[str, ...]) -> dict[str, Any]:
    from mailferry.net import authority

    check_house(config)
    wanted = certificate_names(hosts)
    authority.ensure_authority(config.data_dir)
    known = authority.remember_hosts(config.data_dir, wanted)
    ca_file = authority.ca_file(config.data_dir)
    return {
        "ca_file": str(ca_file),
        "names": sorted(known),
        "served": tell(config, "certificates.reload") is not None,
        "trust": {client: list(lines) for client, lines in trust_instructions(ca_file)},
    }


def _issued(result: dict[str, Any]) -> None:
    show.line(f"Authority: {result['ca_file']}\nNames:     {', '.join(result['names']) or 'none beside its own'}")
    if result["names"]:
        served = result["served"]
        show.line("The server that runs serves them now." if served else "The next start of the server serves them.")
    for client, lines in result["trust"].items():
        show.heading(client)
        for line in lines:
            show.line(f"  {line}")


def _load_given(config: Config, hosts: tuple[str, ...]) -> dict[str, Any]:
    from mailferry.net.tls_server import server_context, tls_problem

    certificate, key = Path(config["tls.certificate"]), Path(config["tls.key"])
    if hosts:
        raise Failure(f"names are those of [tls] certificate, {certificate}, and are served by [http] hosts")
    try:
        server_context(certificate, key)
    except OSError as error:
        raise config.wrong("tls.certificate", tls_problem(certificate, key, error)) from error
    served = tell(config, "certificates.reload") is not None
    return {"certificate": str(certificate), "key": str(key), "served": served}


@app.command(usage="Usage: mailferry sendmail [-t] [-i] [-f SENDER] [RECIPIENTS...]")
def sendmail(
    *words: Annotated[str, Parameter(allow_leading_hyphen=True, help="Options and recipients, as sendmail has them.")],
) -> int:
    """Send the message on standard input into an inbox of the sandbox; it takes the place of /usr/sbin/sendmail.

    To MAILFERRY_SENDMAIL_URL=smtp://USER:PASSWORD@HOST:PORT, or else to the inbox of the first run.
    Example: sendmail_path = "mailferry sendmail -t -i" in php.ini
    """
    from mailferry.cli import sendmail as program

    return program.main(words, HERE.load(), sys.stdin.buffer)


@app.command(name="config")
def config_(
    *,
    where: Where = HERE,
    show_: Annotated[bool, Flag, Parameter(name="--show", help="Print every setting.")] = False,
    json: Json = False,
) -> int:
    """Check the settings; --show prints all of them and where each came from."""
    config = where.load()
    values = _shown(config)
    if json:
        show.as_json({key: {"value": value, "from": config.origins[key]} for key, value in values.items()})
    elif show_:
        rows = [{"setting": key, "value": value, "from": config.origins[key]} for key, value in values.items()]
        columns = [Column("setting", "Setting"), Column("value", "Value", folds=True), Column("from", "From")]
        show.table(rows, columns, "")
    else:
        show.line("The settings are right. --show prints them.")
    return 0


def _shown(config: Config) -> dict[str, object]:
    return {s.key: _without_secrets(s, config[s.key]) for s in SETTINGS}


def _without_secrets(setting: Setting, value: object) -> object:
    if not value:
        return value
    if setting.secret:
        return "***"
    if setting.key == "database.url":
        from sqlalchemy.engine import make_url

        url = make_url(str(value))
        # libpq takes a password in the query as well.
        hidden = {name: "***" for name in url.query if "password" in name}
        return url.update_query_dict(hidden).render_as_string(hide_password=True)
    return value


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop  # type: ignore[return-value]  # a factory is all that Runner asks for


def run(arguments: list[str]) -> int:
    """Run one command; what the operator did wrong is one line on standard error.

    The exit status is 1 then, and 2 for a command line that was not understood.
    """
    try:
        status = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        print(f"mailferry: {_unclear(error)}", file=sys.stderr)
        return 2
    except AlreadyRunning as error:
        print(f"mailferry: {error}: stop it first, or name another folder with --data", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `mailferry messages list | head`; at its end the interpreter flushes what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if not isinstance(error, _mistakes()):
            raise
        print(f"mailferry: {error}", file=sys.stderr)
        return 1
    return status if isinstance(status, int) else 0


def _mistakes() -> tuple[type[Exception], ...]:
    """What the operator can put right; everything else is a fault of ours and shows where it happened."""
    from mailferry.house import Unusable
    from mailferry.net.authority import AuthorityError

    return (Failure, Unusable, BadSetting, BadHost, credentials.BadFile, AuthorityError, PermissionError)
