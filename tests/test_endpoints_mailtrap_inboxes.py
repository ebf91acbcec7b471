"""Projects, inboxes and caught messages over Mailtrap's API: what the contract's table does not say."""

import re
from typing import Any
from urllib.parse import unquote

import pytest

from mailferry.endpoints.mailtrap.inbox_messages import human
from mailferry.endpoints.mailtrap.message_parts import LINK_MS
from mailferry.resources import inboxes
from mailferry.resources.permissions import ADMIN, VIEWER, Grant, Resource
from mailferry.store.schema import inbox_messages
from tests.contracts.cases.sandbox import caught
from tests.delivery_support import SQLITE
from tests.working_house import WorkingHouse, engines, mail, working

__all__ = ["engines", "working"]


async def inbox(house: WorkingHouse, **how: Any) -> Any:
    return await house.made("GET", f"inboxes/{house.inbox}", **how)


@SQLITE
async def test_the_password_is_for_admins_and_reset_with_the_user(working: WorkingHouse) -> None:
    viewer = await working.token(Grant(Resource.PROJECT, working.project, VIEWER))
    admin = await working.token(Grant(Resource.INBOX, working.inbox, ADMIN))
    before = await inbox(working, token=admin)
    assert re.fullmatch(r"[0-9a-f]{14}", before["password"]) and before["permissions"]["can_update"]
    shown = await inbox(working, token=viewer)
    assert shown["password"] is None and not shown["permissions"]["can_update"]
    after = await working.made("PATCH", f"inboxes/{working.inbox}/reset_credentials", token=admin)
    assert {before["username"], before["password"]}.isdisjoint({after["username"], after["password"]})
    found = await working.run(lambda c: inboxes.by_username(c, working.deps.sealer, after["username"]))
    assert found is not None and found.password == after["password"]


@SQLITE
async def test_a_list_shows_what_the_token_may_see(working: WorkingHouse) -> None:
    second = await working.made("POST", "projects", {"project": {"name": "Second"}})
    made = await working.made("POST", f"projects/{second['id']}/inboxes", {"inbox": {"name": "Other"}})
    one = await working.token(Grant(Resource.INBOX, made["id"], VIEWER))
    assert [each["id"] for each in await working.made("GET", "inboxes", token=one)] == [made["id"]]
    (project,) = await working.made("GET", "projects", token=one)
    assert [each["id"] for each in project["inboxes"]] == [made["id"]]
    assert "share_links" not in project and project["permissions"] == dict.fromkeys(
        ("can_read", "can_update", "can_destroy", "can_leave"), False
    ) | {"can_read": True}
    assert (await working.ask("GET", f"projects/{working.project}", token=one)).status == 404


@SQLITE
async def test_a_smaller_inbox_gives_up_its_oldest_at_once(working: WorkingHouse) -> None:
    for number in range(5):
        await caught(working, subject=f"No. {number}")
    changed = await working.made("PATCH", f"inboxes/{working.inbox}", {"inbox": {"max_size": 2}})
    assert (changed["max_size"], changed["emails_count"], changed["emails_unread_count"]) == (2, 2, 2)
    assert changed["sent_messages_count"] == 5
    left = await working.made("GET", f"inboxes/{working.inbox}/messages")
    assert [each["subject"] for each in left] == ["No. 4", "No. 3"]
    for wrong in (0, -1, 1_000_001, "many"):
        answer = await working.ask("PATCH", f"inboxes/{working.inbox}", {"inbox": {"max_size": wrong}})
        assert (answer.status, list(answer.json["errors"])) == (422, ["max_size"])


@SQLITE
async def test_a_message_beyond_the_inbox_s_size_is_413(working: WorkingHouse) -> None:
    await working.made("PATCH", f"inboxes/{working.inbox}", {"inbox": {"max_message_size": 500}})
    answer = await working.post(f"/api/send/{working.inbox}", mail(text="x" * 500), {"Api-Token": working.admin})
    assert (answer.status, answer.json["errors"]) == (413, ["message is too large (maximum is 500 bytes)"])
    assert (await inbox(working))["emails_count"] == 0


@SQLITE
@pytest.mark.parametrize("name", ["", "-a", "a b", "ä", "postmaster", "x" * 64, "a@b", "UPPER"])
async def test_an_address_of_its_own_has_a_plain_name_that_nobody_else_has(working: WorkingHouse, name: str) -> None:
    answer = await working.ask("PATCH", f"inboxes/{working.inbox}", {"inbox": {"email_username": name}})
    assert answer.status == (200 if name in ("UPPER", "") else 422)
    if name == "UPPER":
        assert answer.json["email_username"] == "upper"
        other = await working.made("POST", f"projects/{working.project}/inboxes", {"inbox": {"name": "Other"}})
        taken = await working.ask("PATCH", f"inboxes/{other['id']}", {"inbox": {"email_username": "Upper"}})
        assert (taken.status, taken.json) == (422, {"errors": {"email_username": ["has already been taken"]}})
    if name == "":
        assert answer.json["email_username"], "nothing was given, and nothing changes"


