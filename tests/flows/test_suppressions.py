"""A suppression's life: a bounce makes it, the next message is rejected, the API lifts it, and mail is delivered again."""

import asyncio
from pathlib import Path
from typing import Any

from tests.commands import ask_later, first_run, run_command
from tests.conftest import eventually
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.server import DOMAIN, Mailferry, add_domain, message, running

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
UNKNOWN = "550 5.1.1 <a@dest.test>: Recipient address rejected: User unknown"


class Client:
    def __init__(self, server: Mailferry) -> None:
        self.server = server
        self.token = first_run(server)["api_token"]

    async def send(self, to: str, **fields: Any) -> str:
        """The id that the client was given."""
        status, answer = await asyncio.to_thread(self.server.post, "/api/send", message(to, **fields), self.token)
        assert status == 200, answer
        return str(answer["message_ids"][0])

    async def ask(self, method: str, path: str) -> Any:
        status, answer = await asyncio.to_thread(self.server.request, method, f"/api/accounts/1/{path}", self.token)
        assert status == 200, answer
        return answer

    async def status(self, identity: str) -> str:
        return str((await self.ask("GET", f"email_logs/{identity}"))["status"])

    async def becomes(self, identity: str, status: str) -> None:
        async with asyncio.timeout(20):
            while await self.status(identity) != status:
                await asyncio.sleep(0.05)


async def test_a_bounce_suppresses_until_it_is_reactivated(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(dict(ZONE)) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        await add_domain(server, dns)
        client = Client(server)
        mx.answers["RCPT"] = UNKNOWN
        await client.becomes(await client.send("A@dest.test", subject="First", category="orders"), "not_delivered")
        mx.answers.clear()

        (listed,) = await client.ask("GET", "suppressions?email=a@DEST.test")
        assert (listed["email"], listed["type"], listed["domain_name"]) == ("a@dest.test", "hard bounce", DOMAIN)
        assert (listed["sending_stream"], listed["message_bounce_category"]) == ("transactional", "badrecipient")
        assert (listed["message_subject"], listed["message_category"]) == ("First", "orders")
        assert listed["message_esp_response"].endswith("User unknown")
        assert (listed["message_recipient_mx_name"], listed["message_sender_email"]) == (
            "mx.dest.test",
            f"app@{DOMAIN}",
        )
        assert listed["message_outgoing_ip"] == "127.0.0.1" and listed["message_client_ip"] == "127.0.0.1"

        again = await client.send("a@dest.test")
        assert await client.status(again) == "not_delivered"
        events = (await client.ask("GET", f"email_logs/{again}"))["events"]
        assert [event["event_type"] for event in events] == ["reject"]
        assert events[0]["details"] == {"reject_reason": "Recipient in suppression list. Reason: hard bounce"}

        assert await client.ask("DELETE", f"suppressions/{listed['id']}") == listed
        assert await client.ask("GET", "suppressions") == []
        await client.becomes(await client.send("a@dest.test", subject="Third"), "delivered")
        assert len(await mx.received(1)) == 1


async def test_a_list_is_imported_while_the_server_sends(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(dict(ZONE)) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        await add_domain(server, dns)
        client = Client(server)
        file = tmp_path / "suppression_bounces.csv"
        rows = "".join(f'5.1.1,"550 5.1.1 no ""user""",R{n}@dest.test,1576591113\n' for n in range(4500))
        file.write_text(f"status,reason,email,created\n{rows}5.1.1,550 no,nobody,1\n")

        importing = asyncio.to_thread(run_command, server, "suppressions", "import", str(file), "--json")
        done, *sent = await asyncio.gather(importing, *(client.send(f"free{n}@dest.test") for n in range(5)))
        assert done.returncode == 0, done.stderr
        report = f"{file}.refused.csv"
        assert '"added": 4500' in done.stdout and '"refused": 1' in done.stdout and report in done.stdout
        assert Path(report).read_text() == 'line,why,text\n4502,an address must have an @,"5.1.1,550 no,nobody,1"\n'
        for identity in sent:
            await client.becomes(identity, "delivered")

        assert await client.status(await client.send("r4499@dest.test")) == "not_delivered"
        (shown,) = await client.ask("GET", "suppressions?email=r4499@dest.test")
        assert (shown["type"], shown["created_at"]) == ("hard bounce", "2019-12-17T13:58:33Z")
        assert (shown["sending_stream"], shown["domain_name"]) == ("any", "")
        assert shown["message_esp_response"] == '550 5.1.1 no "user"'

        # Twice is once, and what was exported reads back as what is there.
        again = await asyncio.to_thread(run_command, server, "suppressions", "import", str(file))
        assert again.stdout.startswith("4,501 lines: 0 added, 4,500 there already, 1 refused: see ")
        exported = await asyncio.to_thread(run_command, server, "suppressions", "export", "-")
        assert exported.stdout.count("\n") == 4501
        copy = tmp_path / "copy.csv"
        copy.write_text(exported.stdout)
        back = await asyncio.to_thread(run_command, server, "suppressions", "import", str(copy))
        assert back.stdout == "4,500 lines: 0 added, 4,500 there already, 0 refused.\n"

        (lifted,) = await ask_later(server, "suppressions.remove", email="R4499@dest.test")
        assert lifted["email"] == "r4499@dest.test"
        await client.becomes(await client.send("r4499@dest.test"), "delivered")
        await eventually(lambda: len(mx.transactions) == 6)
