"""What Mailferry adds to templates below `.../email_templates/{id}`: versions, test data, and a look at the message.

None of it is Mailtrap's, so all of it has paths of its own and Mailtrap's objects keep their shape.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from mailferry.endpoints.mailtrap.api_tokens import time
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, identity, invalid, members, refuse
from mailferry.endpoints.mailtrap.templates import BODIES, body, existing, shown, template_id
from mailferry.resources import template_syntax, templates
from mailferry.resources.templates import Template, Texts, Version

#: Octets of test data as compact JSON.
MAX_TEST_DATA = 64 * 1024


async def get_list(call: Call) -> Response:
    """Newest first; the first one is sent."""
    template = await existing(call)
    found = await call.read(lambda connection: templates.versions(connection, template.head.id))
    return answer({"data": [_version(each, template) for each in found]})


async def get_one(call: Call) -> Response:
    template = await existing(call)
    version, source = await _kept(call, template, identity(call, "version"))
    bodies = {name: getattr(source, name) or None for name in BODIES}
    return answer({"data": _version(version, template) | bodies})


async def restore(call: Call) -> Response:
    """The texts of this version become the newest one. The answer is the template."""
    wanted, number, now = template_id(call), identity(call, "version"), call.deps.clock()
    found = await call.write(lambda c: templates.restore(c, call.account_id, wanted, number, call.actor, now))
    call.deps.renderer.forget()
    return answer(shown(found)) if found else refuse(call, Fault.NOT_FOUND)


async def get_test_data(call: Call) -> Response:
    """With data that the template could be looked at with, made up from the names that it reads."""
    return answer(await _test_data(call, await existing(call)))


async def put_test_data(call: Call) -> Response:
    form = Form(await members(call))
    data = msgspec.json.encode(_variables(form) or {})
    if len(data) > MAX_TEST_DATA:
        form.wrong("template_variables", f"is too long (maximum is {MAX_TEST_DATA} bytes)")
    form.check()
    wanted, now = template_id(call), call.deps.clock()
    changes = {"test_data": data.decode()}
    found = await call.write(lambda c: templates.change(c, call.account_id, wanted, changes, call.actor, now))
    return answer(await _test_data(call, found)) if found else refuse(call, Fault.NOT_FOUND)


async def preview(call: Call) -> Response:
    """Of the newest version or of ``version``, or of texts that are given and kept nowhere; with the variables that are
    given, else with the test data, else with such that are made up.
    """
    template = await existing(call)
    form = Form(await members(call))
    data, number = _variables(form), form.number("version")
    source = (await _kept(call, template, number))[1] if number is not None else template.texts
    given = {name: form.text(name, least=1) if name == "subject" else body(form, name) for name in _given(form)}
    form.check()
    source = Texts(**{name: given.get(name, getattr(source, name)) for name in ("subject", *BODIES)})
    facts = template.head.facts
    if data is None:
        data = msgspec.json.decode(facts.test_data) or await _sample(call, source)
    rendered = await call.deps.renderer.preview(source, data, escape=facts.escape, strict=facts.strict)
    if rendered.failures:
        invalid({name: [f"cannot be rendered: {why}"] for name, why in rendered.failures.items()})
    return answer({"subject": rendered.subject, "html": rendered.html or None, "text": rendered.text or None})


async def _kept(call: Call, template: Template, number: int) -> tuple[Version, Texts]:
    found = await call.read(lambda connection: templates.version(connection, template.head.id, number))
    return found or refuse(call, Fault.NOT_FOUND)


async def _test_data(call: Call, template: Template) -> dict[str, Any]:
    kept = msgspec.json.decode(template.head.facts.test_data)
    return {"template_variables": kept, "suggested": await _sample(call, template.texts)}


async def _sample(call: Call, source: Texts) -> dict[str, Any]:
    return await call.deps.renderer.aside(lambda: template_syntax.sample(template_syntax.reads(source)))


def _variables(form: Form) -> Mapping[str, Any] | None:
    value = form.given.get("template_variables")
    if value is not None and not isinstance(value, dict):
        form.wrong("template_variables", "must be an object")
        return None
    return value


def _given(form: Form) -> list[str]:
    return [name for name in ("subject", *BODIES) if name in form.given]


def _version(version: Version, template: Template) -> dict[str, Any]:
    return {
        "version": version.number,
        "subject": version.subject,
        "size": version.size,
        "created_by": version.created_by,
        "created_at": time(version.created_at),
        "current": version.number == template.head.version,
    }
