"""Templates rendered by Mailferry and by handlebars.js: the same text octet for octet, and the same refusals."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailferry.mail.handlebars import HandlebarsError, TemplateError, compile
from tests.handlebars_random import Maker

pytestmark = pytest.mark.peer

CASES = json.loads((Path(__file__).parents[1] / "data" / "handlebars.json").read_text())
TOKENS = [
    *[
        "{{",
        "}}",
        "{{{",
        "}}}",
        "{{{{",
        "}}}}",
        "{{#",
        "{{/",
        "{{^",
        "{{>",
        "{{#>",
        "{{!",
        "{{!--",
        "--}}",
        "{{~",
        "~}}",
    ],
    *[
        "{{&",
        "{{*",
        "{{#*",
        "{{else",
        "{{else}}",
        "{{^}}",
        "(",
        ")",
        "[",
        "]",
        "[a b]",
        '"',
        "'",
        "=",
        "|",
        "as |x|",
        "as",
    ],
    *["if", "each", "lookup", "inline", "a", "b", "xs", "this", ".", "..", "/", "@", "@root", "1", "1.5", "-1", '"a"'],
    *[
        "true",
        "false",
        "null",
        "undefined",
        "else",
        "elsé",
        " ",
        " ",
        " ",
        "\n",
        "\t",
        "\\",
        "\\\\",
        "~",
        "!",
        "-",
        "#",
    ],
    *[
        "{",
        "}",
        "^",
        ">",
        "&",
        "*",
        "$",
        "%",
        ";",
        ":",
        "<",
        "`",
        "\u00a0",
        "\ufeff",
        "\u2028",
        "\x85",
        "\0",
        "é",
        "😀",
    ],
    *["{{a}}", "{{#if a}}", "{{/if}}", "{{#each xs}}", "{{/each}}", "{{else if b}}", "{{> p}}", "{{/p}}", "{{#> p}}"],
    *[
        "{{lookup xs 0}}",
        "{{a.b}}",
        "{{a.[b]}}",
        "{{{a}}}",
        "{{#*inline 'p'}}",
        "{{/inline}}",
        "{{! c }}",
        "{{#a}}",
        "{{/a}}",
    ],
]
DATA = {"a": 1, "b": {"b": 2}, "xs": [1, 2], "a b": 3, "x": "<"}


def compiled(source):
    """The template, or None when it is none."""
    try:
        return compile(source)
    except TemplateError:
        return None


def rendered(template, data, partials, escape=True):
    """The text, or None for a refusal of any kind."""
    try:
        return compile(template, partials=partials).render(data, escape=escape)
    except HandlebarsError:
        return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_the_cases_are_what_handlebars_js_says(handlebars_peer, case):
    _, template, data, text, *partials = case
    assert handlebars_peer.render(template, data, partials=dict(*partials)).text == text


@settings(max_examples=settings().max_examples * 4)
@given(seed=st.integers(0, 2**64))
def test_random_templates(handlebars_peer, seed):
    maker = Maker(random.Random(seed))
    template, data, sources = maker.template(), maker.data(), maker.partials() if seed % 2 else {}
    partials = {name: compiled(source) for name, source in sources.items()}
    for name, partial in list(partials.items()):
        assert (partial is not None) == handlebars_peer.compiles(sources[name]), sources[name]
        if partial is None:
            # handlebars.js reads a partial when it is called, Mailferry when it is handed in.
            del partials[name], sources[name]
    for escape in (True, False):
        said = handlebars_peer.render(template, data, partials=sources, escape=escape)
        assert rendered(template, data, partials, escape) == said.text, said.refused


@settings(max_examples=settings().max_examples * 4)
@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=9).map("".join))
def test_random_tokens(handlebars_peer, template):
    said = handlebars_peer.render(template, DATA, partials={"p": "[{{a}}]"})
    assert rendered(template, DATA, {"p": compile("[{{a}}]")}) == said.text, said.refused


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(JSON, JSON)
def test_any_value_prints_alike(handlebars_peer, x, y):
    template = "{{x}}|{{{y}}}{{{x}}}|{{#if x}}1{{/if}}{{#x}}2{{../y}}{{/x}}{{#each x}}{{@key}}={{this}};{{/each}}{{lookup y x}}"
    for source in (template, "{{{x}}}{{{y}}}", "{{#with x}}{{#with ../y}}{{../x}}{{../../x}}{{/with}}{{/with}}"):
        said = handlebars_peer.render(source, {"x": x, "y": y})
        assert rendered(source, {"x": x, "y": y}, {}) == said.text, said.refused
