"""The official `mailtrap` SDK keeps templates, over the older and the newer paths, and sends by them."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from tests.commands import ask_later, first_run
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.server import DOMAIN, add_domain, running

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}

#: The SDK knows one general host, which is read when an API is asked for.
SCRIPT = f"""
import sys
import mailtrap as mt
import mailtrap.client
from mailtrap.exceptions import APIError
from mailtrap.models.mail.batch_mail import BatchMailFromTemplate
from mailtrap.models.paginated_templates import CreateTemplateParams, TemplateListParams, UpdateTemplateParams
from mailtrap.models.templates import CreateEmailTemplateParams, UpdateEmailTemplateParams

token, host, account = sys.argv[1:]
mailtrap.client.GENERAL_HOST = host
client = mt.MailtrapClient(token=token, api_host=host, account_id=account)
old, new = client.email_templates_api.templates, client.templates_api.templates

def refused(status, call, *arguments):
    try:
        call(*arguments)
    except APIError as error:
        assert error.status == status, error
        return error.errors
    raise AssertionError("it was not refused")

# --- email_templates
assert old.get_list() == []
made = old.create(CreateEmailTemplateParams(
    name="Welcome", subject="Hi {{{{{{name}}}}}}", category="onboarding", body_html="<p>{{{{name}}}}</p>"))
assert (made.name, made.category, made.body_html, made.body_text) == ("Welcome", "onboarding", "<p>{{{{name}}}}</p>", None)
assert old.get_by_id(made.id) == made and old.get_list() == [made]
changed = old.update(made.id, UpdateEmailTemplateParams(body_text="{{{{#each items}}}}{{{{this}}}};{{{{/each}}}}"))
assert changed.body_html == made.body_html and changed.body_text.startswith("{{{{#each")
assert refused(422, old.create, CreateEmailTemplateParams(name="", subject="s", category="c")) == ["name: can't be blank"]
assert refused(422, old.update, made.id, UpdateEmailTemplateParams(body_html="{{{{#if")) == [
    "body_html: is not a valid Handlebars template: line 1, column 1: this tag is never closed"]

# --- templates
flat = new.create(CreateTemplateParams(name="News", subject="News", category="news", body_text="news"))
page = new.get_list(TemplateListParams(per_page=1))
assert [each.id for each in page.data] == [flat.id] and page.pagination.next_token == 2, page
last = new.get_list(TemplateListParams(per_page=1, token=2))
assert [each.id for each in last.data] == [made.id] and last.pagination.next_token is None
assert new.get_by_id(flat.id) == flat
assert new.update(flat.id, UpdateTemplateParams(subject="Newer")).subject == "Newer"
assert new.delete(flat.id).id == flat.id
assert refused(404, new.get_by_id, flat.id) == ["Not Found"]

# --- sending
sender = mt.Address(email="app@{DOMAIN}")

def mail(uuid, to, **variables):
    return mt.MailFromTemplate(
        sender=sender, to=[mt.Address(email=to)], template_uuid=uuid, template_variables=variables)

one = client.send(mail(made.uuid, "one@dest.test", name="Tom & Ö", items=[1, 2]))
assert one["success"] and len(one["message_ids"]) == 1, one
assert "UUID" in refused(400, client.send, mail("0" * 8 + made.uuid[8:], "never@dest.test"))[0]
many = client.batch_send(mt.BatchSendEmailParams(
    base=BatchMailFromTemplate(sender=sender, template_uuid=made.uuid, template_variables={{"name": "base"}}),
    requests=[
        mt.BatchEmailRequest(to=[mt.Address(email="a@dest.test")]),
        mt.BatchEmailRequest(to=[mt.Address(email="b@dest.test")], template_variables={{"name": "own"}}),
        mt.BatchEmailRequest(to=[mt.Address(email="never@dest.test")], subject="x")]))
assert [answer["success"] for answer in many["responses"]] == [True, True, False], many
assert many["responses"][2]["errors"] == ["'subject' is not allowed with 'template_uuid'"]

logs = client.email_logs_api.email_logs.get_list().messages
(entry,) = [each for each in logs if each.to == "one@dest.test"]
assert (entry.template_id, entry.category, entry.subject) == (made.id, "onboarding", "Hi Tom & Ö"), entry
assert entry.template_variables == {{"name": "Tom & Ö", "items": [1, 2]}}
old.delete(made.id)
assert old.get_list() == []
"""


async def test_the_sdk_keeps_templates_and_sends_by_them(tmp_path: Path) -> None:
    async with FakeDNS(ZONE) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port) as server:
        await add_domain(server, dns)
        made = first_run(server)
        clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", SCRIPT, made["api_token"], f"localhost:{server.https}", str(made["account_id"])],
            env=clean | {"REQUESTS_CA_BUNDLE": str(server.data / "ca" / "ca.pem")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        got = {mail.recipients[0]: mail.content for mail in await mx.received(3)}
        assert set(got) == {"one@dest.test", "a@dest.test", "b@dest.test"}
        for part in (b"\r\nSubject: Hi Tom & =?UTF-8?B?w5Y=?=\r\n", b"<p>Tom &amp; =C3=96</p>", b"\r\n1;2;"):
            assert part in got["one@dest.test"]
        assert b"\r\nSubject: Hi own\r\n" in got["b@dest.test"]
        (shown,) = [each for each in await ask_later(server, "messages.list") if each["to"] == "a@dest.test"]
        story = await ask_later(server, "messages.show", message=shown["id"])
        assert story["template_variables"] == {"name": "base"} and story["template_id"]
