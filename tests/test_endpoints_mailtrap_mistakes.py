"""What a clone of Mailtrap most likely gets wrong, one test a mistake, over the whole application.

The numbers are those of a list of 25; those about webhooks stand in test_endpoints_mailtrap_mistakes_webhooks.py. What needs
the sandbox has no test yet: 16 and 17, and the sandbox's part of 4, 8 and 24.
"""

import email
import re
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from mailtrap.models.accounts import AccountAccess
from mailtrap.models.billing import BillingCycleUsage
from mailtrap.models.contacts import ContactResponse
from mailtrap.models.email_logs import EmailLogMessage
from mailtrap.models.permissions import PermissionResource
from mailtrap.models.sending_domains import SendingDomain
from mailtrap.models.suppressions import Suppression
from pydantic import TypeAdapter
from starlette.applications import Starlette

from mailferry.delivery.prepare import Preparer
from mailferry.delivery.signing import Signers
from mailferry.delivery.transports.transport import Prepared
from mailferry.endpoints.hosts import Hosts
from mailferry.endpoints.mailtrap.rates import Rates
from mailferry.endpoints.smtp.backend import Envelope, Peer
from mailferry.endpoints.smtp.replies import Reply
from mailferry.endpoints.smtp.submission import Sender, SubmissionBackend
from mailferry.endpoints.tracking import app as tracking
from mailferry.feedback.hits import Hit, Hits
from mailferry.journal.events import Kind
from mailferry.journal.ids import Ids
from mailferry.mail.reply import Answer as Answered
from mailferry.net.hosts import HostRules, trusted_networks
from mailferry.resources import suppressions
from mailferry.resources.permissions import VIEWER, Grant, Resource
from mailferry.resources.tokens import OVERLAP_MS
from mailferry.resources.tracking_opt_outs import OptOutBook
from tests.asgi import call
from tests.conftest import Clock
from tests.contracts.cases.sandbox import caught
from tests.contracts.cases.templates import template
from tests.delivery_support import GREYLISTED, SPAM, SQLITE, UNKNOWN
from tests.mailtrap_domains import COMPANY, wrapped
from tests.test_delivery_prepare import MODERN
from tests.test_delivery_tracking import KEY, tracker
from tests.working_house import WorkingHouse, engines, mail, working

__all__ = ["engines", "working"]
pytestmark = SQLITE

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")


async def test_mistake_01_only_one_path_family(working: WorkingHouse) -> None:
    for legacy, noun, kind in ((True, "sending_domains", "sending_domain"), (False, "domains", "domain")):
        made = await working.ask("POST", noun, wrapped(legacy, domain_name=f"{noun[:4]}.test"), legacy=legacy)
        assert made.status == 200
        grant = {"resource_type": kind, "resource_id": made.json["id"], "access_level": 10}
        token = await working.ask("POST", "api_tokens", {"name": "X", "resources": [grant]}, legacy=legacy)
        assert token.json["resources"] == [grant]
        for of_the_other in (noun, "suppressions", "email_logs", "contacts/lists", "email_templates", "api_tokens"):
            assert (await working.ask("GET", of_the_other, legacy=legacy)).status == 200
    await working.send()
    (old,) = (await working.ask("GET", "email_logs")).json["messages"]
    (new,) = (await working.ask("GET", "email_logs", legacy=False)).json["messages"]
    assert old["sending_domain_id"] == new["domain_id"] == working.domain
    assert "domain_id" not in old and "sending_domain_id" not in new


async def test_mistake_02_one_error_shape_everywhere(working: WorkingHouse) -> None:
    poor = await working.token()
    general = [
        (await working.ask("GET", "contacts/lists", token="f" * 32), 401, {"error": "Incorrect API token"}),
        (
            await working.ask("GET", "contacts/lists", account=working.foreign),
            403,
            {"errors": "Account access forbidden"},
        ),
        (await working.ask("GET", "contacts/lists", token=poor), 403, {"errors": "Access forbidden"}),
        (await working.ask("GET", "contacts/lists/77"), 404, {"error": "Not Found"}),
        (await working.ask("POST", "contacts/lists", {}), 422, {"errors": {"name": ["can't be blank"]}}),
        (await working.ask("PUT", "contacts/lists", {}), 405, {"error": "Method Not Allowed"}),
    ]
    for answer, status, body in general:
        assert (answer.status, answer.json) == (status, body)
    refused = await working.post("/api/send", {"subject": "x"}, {"Api-Token": working.admin})
    assert refused.status == 400 and refused.json["success"] is False and isinstance(refused.json["errors"], list)
    for target in ("/api/send", f"/api/accounts/{working.account}/contacts/lists"):
        broken = await working.post(target, b'{"name":', {"Api-Token": working.admin})
        assert broken.status == 400 and "detail" not in broken.json
        slash = await working.post(target + "/", {"name": target}, {"Api-Token": working.admin})
        assert slash.status in (200, 400), "and no redirect"
    organization = await working.organize()
    group = await working.token(Grant(Resource.ORGANIZATION, organization, 100))
    path = f"/api/organizations/{organization}/sub_accounts"
    nameless = await working.post(path, {}, {"Api-Token": group})
    assert (nameless.status, nameless.body) == (400, b"")


