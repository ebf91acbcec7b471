"""Handlebars templates, the whole language of handlebars.js 4, as pure text in and text out.

`compile(source)` gives a `Template`, `template.render(data)` the text. Templates may come from strangers: they reach
nothing but the data, and a rendering stops at its `Limits`.
"""

from mailferry.mail.handlebars.errors import (
    HandlebarsError,
    LimitExceeded,
    MissingVariable,
    OutputTooLong,
    RenderError,
    TemplateError,
    TooDeep,
    TooManySteps,
)
from mailferry.mail.handlebars.limits import Limits
from mailferry.mail.handlebars.template import Template, compile

__all__ = [
    "HandlebarsError",
    "LimitExceeded",
    "Limits",
    "MissingVariable",
    "OutputTooLong",
    "RenderError",
    "Template",
    "TemplateError",
    "TooDeep",
    "TooManySteps",
    "compile",
]
