"""The commands that start, set up and tell; the nouns are in :mod:`mailferry.cli.nouns`."""

import asyncio
import sys
from typing import Annotated

from cyclopts import App, Parameter

from mailferry import __version__, first_run, logs
from mailferry.cli import card, nouns, show
from mailferry.cli.options import HERE, Json, Where
from mailferry.cli.reach import Failure, call
from mailferry.config import SETTINGS, BadSetting, Config
from mailferry.net import authority
from mailferry.net.hosts import BadHost, certificate_names
from mailferry.net.trust import trust_instructions
from mailferry.store.lock import AlreadyRunning

app = App(
    name="mailferry",
    help="Self-hosted email delivery and testing. `mailferry serve` starts it; every other command speaks to it.",
    version=__version__,
    help_format="plaintext",
)
nouns.register(app)


@app.command
def serve(
    where: Where = HERE,
    *,
    roles: Annotated[str, Parameter(help="Parts to run, with commas: api, smtp, delivery, housekeeping.")] = "",
) -> int:
    """Start the server. Ctrl-C or SIGTERM ends it within ten seconds, and nothing is lost."""
    config = where.load(**({"server__roles": roles} if roles else {}))
    logs.configure(config["log.format"], config["log.level"])
    from mailferry.roles import serve as run_roles

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run_roles(config, card.announce))
    return 0


@app.command
def credentials(
    where: Where = HERE,
    *,
    json: Json = False,
    forget: Annotated[
        bool, Parameter(negative=(), help="Delete the first run's secrets from the data folder.")
    ] = False,
) -> int:
    """Show what the first run made: URLs, token, SMTP and sandbox passwords."""
    config = where.load()
    if forget:
        gone = first_run.forget(config.data_dir)
        show.line("The first run's secrets are deleted." if gone else "There was nothing to delete.")
        return 0
    found = first_run.credentials(config, authority.ca_file(config.data_dir))
    if json:
        show.as_json(found)
    elif found["api_token"] is None:
        raise Failure(f"no first-run secrets at {config.data_dir}: not started yet, or forgotten")
    else:
        show.line(card.text(config))
    return 0


@app.command
def certificates(*hosts: str, where: Where = HERE) -> int:
    """Issue the server's certificate for further host names, serve them, and say how clients trust it.

    Example: mailferry certificates send.api.mailtrap.io mailtrap.io
    """
    config = where.load()
    if config["tls.certificate"]:
        raise Failure("[tls] certificate is set: names are served as that certificate and [http] hosts say")
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority.ensure_authority(config.data_dir)
    known = authority.remember_hosts(config.data_dir, certificate_names(hosts))
    call(config, "certificates.reload")
    ca_file = authority.ca_file(config.data_dir)
    show.line(f"Authority: {ca_file}\nNames:     {', '.join(sorted(known)) or 'loopback only'}")
    for client, lines in trust_instructions(ca_file):
        show.heading(client)
        for line in lines:
            show.line(f"  {line}")
    return 0


@app.command(name="config")
def config_(
    where: Where = HERE,
    *,
    show_: Annotated[bool, Parameter(name="--show", negative=(), help="Print every setting.")] = False,
    json: Json = False,
) -> int:
    """Check the settings; --show prints all of them and where each came from."""
    config = where.load()
    if json:
        show.as_json({key: {"value": value, "from": config.origins[key]} for key, value in _shown(config).items()})
    elif show_:
        rows = [{"setting": key, "value": value, "from": config.origins[key]} for key, value in _shown(config).items()]
        show.table(rows, [("setting", "Setting"), ("value", "Value"), ("from", "From")], "")
    else:
        show.line("The settings are right. --show prints them.")
    return 0


def _shown(config: Config) -> dict[str, object]:
    secrets = {"relay.password"}
    return {
        s.key: "***" if s.key in secrets and config[s.key] else _without_password(s.key, config[s.key])
        for s in SETTINGS
    }


def _without_password(key: str, value: object) -> object:
    if key == "database.url" and value:
        from sqlalchemy.engine import make_url

        return make_url(str(value)).render_as_string(hide_password=True)
    return value


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop  # type: ignore[return-value]  # a factory is all that Runner asks for


def run(arguments: list[str]) -> int:
    """Run one command; what the operator did wrong is one line on standard error and exit status 1."""
    try:
        status = app(arguments)
    except (Failure, BadSetting, BadHost, AlreadyRunning, authority.AuthorityError, PermissionError) as error:
        print(f"mailferry: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status if isinstance(status, int) else 0