async def test_mistake_03_403_for_a_foreign_sender(working: WorkingHouse) -> None:
    for domain in ("b.test", "stranger.test", "sub.a.test"):
        answer = await working.post(
            "/api/send", mail(**{"from": {"email": f"x@{domain}"}}), {"Api-Token": working.admin}
        )
        assert (answer.status, answer.json["errors"][0]) == (401, "Unauthorized")
        assert domain in answer.json["errors"][1], "and it says why"
    demo = await working.post("/api/send", mail(**{"from": {"email": "x@demo.test"}}), {"Api-Token": working.admin})
    assert demo.status == 403 and demo.json["errors"][0].startswith("Demo domains can only be used")


async def test_mistake_04_ids_of_messages(working: WorkingHouse) -> None:
    boxes = {name: [{"email": f"{name}{n}@dest.test"} for n in (1, 2)] for name in ("cc", "bcc")}
    ids = await working.send("to1@dest.test", "to2@dest.test", **boxes)
    told = [(await working.made("GET", f"email_logs/{each}"))["to"].partition("@")[0] for each in ids]
    assert told == ["to1", "to2", "cc1", "cc2", "bcc1", "bcc2"]
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", each) for each in ids)


async def test_mistake_05_a_batch_that_fails_as_a_whole(working: WorkingHouse) -> None:
    answer = await working.post("/api/batch", {"requests": [{}, {"to": [{}]}]}, {"Api-Token": working.admin})
    assert answer.status == 200 and answer.json["success"] is True
    assert [(each["success"], bool(each["errors"])) for each in answer.json["responses"]] == [(False, True)] * 2
    empty = await working.post("/api/batch", {"requests": []}, {"Api-Token": working.admin})
    assert (empty.status, empty.json) == (400, {"success": False, "errors": ["empty field: 'requests'"]})


async def test_mistake_06_the_base_of_a_batch_is_not_merged(working: WorkingHouse) -> None:
    base = mail(custom_variables={"a": "1", "b": "2"}, category="base")
    requests = [{"to": base.pop("to")}, {"to": [{"email": "z@dest.test"}], "custom_variables": {"a": "3"}}]
    answer = await working.post("/api/batch", {"base": base, "requests": requests}, {"Api-Token": working.admin})
    ids = [each["message_ids"][0] for each in answer.json["responses"]]
    told = [await working.made("GET", f"email_logs/{each}") for each in ids]
    assert [each["custom_variables"] for each in told] == [{"a": "1", "b": "2"}, {"a": "3"}]
    assert [each["category"] for each in told] == ["base", "base"]


async def test_mistake_07_a_template_excludes_its_parts(working: WorkingHouse) -> None:
    made = await working.made("POST", "email_templates", {"email_template": template()})
    bare = {name: value for name, value in mail().items() if name in ("from", "to")} | {"template_uuid": made["uuid"]}
    for name in ("subject", "text", "html", "category"):
        answer = await working.post("/api/send", bare | {name: "x"}, {"Api-Token": working.admin})
        text = f"'{name}' is not allowed with 'template_uuid'"
        assert (answer.status, answer.json) == (400, {"success": False, "errors": [text]})
    assert (await working.post("/api/send", bare, {"Api-Token": working.admin})).status == 200


