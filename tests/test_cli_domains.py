"""What a stranger's DNS can put before an operator's eyes does nothing to the terminal."""

import pytest

from mailferry.cli import domains
from mailferry.endpoints.operations import domains as verbs
from mailferry.net.dns import Resolver
from mailferry.resources import dns_records
from mailferry.resources.domains import Domain
from tests.conftest import Clock
from tests.fakes.dns import FakeDNS

#: Clears the screen, names the window, begins a line of its own, colours it, and turns the reading direction round.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\npass  \x9b31m\u202egnp.exe"


async def test_what_a_stranger_publishes_is_shown_and_not_obeyed(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    domain = Domain(1, 1, "own.test", "unverified_dns", False, 0, False, "mf1")
    (policy,) = [
        record
        for record in dns_records.records(domain, dns_records.Operator("mail.test"))
        if record.domain == "_dmarc.own.test"
    ]
    async with FakeDNS({policy.domain: {"TXT": HOSTILE}}) as dns:
        resolver = Resolver([dns.address], clock=clock)
        (status,) = await dns_records.verify(resolver, [policy])
        await resolver.close()
    assert HOSTILE in status.sentence, "all of it comes so far"

    domains._judged(verbs._status(status))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(line.isprintable() for line in lines)
    assert "\N{REPLACEMENT CHARACTER}[2J" in lines[1] and "gnp.exe" in lines[1]
    assert lines[1].endswith(f'Publish TXT "{policy.value}".'), "and so it is not said again"


def test_what_somebody_copies_stays_in_one_piece(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    key = "v=DKIM1; k=rsa; p=" + "x" * 392
    record = {"status": "missing", "type": "TXT", "domain": "mf1._domainkey.own.test", "value": key}
    domains._judged({**record, "sentence": "Publish TXT v=DKIM1...", "required": False})
    domains._judged({**record, "sentence": f"Publish TXT {key}.", "required": True})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("mf1._domainkey.own.test (optional)")
    assert lines[1:3] == [f"{'':14}Publish TXT v=DKIM1...", f"{'':14}Wanted: {key}"]
    assert lines[4:] == [f"{'':14}Publish TXT {key}."]
