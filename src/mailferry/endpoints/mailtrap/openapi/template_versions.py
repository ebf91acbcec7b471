"""Versions, test data and a look at a template: all of it Mailferry's own."""

from mailferry.endpoints.mailtrap import template_versions
from mailferry.endpoints.mailtrap.openapi.declaration import Asked, Declared, enveloped, json
from mailferry.endpoints.mailtrap.openapi.schemas import (
    ANYTHING,
    COUNT,
    Component,
    answered,
    array,
    asked,
    flag,
    free,
    integer,
    nullable,
    text,
    time,
)
from mailferry.endpoints.mailtrap.openapi.templates import BODY, LINE, TEMPLATE
from mailferry.endpoints.mailtrap.table import Function

_FACTS = {
    "version": integer(minimum=1),
    "subject": text(),
    "size": COUNT,
    "created_by": text(),
    "created_at": time(),
    "current": flag("This one is sent."),
}
_BODIES = {"body_html": nullable(text()), "body_text": nullable(text())}
_VERSION = Component("TemplateVersion", answered(_FACTS))
_WHOLE = Component("WholeTemplateVersion", answered(_FACTS | _BODIES))
_VARIABLES = free(ANYTHING)
_ANN = {"template_variables": {"name": "Ann"}}
_TEST_DATA = Component(
    "TemplateTestData",
    answered(
        {
            "template_variables": nullable(free(ANYTHING, "What was kept.")),
            "suggested": free(ANYTHING, "Made up from the names that the template reads."),
        }
    ),
)
_PREVIEW = Component(
    "TemplatePreview", answered({"subject": text(), "html": nullable(text()), "text": nullable(text())})
)

DECLARED: dict[Function, Declared] = {
    template_versions.get_list: Declared(
        "List a template's versions", {200: enveloped(array(_VERSION), "Newest first.")}, ours=True
    ),
    template_versions.get_one: Declared("Show a version", {200: enveloped(_WHOLE)}, ours=True),
    template_versions.restore: Declared(
        "Go back to a version",
        {200: json(TEMPLATE)},
        about="Its texts become the newest version.",
        ours=True,
    ),
    template_versions.get_test_data: Declared("Show a template's test data", {200: json(_TEST_DATA)}, ours=True),
    template_versions.put_test_data: Declared(
        "Keep test data for a template",
        {200: json(_TEST_DATA)},
        Asked(asked({"template_variables": nullable(_VARIABLES)}), example=_ANN),
        ours=True,
    ),
    template_versions.preview: Declared(
        "Look at the message that a template gives",
        {200: json(_PREVIEW)},
        Asked(
            asked(
                {
                    "template_variables": _VARIABLES,
                    "version": integer("In place of the newest.", minimum=1),
                    "subject": LINE,
                    "body_html": BODY,
                    "body_text": BODY,
                }
            ),
            required=False,
            example=_ANN,
        ),
        about="Of texts that are given, or those of a version. Nothing is kept and nothing is sent.",
        ours=True,
    ),
}