async def test_mistake_08_status_codes_by_rest_habit(working: WorkingHouse) -> None:
    domain = (await working.ask("POST", "sending_domains", wrapped(True, domain_name="new.test"))).json["id"]
    account = {"resource_type": "account", "resource_id": working.account, "access_level": 10}
    field = {"name": "X", "data_type": "text", "merge_tag": "x"}
    suppression = {"email": "eve@dest.test", "domain_id": working.domain, "sending_stream": "bulk"}
    posts: list[tuple[str, Any, int]] = [
        ("sending_domains", wrapped(True, domain_name="more.test"), 200),
        ("contacts/lists", {"name": "New"}, 200),
        ("api_tokens", {"name": "CI", "resources": [account]}, 200),
        ("email_templates", {"email_template": template()}, 201),
        ("contacts", {"contact": {"email": "ann@dest.test"}}, 201),
        ("contacts/ann@dest.test/events", {"name": "bought"}, 201),
        ("contacts/fields", field, 201),
        ("contacts/imports", {"contacts": [{"email": "a@dest.test"}]}, 201),
        ("contacts/exports", {"filters": []}, 201),
        ("suppressions", suppression, 201),
        (f"sending_domains/{domain}/company_info", {"company_info": COMPANY}, 200),
        (f"sending_domains/{domain}/send_setup_instructions", {"email": "a@dest.test"}, 204),
    ]
    made = {}
    for path, body, status in posts:
        answer = await working.ask("POST", path, body)
        assert answer.status == status, path
        made[path] = answer.json if answer.body else None
    deletes = [
        (f"sending_domains/{domain}", 204),
        (f"contacts/lists/{made['contacts/lists']['id']}", 204),
        (f"contacts/fields/{made['contacts/fields']['id']}", 204),
        (f"email_templates/{made['email_templates']['id']}", 204),
        (f"api_tokens/{made['api_tokens']['id']}", 204),
        ("contacts/ann@dest.test", 204),
        (f"suppressions/{made['suppressions']['data']['id']}", 200),
    ]
    for path, status in deletes:
        answer = await working.ask("DELETE", path)
        assert (answer.status, bool(answer.body)) == (status, status == 200), path
    (access, *_) = [
        each["id"] for each in await working.made("GET", "account_accesses") if each["permissions"]["can_leave"]
    ]
    gone = await working.ask("DELETE", f"account_accesses/{access}")
    assert (gone.status, gone.json) == (200, {"id": access})


async def test_mistake_09_envelopes(working: WorkingHouse) -> None:
    await working.contact("ann@dest.test")
    await working.made("POST", f"sending_domains/{working.domain}/company_info", {"company_info": COMPANY})
    made = await working.made("POST", "email_templates", {"email_template": template()})
    enveloped = ("sending_domains", "contacts/ann@dest.test", f"sending_domains/{working.domain}/company_info")
    for path in enveloped:
        assert list(await working.made("GET", path)) == ["data"], path
    lists = ("suppressions", "email_templates", "contacts/lists", "contacts/fields", "api_tokens", "account_accesses")
    for path in lists:
        assert isinstance(await working.made("GET", path), list), path
    ones = (f"sending_domains/{working.domain}", f"email_templates/{made['id']}", f"contacts/lists/{working.lists[0]}")
    for path in ones:
        assert "id" in await working.made("GET", path), path


async def test_mistake_10_names_of_events(working: WorkingHouse) -> None:
    (waiting,) = await working.send("soft@dest.test")
    await working.deliver(GREYLISTED)
    (disliked,) = await working.send("spam@dest.test")
    await working.deliver()
    complaint = Hit(
        Kind.SPAM, working.domain, disliked, working.clock(), stream="transactional", address="spam@dest.test"
    )
    assert await Hits(working.database, Ids(working.clock), working.clock).record(complaint)
    for sent, names in ((waiting, ["soft_bounce"]), (disliked, ["delivery", "spam"])):
        told = await working.made("GET", f"email_logs/{sent}")
        assert [each["event_type"] for each in told["events"]] == names
        query = f"filters[events][operator]=include_event&filters[events][value]={names[-1]}"
        assert [each["message_id"] for each in (await working.made("GET", f"email_logs?{query}"))["messages"]] == [sent]
    for wrong in ("soft bounce", "spam_complaint"):
        query = f"filters[events][operator]=include_event&filters[events][value]={wrong.replace(' ', '+')}"
        assert (await working.ask("GET", f"email_logs?{query}")).status == 400


