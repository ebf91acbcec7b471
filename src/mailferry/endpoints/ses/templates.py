"""Templates of both versions: the same ones that Mailtrap's API has, known by their names.

Those that are made here are rendered as Amazon renders them: without HTML escapes, and strict about what is missing.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from mailferry.endpoints.ses import paging, tags
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid
from mailferry.endpoints.ses.rendered import mime
from mailferry.endpoints.ses.templated import MAX_OCTETS, Chosen, data, failure, no_template
from mailferry.intake import texts
from mailferry.resources import template_syntax, templates
from mailferry.resources.templates import Facts, Head, Template, Texts

PAGE, MAX_PAGE = 10, 100
#: What the parts are called in the two versions.
_V1 = ("SubjectPart", "HtmlPart", "TextPart")
_V2 = ("Subject", "Html", "Text")
_FIELDS = {"subject": "Subject", "body_html": "Html", "body_text": "Text"}


async def create_v1(call: Call, params: Params) -> Result:
    await _create(call, params["Template"]["TemplateName"], _texts(params["Template"], _V1))
    return None


async def create_v2(call: Call, params: Params) -> Result:
    await _create(call, params["TemplateName"], _texts(params["TemplateContent"], _V2), tags.read(params))
    return None


async def get_v1(call: Call, params: Params) -> Result:
    found = await _existing(call, params["TemplateName"])
    return {"Template": {"TemplateName": params["TemplateName"], **_parts(found.texts, _V1)}}


async def get_v2(call: Call, params: Params) -> Result:
    name = params["TemplateName"]
    found = await _existing(call, name)
    kept = await call.read(lambda connection: tags.of(connection, call.account_id, _resource(name)))
    return {"TemplateName": name, "TemplateContent": _parts(found.texts, _V2), "Tags": kept or None}


async def update_v1(call: Call, params: Params) -> Result:
    await _update(call, params["Template"]["TemplateName"], _texts(params["Template"], _V1))
    return None


async def update_v2(call: Call, params: Params) -> Result:
    await _update(call, params["TemplateName"], _texts(params["TemplateContent"], _V2))
    return None


async def delete_v1(call: Call, params: Params) -> Result:
    """Also where there is none, as Amazon's first version does it."""
    await _delete(call, params["TemplateName"])
    return None


async def delete_v2(call: Call, params: Params) -> Result:
    if not await _delete(call, params["TemplateName"]):
        no_template(params["TemplateName"])
    return None


async def list_v1(call: Call, params: Params) -> Result:
    most = params.get("MaxItems", PAGE)
    heads, following = await _page(call, params, most if 1 <= most <= MAX_PAGE else MAX_PAGE)
    shown = [{"Name": head.facts.name, "CreatedTimestamp": head.created_at} for head in heads]
    return {"TemplatesMetadata": shown, "NextToken": following}


async def list_v2(call: Call, params: Params) -> Result:
    most = params.get("PageSize", PAGE)
    if not 1 <= most <= MAX_PAGE:
        raise invalid(f"The page size must be between 1 and {MAX_PAGE}")
    heads, following = await _page(call, params, most)
    shown = [{"TemplateName": head.facts.name, "CreatedTimestamp": head.created_at} for head in heads]
    return {"TemplatesMetadata": shown, "NextToken": following}


async def test_render(call: Call, params: Params) -> Result:
    """Of both versions: the whole message, as far as a template makes it."""
    name = params["TemplateName"]
    chosen = Chosen(name)
    rendering = await chosen.open(call)
    rendered = (await chosen.produce(rendering, data(params["TemplateData"]))).rendered
    if why := failure(rendered):
        code = "MissingRenderingAttribute" if rendered.missing else "InvalidRenderingParameter"
        raise SesError(code, why, members={"TemplateName": name})
    return {"RenderedTemplate": mime(rendered, call.now())}


# --- the same for both ---------------------------------------------------------------------------------------------


