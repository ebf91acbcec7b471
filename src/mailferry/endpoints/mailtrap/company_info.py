"""`.../sending_domains/{id}/company_info`: who stands behind a sending domain, in an envelope."""

from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.domains import visible
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, members, refuse
from mailferry.resources import company_infos
from mailferry.resources.company_infos import BUSINESS, INDIVIDUAL, CompanyInfo
from mailferry.resources.permissions import ADMIN

_REQUIRED = ("name", "address", "city", "country", "zip_code", "website_url")
_OPTIONAL = ("phone", "privacy_policy_url", "terms_of_service_url")
MAX_URL = 2000


async def get_one(call: Call) -> Response:
    domain = await visible(call)
    found = await call.read(lambda connection: company_infos.of_domain(connection, domain))
    return answer(_shown(found)) if found else refuse(call, Fault.NOT_FOUND)


async def create(call: Call) -> Response:
    """A second time it replaces what was given before."""
    domain = await visible(call, ADMIN)
    form = Form(await members(call, "company_info"))
    values = {name: _field(form, name) for name in (*_REQUIRED, *_OPTIONAL)}
    level = _level(form) or BUSINESS
    form.check()
    info, now = CompanyInfo(**values, info_level=level), call.deps.clock()
    return answer(
        _shown(await call.write(lambda connection: company_infos.put(connection, domain, info, call.actor, now)))
    )


async def update(call: Call) -> Response:
    """Only what is given changes; null clears what is optional."""
    domain = await visible(call, ADMIN)
    form = Form(await members(call, "company_info"))
    values = {name: _field(form, name) for name in (*_REQUIRED, *_OPTIONAL) if name in form.given}
    if level := _level(form):
        values["info_level"] = level
    form.check()
    now = call.deps.clock()
    found = await call.write(lambda connection: company_infos.change(connection, domain, values, call.actor, now))
    return answer(_shown(found)) if found else refuse(call, Fault.NOT_FOUND)


def _field(form: Form, name: str) -> str:
    is_url = name.endswith("_url")
    value = form.text(
        name, least=1 if name in _REQUIRED else 0, most=MAX_URL if is_url else 255, lines=name == "address"
    )
    if is_url and value.strip() and name not in form.errors and not _is_url(value):
        form.wrong(name, "is invalid")
    return value


def _level(form: Form) -> str:
    return form.choice("info_level", (BUSINESS, INDIVIDUAL))


def _is_url(text: str) -> bool:
    """A page that an operator can open; a browser must never be led to `javascript:` by it."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(each.isspace() for each in text)


def _shown(info: CompanyInfo) -> dict[str, Any]:
    return {"data": {name: value or None for name, value in asdict(info).items()}}