async def test_mistake_13_times(working: WorkingHouse) -> None:
    contact = await working.contact("ann@dest.test")
    assert contact["created_at"] == contact["updated_at"] == working.clock()
    (sent,) = await working.send()
    assert ISO.fullmatch((await working.made("GET", f"email_logs/{sent}"))["sent_at"])
    unverified = await working.made("GET", f"sending_domains/{working.other_domain}")
    verified = await working.made("GET", f"sending_domains/{working.domain}")
    assert unverified["dns_verified_at"] == "" and ISO.fullmatch(verified["dns_verified_at"])
    export = await working.made("POST", "contacts/exports", {"filters": []})
    assert ISO.fullmatch(export["created_at"])


async def test_mistake_14_empty_values(working: WorkingHouse) -> None:
    body = {"email": "eve@dest.test", "domain_id": working.domain, "sending_stream": "bulk"}
    made = (await working.made("POST", "suppressions", body))["data"]
    assert {made[name] for name in made if name.startswith("message_")} == {""}
    (sent,) = await working.send()
    told = await working.made("GET", f"email_logs/{sent}")
    empty = ("category", "custom_variables", "template_id", "template_variables", "in_reply_to")
    assert [told[name] for name in empty] == [None] * len(empty)


async def test_mistake_15_types(working: WorkingHouse) -> None:
    token = await working.token(Grant(Resource.DOMAIN, working.domain, VIEWER), name="Of A")
    (access,) = await working.made("GET", f"account_accesses?domain_ids={working.domain}")
    path = f"account_accesses/{access['id']}/permissions/bulk"
    for identity in (working.domain, str(working.domain)):
        for level, number in ((100, 100), ("admin", 100), ("viewer", 10), (10, 10)):
            change = {"resource_id": identity, "resource_type": "sending_domain", "access_level": level}
            await working.made("PUT", path, {"permissions": [change]})
            (shown,) = await working.made("GET", "api_tokens", token=token)
            expected = {"resource_type": "sending_domain", "resource_id": working.domain, "access_level": number}
            assert shown["resources"] == [expected]
    flag = await working.made(
        "PATCH", f"sending_domains/{working.domain}", wrapped(True, open_tracking_enabled="false")
    )
    assert flag["open_tracking_enabled"] is False


async def test_mistake_16_links_to_parts_of_a_body(working: WorkingHouse) -> None:
    """They need no token, and name no account."""
    message = await caught(working, subject="Hi", text="Text", html="<p>HTML</p>")
    shown = await working.made("GET", f"inboxes/{working.inbox}/messages/{message}")
    paths = {name: path for name, path in shown.items() if name.endswith("_path")}
    assert set(paths) == {"txt_path", "html_path", "html_source_path", "raw_path", "download_path"}
    for path in paths.values():
        assert re.fullmatch(r"/api/testing_message_parts/[^/]+/body\.(txt|html|htmlsource|raw|eml)", path)
        assert (await call(working.app, "GET", path)).status == 200
    assert (await call(working.app, "GET", paths["txt_path"])).body == b"Text"
    assert (await call(working.app, "GET", paths["txt_path"].replace("parts/", "parts/x"))).status == 404


async def test_mistake_17_pages_of_messages(working: WorkingHouse) -> None:
    messages = f"inboxes/{working.inbox}/messages"
    ids = [await caught(working, subject=f"No. {number}", text="hidden") for number in range(32)]
    newest, page = ids[::-1], [each["id"] for each in await working.made("GET", messages)]
    assert page == newest[:30]
    assert [each["id"] for each in await working.made("GET", f"{messages}?page=2")] == newest[30:]
    older = await working.made("GET", f"{messages}?page=2&last_id={newest[0]}")
    assert [each["id"] for each in older] == newest[1:31]
    (found,) = await working.made("GET", f"{messages}?search=No.%2031")
    assert found["id"] == newest[0]
    assert await working.made("GET", f"{messages}?search=hidden") == []


async def test_mistake_18_contacts(working: WorkingHouse) -> None:
    odd = "a+b.c%41@dest.test"
    made = await working.contact(odd)
    for spelled in (made["id"], "a%2Bb.c%2541%40dest.test", "a+b.c%2541@dest.test"):
        assert (await working.shown(spelled))["email"] == odd, "decoded once"
    for address, action in (("new@dest.test", "created"), ("new@dest.test", "updated")):
        answer = await working.ask("PATCH", f"contacts/{address}", {"contact": {"email": address}})
        assert (answer.status, answer.json["action"]) == (200, action)
    wrapper = await working.ask("POST", "contacts/lists", {"contact_list": {"name": "X"}})
    assert wrapper.status == 422, "lists have no wrapper"
    assert (await working.ask("POST", "contacts", {"email": "bare@dest.test"})).status == 422, "and contacts have one"


