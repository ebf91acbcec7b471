"""The official `mailtrap` SDK keeps contacts: every method of its contacts API, against a real server on both databases."""

import asyncio
import csv
import gzip
import io
import json
import os
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.commands import first_run
from tests.fakes.dns import FakeDNS
from tests.server import Mailferry, running

BEGIN = """
import json
import sys
import time

import mailtrap as mt
import mailtrap.client
from mailtrap.exceptions import APIError
from mailtrap.models.contacts import (
    ContactEventParams, ContactExportFilter, ContactListParams, CreateContactExportParams, CreateContactFieldParams,
    CreateContactParams, ImportContactParams, UpdateContactFieldParams, UpdateContactParams)

token, host, account = sys.argv[1:]
mailtrap.client.GENERAL_HOST = host
api = mt.MailtrapClient(token=token, account_id=account).contacts_api

def refused(status, call, *arguments):
    try:
        call(*arguments)
    except APIError as error:
        assert error.status == status, error
        return error.errors
    raise AssertionError("it was not refused")

def finished(get, identity):
    until = time.monotonic() + 40
    while (job := get(identity)).status != "finished":
        assert job.status in ("created", "started") and time.monotonic() < until, job
        time.sleep(0.2)
    return job
"""
KEEP = """
lists, fields, contacts = api.contact_lists, api.contact_fields, api.contacts
first, second = (lists.create(ContactListParams(name=name)) for name in ("Customers", "Old contacts"))
assert lists.get_list() == [first, second] and lists.get_list(search="CUST") == [first]
assert lists.update(second.id, ContactListParams(name="Former")).name == "Former"
assert lists.get_by_id(second.id).name == "Former"

made = [fields.create(CreateContactFieldParams(name=tag.title(), data_type=kind, merge_tag=tag)) for tag, kind in
        dict(first_name="text", cats="integer", rate="float", vip="boolean", birthday="date").items()]
assert fields.get_list() == made and fields.get_by_id(made[0].id) == made[0]
assert fields.update(made[0].id, UpdateContactFieldParams(name="First name")).name == "First name"
assert refused(422, fields.create, CreateContactFieldParams("x" * 81, "text", "first_name")) == [
    "name: is too long (maximum is 80 characters)"]

held = {"first_name": "John", "cats": 3, "rate": 0.5, "vip": True, "birthday": "1990-01-02"}
john = contacts.create(CreateContactParams(email="john.smith+a@example.com", fields=held, list_ids=[first.id]))
assert (john.status, john.fields, john.list_ids) == ("subscribed", held, [first.id]), john
assert abs(john.created_at / 1000 - time.time()) < 60
assert contacts.get_by_id(john.id) == contacts.get_by_id("john.smith+a@example.com") == john
assert refused(409, contacts.create, CreateContactParams(email=john.email)) == ["Contact exists"]
assert refused(422, contacts.create, CreateContactParams(email="john")) == [
    "email: is invalid: an address must have an @"]
changed = contacts.update(john.email, UpdateContactParams(
    fields={"cats": 4}, list_ids_included=[second.id], list_ids_excluded=[first.id], unsubscribed=True))
assert (changed.fields, changed.list_ids, changed.status) == ({**held, "cats": 4}, [second.id], "unsubscribed")
assert contacts.update("new@example.com", UpdateContactParams(email="new@example.com")).email == "new@example.com"

event = api.contact_events.create(john.email, ContactEventParams(
    name="UserLogin", params={"user_id": 101, "user_name": "John Smith", "is_active": True, "last_seen": None}))
assert (event.contact_id, event.contact_email, event.params["user_id"]) == (john.id, john.email, 101)
assert refused(404, api.contact_events.create, "nobody@example.com", ContactEventParams(name="E")) == ["Not Found"]

started = api.contact_imports.import_contacts([
    ImportContactParams(f"p{n}@example.com", {"cats": n}, [first.id], [second.id]) for n in range(500)]
    + [ImportContactParams(john.email, {"cats": 9})])
assert started.status in ("created", "started") and started.created_contacts_count is None
done = finished(api.contact_imports.get_by_id, started.id)
assert (done.created_contacts_count, done.updated_contacts_count, done.contacts_over_limit_count) == (500, 1, 0), done
assert contacts.get_by_id(john.id).fields["cats"] == 9
assert "p9@" in refused(422, api.contact_imports.import_contacts, [ImportContactParams("p9@", {})])[0]

export = api.contact_exports.create(CreateContactExportParams(
    filters=[ContactExportFilter(name="list_id", operator="equal", value=[first.id, second.id])]))
assert export.url is None
done = finished(api.contact_exports.get_by_id, export.id)
print(json.dumps({"url": done.url, "john": john.id}))
"""
DELETE = """
(first, second), fields = api.contact_lists.get_list(), api.contact_fields.get_list()
assert api.contacts.delete("p7@example.com").id == "p7@example.com"
assert refused(404, api.contacts.get_by_id, "p7@example.com") == ["Not Found"]
assert refused(404, api.contacts.delete, "p7@example.com") == ["Contact(s) not found"]
assert api.contact_lists.delete(first.id).id == first.id and api.contact_lists.get_list() == [second]
for field in fields:
    assert api.contact_fields.delete(field.id).id == field.id
kept = api.contacts.get_by_id("p8@example.com")
assert (kept.fields, kept.list_ids) == ({}, []), kept
"""


async def test_every_method_of_the_sdk(tmp_path: Path, database_url: str) -> None:
    async with FakeDNS({}) as dns, running(tmp_path, dns, url=database_url) as server:
        told = json.loads(await script(server, KEEP))
        assert told["url"].startswith(f"https://localhost:{server.https}/api/contact_exports/")
        rows = await asyncio.to_thread(fetch, server, told["url"])
        assert len(rows) == 501 and len({row["email"] for row in rows}) == 501
        (john,) = [row for row in rows if row["id"] == told["john"]]
        shown = ("john.smith+a@example.com", "unsubscribed", "9", "0.5", "true", "1990-01-02")
        assert tuple(john[name] for name in ("email", "status", "cats", "rate", "vip", "birthday")) == shown
        await script(server, DELETE)


def fetch(server: Mailferry, url: str) -> list[dict[str, str]]:
    """As a browser does: without a token."""
    context = ssl.create_default_context(cafile=server.data / "ca" / "ca.pem")
    with urllib.request.urlopen(url, timeout=30, context=context) as answer:
        assert answer.headers["Content-Type"] == "application/gzip"
        text = gzip.decompress(answer.read()).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def script(server: Mailferry, text: str) -> str:
    made: dict[str, Any] = first_run(server)
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    arguments = [made["api_token"], f"localhost:{server.https}", str(made["account_id"])]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", BEGIN + text, *arguments],
        env=clean | {"REQUESTS_CA_BUNDLE": str(server.data / "ca" / "ca.pem")},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