async def _create(call: Call, name: str, source: Texts, given: tags.Tags = ()) -> None:
    _check_name(name)
    await _check_syntax(call, name, source)
    facts, now, most = Facts(name, escape=False, strict=True), call.now(), call.deps.max_templates

    def write(connection: Connection) -> bool:
        templates.hold(connection, call.account_id)
        if templates.of_names(connection, call.account_id, [name]):
            raise SesError("AlreadyExists", f"Template {name} already exists.", members={"Name": name})
        made = templates.create(connection, call.account_id, facts, source, call.actor, now, most=most)
        if made:
            tags.put(connection, call, _resource(name), given)
        return made is not None

    if not await call.write(write):
        raise SesError("LimitExceeded", f"The account has its {most} templates already.")
    call.deps.renderer.forget()


async def _update(call: Call, name: str, source: Texts) -> None:
    """All parts: one that is not given is none afterwards."""
    await _check_syntax(call, name, source)
    now = call.now()
    changes = {"subject": source.subject, "body_html": source.body_html, "body_text": source.body_text}

    def write(connection: Connection) -> bool:
        head = _head(connection, call.account_id, name)
        return head is not None and bool(
            templates.change(connection, call.account_id, head.id, changes, call.actor, now)
        )

    if not await call.write(write):
        no_template(name)
    call.deps.renderer.forget()


async def _delete(call: Call, name: str) -> bool:
    now = call.now()

    def write(connection: Connection) -> bool:
        head = _head(connection, call.account_id, name)
        if head is None:
            return False
        tags.forget(connection, call.account_id, _resource(name))
        return templates.remove(connection, call.account_id, head.id, call.actor, now)

    removed = await call.write(write)
    call.deps.renderer.forget()
    return removed


async def _existing(call: Call, name: str) -> Template:
    def read(connection: Connection) -> Template | None:
        head = _head(connection, call.account_id, name)
        return templates.by_id(connection, call.account_id, head.id) if head else None

    return await call.read(read) or no_template(name)


def _head(connection: Connection, account_id: int, name: str) -> Head | None:
    return templates.of_names(connection, account_id, [name]).get(name)


async def _page(call: Call, params: Params, most: int) -> tuple[Sequence[Head], str | None]:
    """Newest first, and the token of what follows."""
    before = _before(params)
    heads = await call.read(lambda c: templates.one_a_name(c, call.account_id, before=before, limit=most + 1))
    return paging.page(heads, most, lambda head: str(head.id))


def _before(params: Params) -> int:
    """The last id of the page before; 0 for the first page."""
    token = params.get("NextToken", "")
    try:
        return int(paging.after(params)) if token else 0
    except (SesError, ValueError):
        raise invalid(f"Invalid PageToken <{token[:100]}>.") from None


# --- parts ---------------------------------------------------------------------------------------------------------


def _resource(name: str) -> str:
    return f"{tags.TEMPLATE}/{name}"


def _texts(given: Mapping[str, str], names: tuple[str, str, str]) -> Texts:
    return Texts(*(given.get(name, "") for name in names))


def _parts(source: Texts, names: tuple[str, str, str]) -> dict[str, str | None]:
    subject, html, text = names
    return {subject: source.subject or None, html: source.body_html or None, text: source.body_text or None}


def _check_name(name: str) -> None:
    """Amazon documents letters, digits, ``_`` and ``-``; it has kept others, and programs use them."""
    if not 1 <= len(name) <= templates.MAX_LINE or name != name.strip() or not name.isprintable():
        text = f"The template name must have 1 to {templates.MAX_LINE} printable characters, no blank at its ends."
        raise _invalid_template(name, text)


async def _check_syntax(call: Call, name: str, source: Texts) -> None:
    if source == Texts(""):
        raise _invalid_template(name, "The template must have a subject, a text or an HTML part.")
    for each in (source.subject, source.body_html, source.body_text):
        if flaw := texts.flaw(each):
            raise _invalid_template(name, f"The template must not contain {flaw}.")
    if source.octets > MAX_OCTETS:
        raise _invalid_template(name, f"The template has more than {MAX_OCTETS} bytes.")
    flaws = await call.deps.renderer.aside(lambda: template_syntax.flaws(source))
    if flaws:
        found = "; ".join(f"{_FIELDS[field]}, {flaw}" for field, flaw in flaws.items())
        raise _invalid_template(name, f"The template is no valid Handlebars: {found}")


def _invalid_template(name: str, text: str) -> SesError:
    return SesError("InvalidTemplate", text, members={"TemplateName": name})
