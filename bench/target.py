"""What is measured: a server with one or two ways in, whose mail ends in the sink."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """A running server. Ports are on 127.0.0.1; `http_port` 0 means that it has no API.

    `keys` maps DNS names to TXT values, for checking what it signed. `notes` are sentences for the reader of the table.
    """

    name: str
    sender: str
    destination: str
    smtp_port: int
    username: str = ""
    password: str = ""
    http_port: int = 0
    token: str = ""
    ca_file: str = ""
    access_key: tuple[str, str] = ("", "")
    keys: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
