"""Templates: over the older paths wrapped, over the newer ones in an envelope."""

from mailferry.endpoints.mailtrap import templates
from mailferry.endpoints.mailtrap.openapi.answers import ERRORS
from mailferry.endpoints.mailtrap.openapi.declaration import GONE, Asked, Declared, Parameter, enveloped, json
from mailferry.endpoints.mailtrap.openapi.schemas import (
    ID,
    UUID,
    Component,
    answered,
    array,
    asked,
    integer,
    nullable,
    text,
    time,
)
from mailferry.endpoints.mailtrap.table import Function
from mailferry.resources import templates as stored

LINE = text(minLength=1, maxLength=stored.MAX_LINE)
BODY = nullable(text(maxLength=stored.MAX_BODY))
_GIVEN = {"name": LINE, "category": LINE, "subject": LINE, "body_html": BODY, "body_text": BODY}
_NEEDED = ("name", "category", "subject")
_WRAPPER = "email_template"
TEMPLATE = Component(
    "Template",
    answered(
        {
            "id": ID,
            "uuid": UUID,
            **{name: text() for name in _NEEDED},
            "body_html": nullable(text()),
            "body_text": nullable(text()),
            "created_at": time(),
            "updated_at": time(),
        }
    ),
)
_LINK = nullable(text(format="uri"))
_PAGE_NUMBER = nullable(integer(minimum=1))
_PAGE = Component(
    "TemplatePage",
    answered(
        {
            "data": array(TEMPLATE, maxItems=templates.MAX_PER_PAGE),
            "pagination": answered(
                {
                    "token": integer(minimum=1),
                    "prev_token": _PAGE_NUMBER,
                    "next_token": _PAGE_NUMBER,
                    **dict.fromkeys(("first_url", "prev_url", "current_url", "next_url"), _LINK),
                }
            ),
        }
    ),
)
_EXAMPLE = {"name": "Welcome", "category": "Onboarding", "subject": "Hello {{name}}", "body_text": "Welcome, {{name}}."}
_CHANGE = {"subject": "Welcome, {{name}}"}
_EXPERIMENTAL = "Experimental at Mailtrap, and in none of its released contracts."

DECLARED: dict[Function, Declared] = {
    templates.get_list: Declared("List templates", {200: json(array(TEMPLATE), "Newest first.")}),
    templates.get_one: Declared("Show a template", {200: json(TEMPLATE)}),
    templates.create: Declared(
        "Make a template", {201: json(TEMPLATE)}, Asked(asked(_GIVEN, *_NEEDED), _WRAPPER, example=_EXAMPLE)
    ),
    templates.update: Declared(
        "Change a template",
        {200: json(TEMPLATE)},
        Asked(asked(_GIVEN), _WRAPPER, example=_CHANGE),
        about="Only what is given changes.",
    ),
    templates.delete: Declared("Delete a template", {204: GONE}),
    templates.get_page: Declared(
        "List templates in pages",
        {200: json(_PAGE, "Newest first."), 422: json(ERRORS, "There is no page of such a number.")},
        query=(
            Parameter("token", integer(minimum=1, default=1), "The number of the page."),
            Parameter("per_page", integer(minimum=1, default=templates.PER_PAGE), "Of one page; at most 100."),
        ),
        about=_EXPERIMENTAL,
    ),
    templates.get_one_enveloped: Declared(
        "Show a template in an envelope", {200: enveloped(TEMPLATE)}, about=_EXPERIMENTAL
    ),
    templates.create_enveloped: Declared(
        "Make a template without a wrapper",
        {201: enveloped(TEMPLATE)},
        Asked(asked(_GIVEN, *_NEEDED), example=_EXAMPLE),
        about=_EXPERIMENTAL,
    ),
    templates.update_enveloped: Declared(
        "Change a template without a wrapper",
        {200: enveloped(TEMPLATE)},
        Asked(asked(_GIVEN), example=_CHANGE),
        about=f"Only what is given changes. {_EXPERIMENTAL}",
    ),
}