@pytest.mark.parametrize(
    "form", ["a=1&a=2", "a[]=1&a[]=2", "a[0]=1&a[1]=2", "a%5B%5D=1&a%5B%5D=2", "a%5B0%5D=1&a%5B1%5D=2&nothing[x]=7"]
)
async def test_mistake_19_arrays_in_queries(working: WorkingHouse, form: str) -> None:
    """In every form; what nobody knows is ignored."""
    for domain, name in ((working.domain, "One"), (working.other_domain, "Two")):
        await working.token(Grant(Resource.DOMAIN, domain, VIEWER), name=name)
    query = form.replace("1&", f"{working.domain}&").replace("=2", f"={working.other_domain}")
    found = await working.made("GET", "account_accesses?" + query.replace("a", "domain_ids"))
    assert [each["specifier"]["name"] for each in found] == ["One", "Two"]
    await working.send("bob@dest.test")
    await working.send("eve@dest.test")
    values = form.replace("a", "filters[to][value]").replace("=1", "=bob@dest.test").replace("=2", "=eve@dest.test")
    logs = await working.made(
        "GET", f"email_logs?filters[to][operator]=ci_equal&filters[planet][operator]=equal&{values}"
    )
    assert logs["total_count"] == 2


async def test_mistake_20_tokens(working: WorkingHouse, clock: Clock) -> None:
    account = {"resource_type": "account", "resource_id": working.account, "access_level": 10}
    made = await working.made("POST", "api_tokens", {"name": "CI", "resources": [account]})
    for headers in ({"Api-Token": made["token"]}, {"Authorization": f"Bearer {made['token']}"}):
        assert (await working.call("GET", "/api/contacts/lists", headers=headers)).status == 200
    assert "token" not in await working.made("GET", f"api_tokens/{made['id']}"), "it is shown once"
    again = await working.made("POST", f"api_tokens/{made['id']}/reset")
    assert again["id"] != made["id"] and again["name"] == f"CI {again['id']}" and again["token"] != made["token"]
    assert (await working.ask("GET", "contacts/lists", token=made["token"])).status == 200
    clock.now += OVERLAP_MS
    assert (await working.ask("GET", "contacts/lists", token=made["token"])).status == 401


async def test_mistake_20_limits_differ_by_limiter_and_are_told_on_the_general_host(working: WorkingHouse) -> None:
    limited = working.again(rates=Rates(working.clock))
    seen = [await limited.ask("GET", "suppressions") for _ in range(11)]
    assert (seen[0].headers["x-ratelimit-limit"], seen[0].headers["x-ratelimit-remaining"]) == ("10", "9")
    assert (seen[10].status, seen[10].json) == (429, {"errors": "Rate limit exceeded"})
    general = [await limited.ask("GET", "email_templates") for _ in range(150)][-1]
    assert (general.status, general.json) == (429, {"error": "Throttled"})
    sent = await limited.post("/api/send", mail(), {"Api-Token": working.admin})
    assert sent.status == 200 and not [name for name in sent.headers if name.startswith("x-ratelimit")]


def submission(house: WorkingHouse) -> SubmissionBackend:
    return SubmissionBackend(house.office.intake, house.credentials, "mail.test", house.clock)


PEER = Peer("192.0.2.1", 5000)


async def test_mistake_21_the_smtp_user_is_api(working: WorkingHouse) -> None:
    backend = submission(working)
    for user, stream in (("api", "transactional"), ("bulk", "bulk")):
        found = await backend.authenticate(PEER, user, working.admin)
        assert isinstance(found, Sender) and found.stream == stream
    for user, password in (("smtp", working.admin), ("api", "f" * 32), (working.admin, "api")):
        refused = await backend.authenticate(PEER, user, password)
        assert isinstance(refused, Reply) and refused.code == 535
    sender = await backend.authenticate(PEER, "api", working.admin)
    for envelope, header, code in (
        ("app@a.test", "app@a.test", 250),
        ("app@sub.a.test", "app@a.test", 550),
        ("app@a.test", "app@sub.a.test", 550),
        ("app@sub.a.test", "app@sub.a.test", 550),
    ):
        message = f"From: {header}\r\nTo: bob@dest.test\r\n\r\nHi\r\n".encode()
        reply = await backend.data(sender, Envelope(envelope, recipients=["bob@dest.test"]), message)
        assert reply.code == code, (envelope, header, reply)


