"""Options that every command shares."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from mailferry import config as settings
from mailferry.config import Config
from mailferry.net.hosts import BadHost, host_name, normalise, url_host


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which Mailferry is meant."""

    config: Annotated[Path | None, Parameter(help="Settings file (TOML).")] = None
    data: Annotated[Path | None, Parameter(help="Data folder; the default is [server] data_dir.")] = None

    def load(self, roles: str = "") -> Config:
        """Raises BadSetting with all that is wrong."""
        overrides: dict[str, Any] = {"server.data_dir": str(self.data)} if self.data is not None else {}
        if roles:
            overrides["server.roles"] = roles
        found = settings.load(self.config, overrides=overrides)
        _check_names(found)
        return found


HERE = Where()
Json = Annotated[bool, Parameter(name="--json", negative=(), show_default=False, help="Print JSON.")]
Flag = Parameter(negative=(), show_default=False)


def _account(text: str) -> Parameter:
    return Parameter(name="--account", validator=Number(gte=0), show_default=False, help=text)


#: Of something that is found by its name or number; 0: in whichever account it is.
Account = Annotated[int, _account("Its account, where several have one.")]
#: Of a list; 0: of all.
OfAccount = Annotated[int, _account("Only of this account; without it of all.")]
#: Of what is made, or is one account's alone.
ForAccount = Annotated[int, _account("The account; without it the first one, 1.")]


def access(help_: str) -> Parameter:
    return Parameter(name="--access", show_default=False, negative=(), help=help_)


#: Of a program, with its default.
Access = Annotated[
    tuple[str, ...], access("What it may do, RESOURCE=LEVEL, once or more; without it account=admin: everything.")
]
EVERYTHING = ("account=admin",)
Limit = Annotated[int, Parameter(name="--limit", validator=Number(gte=1, lte=100_000))]


def _check_names(config: Config) -> None:
    """Host names are judged by the room that uses them, which lies above the settings' own."""
    checks: dict[str, Callable[[str], object]] = {
        "server.public_url": url_host,
        "tracking.url": url_host,
        "server.hostname": host_name,
        "http.hosts": normalise,
        "dns.zone": host_name,
    }
    for key, check in checks.items():
        value = config[key]
        for name in value if isinstance(value, list) else [value]:
            try:
                if name:
                    check(name)
            except BadHost as error:
                raise config.wrong(key, str(error)) from error