@SQLITE
async def test_what_is_deleted_takes_what_it_caught_and_what_was_granted_on_it(working: WorkingHouse) -> None:
    message = await caught(working)
    token = await working.token(Grant(Resource.INBOX, working.inbox, ADMIN))
    gone = await working.made("DELETE", f"projects/{working.project}")
    assert gone == {"id": working.project}
    assert (await working.ask("GET", f"inboxes/{working.inbox}")).status == 404
    assert (await working.ask("GET", f"inboxes/{working.inbox}/messages/{message}")).status == 404
    assert (await working.ask("GET", "inboxes", token=token)).status == 403
    assert await working.run(lambda c: c.execute(inbox_messages.select()).all()) == []
    refused = await working.post(f"/api/send/{working.inbox}", mail(), {"Api-Token": working.admin})
    assert (refused.status, refused.json["errors"][0]) == (401, "Unauthorized")


@SQLITE
async def test_links_need_no_token_and_end(working: WorkingHouse) -> None:
    found = await caught(working)
    shown = await working.made("GET", f"inboxes/{working.inbox}/messages/{found}")
    for name, media in (("html_path", "text/html"), ("txt_path", "text/plain"), ("download_path", "message/rfc822")):
        answer = await working.call("GET", shown[name], headers={})
        assert answer.status == 200 and answer.headers["content-type"].startswith(media)
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    (file,) = await working.made("GET", f"inboxes/{working.inbox}/messages/{found}/attachments")
    link, _, last = file["download_path"].rpartition("/")
    assert (await working.call("GET", f"{link}/body.html", headers={})).status == 404, "it opens the attachment alone"
    assert (await working.call("GET", f"{shown['html_path'].rpartition('/')[0]}/{last}", headers={})).status == 404
    assert (await working.call("GET", shown["html_path"].replace("/body", "x/body"), headers={})).status == 404
    working.clock.forward(seconds=LINK_MS / 1000)
    assert (await working.call("GET", shown["html_path"], headers={})).status == 403
    await working.made("DELETE", f"inboxes/{working.inbox}/messages/{found}")
    working.clock.forward(seconds=-1)
    assert (await working.call("GET", shown["html_path"], headers={})).status == 404


@SQLITE
@pytest.mark.parametrize("name", ['a"b.txt', "ä €.pdf", "a\r\nX-Evil: 1.txt", "../../etc/passwd", ""])
async def test_an_attachment_is_downloaded_under_its_name_and_nothing_else(working: WorkingHouse, name: str) -> None:
    encoded = "".join(f"%{octet:02X}" for octet in name.encode())
    raw = (
        "From: a@b.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n"
        f"Content-Disposition: attachment; filename*=UTF-8''{encoded}\r\n\r\n<script>alert(1)</script>\r\n--b--\r\n"
    ).encode()
    (found,) = await working.deps.sandbox.capture([working.by_smtp(raw)])
    (file,) = await working.made("GET", f"inboxes/{working.inbox}/messages/{found}/attachments")
    answer = await working.call("GET", file["download_path"], headers={})
    kind, _, said = answer.headers["content-disposition"].partition("; filename*=UTF-8''")
    assert (kind, answer.body) == ("attachment", b"<script>alert(1)</script>")
    assert said.isascii() and not re.search(r"[\s\"/]", said) and (unquote(said) == file["filename"] or not name)
    assert "x-evil" not in answer.headers and answer.headers["content-security-policy"].startswith("sandbox")


@SQLITE
async def test_a_forwarded_message_leaves_for_its_reader_from_an_approved_domain(working: WorkingHouse) -> None:
    found = await caught(working, subject="Hällo")
    path = f"inboxes/{working.inbox}/messages/{found}/forward"
    await working.made("POST", path, {"email": working.owner})
    (job,) = await working.office.claim()
    body = await working.run(lambda c: working.deps.content.read(c, job.place))
    assert job.address == working.owner
    assert b"From: Mailferry Forward <forward@a.test>\r\n" in body
    assert b"X-Mailtrap-Original-From: app@a.test\r\n" in body and b"<p>Hi</p>" in body
    assert (await inbox(working))["forwarded_messages_count"] == 1
    refused = await working.ask("POST", path, {"email": "stranger@dest.test"})
    assert (refused.status, list(refused.json["errors"])) == (422, ["email"])


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 Bytes"),
        (1, "1 Byte"),
        (691, "691 Bytes"),
        (1024, "1 KB"),
        (1536, "1.5 KB"),
        (12_345, "12.1 KB"),
        (123_456, "121 KB"),
        (1024 * 1024, "1 MB"),
        (26_214_400, "25 MB"),
    ],
)
def test_sizes_are_written_as_mailtrap_writes_them(octets: int, text: str) -> None:
    assert human(octets) == text
