"""Postfix + OpenDKIM over a UNIX socket, as a target of the benchmark."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.peers import parts
from tests.peers.certificates import Authority
from tests.peers.opendkim import Signer
from tests.peers.relays import Yardstick

from .target import Target

DOMAIN = "bench.test"


def missing() -> str:
    """Why it cannot be measured here; empty when it can."""
    return parts.missing(parts.POSTFIX) or parts.missing(parts.OPENDKIM)


@contextlib.contextmanager
def yardstick(sink_port: int, folder: Path, *, tls: bool) -> Iterator[Target]:
    """Starts both; what they accept goes to the sink."""
    authority = Authority(folder) if tls else None
    issued = authority.issue("localhost") if authority else None
    with Signer(DOMAIN) as signer, Yardstick(sink_port, milter=signer.socket, certificate=issued) as postfix:
        yield Target(
            name="Postfix + OpenDKIM",
            sender=f"sender@{DOMAIN}",
            destination="dest.test",
            smtp_port=postfix.port,
            ca_file=str(authority.ca_file) if authority else "",
            keys=signer.keys(),
            notes=(
                "Postfix + OpenDKIM: default queue and syncs, all limits lifted, OpenDKIM on a UNIX socket signing "
                "RSA-2048 relaxed/relaxed, no AUTH (once a connection it costs nothing), up to 20 reused connections "
                "to the sink.",
            ),
        )
