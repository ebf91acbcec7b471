"""Templates for an operator: listed, shown whole, and put where they are missing or differ, as files bring them."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from mailferry.credentials import ACCOUNT
from mailferry.endpoints.operations.domains import known_account
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb
from mailferry.intake import texts as rules
from mailferry.resources import template_syntax, templates
from mailferry.resources.templates import MAX_BODY, MAX_LINE, Facts, Head, Template, Texts

#: Where it stands in a folder, if that cannot be guessed.
_PLACES = {"category": ": it stands in template.json"}
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def templates_list(tools: Tools, account: int = ACCOUNT) -> list[dict[str, Any]]:
    """Newest first, without their texts."""
    await known_account(tools, account)
    return [_head(head) for head in await tools.database.read(lambda c: templates.heads(c, account))]


async def templates_show(tools: Tools, template: str, account: int = ACCOUNT) -> dict[str, Any]:
    """By id, UUID or name."""
    await known_account(tools, account)
    found = await tools.database.read(lambda connection: _find(connection, account, template.strip()))
    reads = await asyncio.to_thread(template_syntax.reads, found.texts)
    return _head(found.head) | asdict(found.texts) | {"reads": reads}


async def templates_put(
    tools: Tools,
    name: str,
    category: str,
    subject: str,
    body_html: str = "",
    body_text: str = "",
    uuid: str = "",
    escape: bool = True,
    strict: bool = False,
    test_data: Mapping[str, Any] | None = None,
    account: int = ACCOUNT,
) -> dict[str, Any]:
    """Changes the one with this UUID, or without one the one with this name; makes it when there is none."""
    await known_account(tools, account)
    facts = Facts(name.strip(), category.strip(), escape, strict, msgspec.json.encode(test_data or {}).decode())
    source = Texts(subject, body_html, body_text)
    await asyncio.to_thread(_check, facts, source)
    now, most, wanted = tools.clock(), tools.config["limits.templates"], uuid.strip().lower()
    if wanted and not _UUID.fullmatch(wanted):
        raise Mistake(f"{uuid!r} is no UUID")

    def write(connection: Connection) -> tuple[Template | None, str]:
        before = _same(connection, account, wanted, facts.name)
        if before is None:
            made = templates.create(connection, account, facts, source, OPERATOR, now, most=most, uuid=wanted)
            return made, "created"
        changes = asdict(facts) | asdict(source)
        after = templates.change(connection, account, before.id, changes, OPERATOR, now)
        return after, "unchanged" if after and after.head == before else "updated"

    try:
        found, deed = await tools.database.write(write)
    except IntegrityError:
        raise Mistake(f"a template of another account has the UUID {wanted}") from None
    if found is None:
        raise Mistake(f"an account may have {most} templates; [limits] templates says so")
    return _head(found.head) | {"deed": deed}


VERBS: dict[str, Verb] = {
    "templates.list": templates_list,
    "templates.show": templates_show,
    "templates.put": templates_put,
}


def _find(connection: Connection, account: int, wanted: str) -> Template:
    heads = list(templates.of_uuids(connection, account, [wanted.lower()]).values())
    heads = heads or templates.named(connection, account, wanted)
    if len(heads) > 1:
        raise Mistake(f"{len(heads)} templates are called {wanted!r}: say which one by its id or UUID")
    number = heads[0].id if heads else int(wanted) if re.fullmatch(r"[0-9]{1,18}", wanted) else 0
    found = templates.by_id(connection, account, number)
    if found is None:
        raise Mistake(f"there is no template {wanted!r}; mailferry templates list shows them")
    return found


def _same(connection: Connection, account: int, uuid: str, name: str) -> Head | None:
    if uuid:
        return templates.of_uuids(connection, account, [uuid]).get(uuid)
    heads = templates.named(connection, account, name)
    if len(heads) > 1:
        raise Mistake(f"{len(heads)} templates are called {name!r}: say which one is meant by its uuid")
    return heads[0] if heads else None


def _check(facts: Facts, source: Texts) -> None:
    """What Mailtrap's API asks of a template, too."""
    for field, line in (("name", facts.name), ("category", facts.category), ("subject", source.subject)):
        if not line.strip():
            raise Mistake(f"{field} is missing{_PLACES.get(field, '')}")
        if len(line) > MAX_LINE:
            raise Mistake(f"{field} is longer than {MAX_LINE} characters")
        if flaw := rules.line_flaw(line):
            raise Mistake(f"{field} must not contain {flaw}")
    for field, body in (("body_html", source.body_html), ("body_text", source.body_text)):
        if len(body) > MAX_BODY:
            raise Mistake(f"{field} is longer than {MAX_BODY:,} characters")
        if flaw := rules.flaw(body):
            raise Mistake(f"{field} must not contain {flaw}")
    for field, error in template_syntax.flaws(source).items():
        raise Mistake(f"{field} is not a valid Handlebars template: {error}")


def _head(head: Head) -> dict[str, Any]:
    return {
        "id": head.id,
        "uuid": head.uuid,
        **(asdict(head.facts) | {"test_data": msgspec.json.decode(head.facts.test_data)}),
        "version": head.version,
        "size": head.size,
        "created_at": iso(head.created_at),
        "updated_at": iso(head.updated_at),
    }
