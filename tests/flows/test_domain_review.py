"""A domain's review: the operator asks on the command line, the answers come by the API, and the decision is felt by mail."""

import asyncio
from pathlib import Path
from typing import Any

from tests.commands import first_run, run_command
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.mailtrap_domains import COMPANY
from tests.server import DOMAIN, add_domain, message, running

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}


async def test_asked_answered_rejected_and_approved(tmp_path: Path) -> None:
    async with FakeDNS(dict(ZONE)) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port) as server:
        added = await add_domain(server, dns, approve=False)
        token = first_run(server)["api_token"]
        path = f"/api/domains/{added['id']}"

        async def say(*arguments: str) -> str:
            done = await asyncio.to_thread(run_command, server, "domains", *arguments)
            assert done.returncode == 0, done.stderr
            return done.stdout

        async def post(where: str, body: Any) -> tuple[int, Any]:
            return await asyncio.to_thread(server.post, where, body, token)

        shown = await say("review", DOMAIN)
        assert "Company info\nNot given.\n" in shown and "\nThread\nNothing was said.\n" in shown
        asked = await say("ask", DOMAIN, "Who reads it?", "--company-info")
        assert asked == f"{DOMAIN}: asked; its state is missing_company_info.\n"
        await post(f"{path}/company_info", {"company_info": COMPANY})
        waiting = (await asyncio.to_thread(server.request, "GET", f"{path}/review", token))[1]["data"]
        assert waiting["compliance_status"] == "awaiting_questionnaire"
        (question,) = waiting["questions"]
        reply = {"answers": [{"id": question["id"], "answer": "Customers"}], "message": "See\x85\n our page"}
        assert (await post(f"{path}/review", reply))[1]["data"]["compliance_status"] == "under_review"
        assert (await post("/api/send", message("a@dest.test")))[0] == 200, "a review lets some mail go"
        await mx.received(1)

        assert "its mail is refused" in await say("reject", DOMAIN, "--reason", "A bought list")
        status, refused = await post("/api/send", message("b@dest.test"))
        assert (status, refused["errors"]) == (401, ["Unauthorized", f"{DOMAIN} was rejected in its review"])
        await say("say", DOMAIN, "Write to us")
        shown = await say("review", DOMAIN)
        for line in ("non_compliant", "Customers", "See our page", "A bought list", "Write to us", COMPANY["name"]):
            assert line in shown
        assert shown.index("A bought list") < shown.index("Write to us")

        assert await say("approve", DOMAIN) == f"{DOMAIN} is approved; 0 held recipients may leave now.\n"
        assert (await post("/api/send", message("c@dest.test")))[0] == 200
        await mx.received(2)

        done = await asyncio.to_thread(run_command, server, "domains", "ask", DOMAIN)
        assert (done.returncode, done.stderr) == (
            1,
            "mailferry: nothing is asked: give questions, or --company-info\n",
        )
        done = await asyncio.to_thread(run_command, server, "domains", "say", DOMAIN, " ")
        assert done.returncode == 1 and "a text of 1 to 5000 characters is wanted" in done.stderr