async def prepared(house: WorkingHouse, path: str, **fields: Any) -> dict[str, str]:
    """The fields of a message that was sent over this path, as it would leave; under "text" what is read of it, decoded."""
    office, signers = house.office, Signers(0)
    await house.send(path=path, **({"html": "<p>News</p>"} | fields))
    (job,) = await office.claim()
    body = await house.run(lambda connection: office.content.read(connection, job.place))

    async def read() -> bytes:
        return bytes(body)

    preparer = Preparer(
        *(office.book, office.sealer, signers, house.clock),
        hostname="mail.test",
        tracker=tracker(),
        opt_outs=OptOutBook(house.database, house.clock),
    )
    found = await preparer.prepare(job, read, MODERN)
    await signers.close()
    assert isinstance(found, Prepared), found
    whole = email.message_from_bytes(b"".join(found.chunks))
    texts = [bytes(part.get_payload(decode=True)) for part in whole.walk() if not part.is_multipart()]
    return {name.lower(): str(value) for name, value in whole.items()} | {"text": b"\n".join(texts).decode()}


async def test_mistake_22_what_the_bulk_stream_adds_and_the_other_does_not(working: WorkingHouse) -> None:
    bulk = await prepared(working, "/bulk/api/send")
    assert bulk["precedence"] == "bulk" and "https://" in bulk["list-unsubscribe"]
    assert bulk["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert "Unsubscribe: https://" in bulk["text"] and ">Unsubscribe</a>" in bulk["text"], "a footer in both texts"
    assert bulk["feedback-id"].count(":") == 3
    own = await prepared(working, "/bulk/api/send", html='<p>News</p><a href="__unsubscribe_url__">Stop</a>')
    assert "list-unsubscribe" in own and "Unsubscribe" not in own["text"] and '<a href="https://' in own["text"]
    plain = await prepared(working, "/api/send")
    assert not {"precedence", "list-unsubscribe", "list-unsubscribe-post"} & set(plain)
    assert "Unsubscribe" not in plain["text"]
    await working.made("PATCH", f"sending_domains/{working.domain}", wrapped(True, auto_unsubscribe_link_enabled=True))
    assert "list-unsubscribe" in await prepared(working, "/api/send"), "unless the domain asks for it"


async def test_mistake_22_one_click_asks_nothing_and_opening_the_link_does_nothing(working: WorkingHouse) -> None:
    """RFC 8058; and whoever scans mail for links only opens them."""
    site = Starlette(
        routes=tracking.routes(
            tracking.Deps(
                Hits(working.database, Ids(working.clock), working.clock),
                {KEY.number: KEY.secret},
                working.database,
                working.office.book,
                working.clock,
            )
        )
    )
    path = urlsplit((await prepared(working, "/bulk/api/send"))["list-unsubscribe"].strip("<>")).path
    for method in ("GET", "HEAD"):
        assert (await call(site, method, path)).status == 200
        assert await working.made("GET", "suppressions") == []
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    clicked = await call(site, "POST", path, body=b"List-Unsubscribe=One-Click", headers=form)
    assert clicked.status == 200 and "set-cookie" not in clicked.headers
    (found,) = await working.made("GET", "suppressions")
    assert (found["type"], found["sending_stream"], found["domain_name"]) == ("unsubscription", "bulk", "a.test")


async def test_mistake_23_the_scope_of_suppressions(working: WorkingHouse) -> None:
    async def status(address: str, path: str = "/api/send") -> tuple[str, list[str]]:
        (sent,) = await working.send(address, path=path)
        told = await working.made("GET", f"email_logs/{sent}")
        return told["status"], [each["event_type"] for each in told["events"]]

    body = {"email": "eve@dest.test", "domain_id": working.domain, "sending_stream": "bulk"}
    await working.made("POST", "suppressions", body)
    assert await status("Eve@dest.test", "/bulk/api/send") == ("not_delivered", ["reject"])
    assert await status("eve@dest.test") == ("enqueued", [])
    for address, domain, stream, everywhere in (
        ("elsewhere@dest.test", working.other_domain, suppressions.ANY, False),
        ("all@dest.test", 0, "transactional", True),
        ("any@dest.test", working.domain, suppressions.ANY, True),
    ):
        row = suppressions.entry(
            working.account, address, working.clock(), domain_id=domain, stream=stream, type=suppressions.MANUAL_IMPORT
        )
        await working.run(lambda connection, row=row: suppressions.add(connection, [row], "operator"))  # type: ignore[misc]
        assert await status(address) == (("not_delivered", ["reject"]) if everywhere else ("enqueued", [])), address
    for address, reply, suppressed in (
        ("gone@dest.test", UNKNOWN, True),
        (
            "full@dest.test",
            Answered(552, "5.2.2", "mailbox full", stage="rcpt", transport="mx", host="mx.dest.test"),
            True,
        ),
        ("spam@dest.test", SPAM, False),
    ):
        await working.deliver()
        await working.send(address)
        await working.deliver(reply)
        found = await working.made("GET", f"suppressions?email={address}")
        assert [each["type"] for each in found] == ["hard bounce"] * suppressed, address


async def test_mistake_24_variables_and_transfer_encodings(working: WorkingHouse) -> None:
    large = {"a": "x" * 1000}
    refused = await working.post("/api/send", mail(custom_variables=large), {"Api-Token": working.admin})
    assert refused.status == 400 and "custom_variables" in refused.json["errors"][0]
    two = await working.post("/api/send", mail(category=["a", "b"]), {"Api-Token": working.admin})
    assert two.status == 400, "there is one category"
    for name in ("Content-Transfer-Encoding", "content-transfer-encoding"):
        found = await prepared(working, "/api/send", text="Größe", html="", headers={name: "binary"})
        assert (found["content-transfer-encoding"], found["text"].strip()) == ("quoted-printable", "Größe")
    backend = submission(working)
    sender = await backend.authenticate(PEER, "api", working.admin)
    fields = (
        b'From: app@a.test\r\nX-MT-Custom-Variables: {"a": "' + b"x" * 1000 + b'"}\r\nSubject: By SMTP\r\n\r\nHi\r\n'
    )
    reply = await backend.data(sender, Envelope("app@a.test", recipients=["bob@dest.test"]), fields)
    assert reply.code == 250
    query = "filters[subject][operator]=ci_equal&filters[subject][value]=By+SMTP"
    (told,) = (await working.made("GET", f"email_logs?{query}"))["messages"]
    assert told["custom_variables"] is None


async def test_mistake_25_the_sdks_need_more_than_the_service_gives(working: WorkingHouse) -> None:
    await working.contact("ann@dest.test")
    body = {"email": "eve@dest.test", "domain_id": working.domain, "sending_stream": "bulk"}
    await working.made("POST", "suppressions", body)
    (sent,) = await working.send()
    fresh = await working.made("POST", "sending_domains", wrapped(True, domain_name="new.test"))
    models: list[tuple[Any, Any]] = [
        (SendingDomain, fresh),
        (list[AccountAccess], await working.made("GET", "account_accesses")),
        (list[PermissionResource], await working.made("GET", "permissions/resources")),
        (BillingCycleUsage, await working.made("GET", "billing/usage")),
        (ContactResponse, await working.made("GET", "contacts/ann@dest.test")),
        (list[Suppression], await working.made("GET", "suppressions")),
    ]
    for model, answered in models:
        TypeAdapter(model).validate_python(answered)
    assert EmailLogMessage.from_api(await working.made("GET", f"email_logs/{sent}")).message_id == sent
    assert all(set(record) == {"key", "domain", "type", "value", "status", "name"} for record in fresh["dns_records"])


async def test_mistake_25_hosts_say_what_is_meant(working: WorkingHouse) -> None:
    """One application behind all of Mailtrap's names; a client cannot choose the path, but its host."""
    rules = HostRules(["send.mail.test", "bulk.mail.test", "sandbox.mail.test", "mail.test"])
    app = Hosts(working.app, rules, trusted_networks([]))
    for host, stream in (
        ("send.mail.test", "transactional"),
        ("bulk.mail.test", "bulk"),
        ("sandbox.mail.test:8443", ""),
    ):
        headers = {"Api-Token": working.admin, "Host": host}
        answer = await call(app, "POST", "/api/send", body=msgspec.json.encode(mail()), headers=headers)
        assert answer.status == (200 if stream else 400), host
        if stream:
            told = await working.made("GET", f"email_logs/{answer.json['message_ids'][0]}")
            assert told["sending_stream"] == stream
