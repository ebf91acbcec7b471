"""Options that every command shares."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mailferry import config as settings
from mailferry.config import Config


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Where:
    """Which Mailferry is meant."""

    config: Annotated[Path | None, Parameter(help="Settings file (TOML).")] = None
    data: Annotated[Path | None, Parameter(help="Data folder; the default is [server] data_dir.")] = None

    def load(self, **overrides: object) -> Config:
        if self.data is not None:
            overrides["server.data_dir"] = str(self.data)
        return settings.load(
            self.config, overrides={name.replace("__", "."): value for name, value in overrides.items()}
        )


HERE = Where()
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")]
