"""Handlebars templates: the language, what errors say and where, strict rendering, and what a template reads."""

import json
import threading
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail.handlebars import HandlebarsError, MissingVariable, RenderError, TemplateError, compile
from mailferry.mail.handlebars.variables import variables
from tests.handlebars_random import Maker

#: [name, template, data, what handlebars.js prints or null when it refuses, partials]; tests/peers asks it anew.
CASES = json.loads((Path(__file__).parent / "data" / "handlebars.json").read_text())


def known(partials):
    return {name: compile(source, name=name) for name, source in partials.items()}


# --- the language


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_the_language(case):
    _, template, data, text, *partials = case
    if text is None:
        with pytest.raises(HandlebarsError) as caught:
            compile(template, partials=known(dict(*partials))).render(data)
        assert caught.value.line >= 1 and caught.value.column >= 1
    else:
        assert compile(template, partials=known(dict(*partials))).render(data) == text


def test_without_escaping_every_tag_prints_as_it_is():
    template = compile("{{x}} {{{x}}} {{#if x}}{{x}}{{/if}} {{xs}}")
    assert template.render({"x": "<&>", "xs": ["'"]}, escape=False) == "<&> <&> <&> '"
    assert template.render({"x": "<&>", "xs": ["'"]}) == "&lt;&amp;&gt; <&> &lt;&amp;&gt; &#x27;"


def test_data_need_not_be_an_object():
    assert compile("{{#each .}}{{this}};{{/each}}").render([1, None, "x"]) == "1;;x;"
    assert compile("<{{.}}{{x}}>").render(None) == "<>"
    assert compile("{{length}}").render("four") == "4"


def test_what_is_no_json_is_refused_where_it_is_printed():
    with pytest.raises(RenderError, match="line 2, column 1: the data holds a bytes, which is no JSON value"):
        compile("\n{{x}}").render({"x": b"octets"})
    with pytest.raises(RenderError, match="holds a object"):
        compile("{{x.__class__}}").render({"x": object()})
    with pytest.raises(RenderError, match="a name that is no text"):
        compile("{{#each .}}{{/each}}").render({1: "a"})


def test_a_template_keeps_what_it_was_made_of():
    partial = compile("p", name="p")
    template = compile("{{> p}}", name="order", partials={"p": partial})
    assert (template.name, template.source, template.partials) == ("order", "{{> p}}", {"p": partial})


def test_partials_see_the_partials_of_the_template_that_is_rendered():
    inner = compile("{{> x}}", partials={"x": compile("own")})
    with pytest.raises(RenderError, match='there is no partial "x"'):
        compile("{{> inner}}", partials={"inner": inner}).render({})
    assert compile("{{> inner}}", partials={"inner": inner, "x": compile("given")}).render({}) == "given"


def test_one_template_serves_several_threads():
    template = compile("{{#each xs}}{{#*inline 'p'}}{{this}}{{../n}};{{/inline}}{{> p}}{{/each}}")
    wrong = []

    def render(n):
        expected = "".join(f"{x}{n};" for x in range(50))
        wrong.extend(1 for _ in range(20) if template.render({"n": n, "xs": list(range(50))}) != expected)

    threads = [threading.Thread(target=render, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_rendering_leaves_the_data_alone():
    data = {"o": {"a": 1}, "xs": [{"n": 1}]}
    before = json.dumps(data)
    compile("{{#each xs}}{{> p o x=1}}{{/each}}", partials=known({"p": "{{x}}{{a}}"})).render(data)
    assert json.dumps(data) == before


# --- errors


@pytest.mark.parametrize(
    ("template", "line", "column", "message"),
    [
        ("a\n  {{#if x}}\n", 2, 3, "{{#if}} is never closed"),
        ("{{#if x}}\r\n{{/each}}", 2, 1, "{{/each}} closes {{#if}} of line 1, column 1"),
        ("{{#if x}}{{else}}\r{{else}}{{/if}}", 2, 1, "{{#if}} of line 1, column 1 cannot have an else here"),
        ("{{{{a}}}}{{{{/b}}}}", 1, 10, "{{/b}} closes {{{{a}}}} of line 1, column 1"),
        ("é😀\n\n{{/if}}", 3, 1, "a closing tag stands where no block is open for it"),
        ("x {{else}}", 1, 3, "an else stands where no block is open for it"),
        ("x {{name", 1, 3, "this tag is never closed"),
        ('x {{lookup a "b}}', 1, 14, 'this " is never closed'),
        ("x {{! note", 1, 3, "this comment is never closed"),
        ("x {{{{a}}}} b", 1, 12, "this raw block is never closed"),
        ("x {{}}", 1, 5, "expected a name instead of '}}'"),
        ("x {{a}}}", 1, 6, "expected }} instead of '}}}'"),
        ("x {{a % b}}", 1, 7, "unexpected '%' in a tag"),
        ("{{#if a == b}}{{/if}}", 1, 7, "there are no comparisons in Handlebars, compute them into the data"),
        ("{{lookup a=1 b}}", 1, 14, 'after name=value pairs "b" needs a value of its own: b=...'),
        ("{{xs.0}}", 1, 6, "a number at the end of a path is written in brackets: [0]"),
        ("{{a/../b}}", 1, 3, '"a/.." is no path: .. can only stand at its beginning'),
        ("{{> p a b}}", 1, 9, "a partial takes one context at most, all else is written name=value"),
        ("{{#each xs as |[a]|}}{{/each}}", 1, 12, "names between | and | cannot stand in brackets"),
    ],
)
def test_an_author_is_told_what_is_wrong_and_where(template, line, column, message):
    with pytest.raises(TemplateError) as caught:
        compile(template)
    assert (caught.value.line, caught.value.column, caught.value.message) == (line, column, message)
    assert str(caught.value) == f"line {line}, column {column}: {message}"


@pytest.mark.parametrize(
    ("template", "line", "column", "message"),
    [
        ("\n {{upper x}}", 2, 2, 'there is no helper "upper"'),
        ("{{#each xs}}\n  {{this.x 1}}{{/each}}", 2, 3, '"this.x" is a value and no helper, it takes no parameters'),
        ("{{#if x}}{{else}}{{#if a b}}{{/if}}{{/if}}", 1, 18, "#if takes exactly one parameter"),
        ("x{{if a}}", 1, 2, "if is a block: {{#if ...}}...{{/if}}"),
        ("x{{> nope}}", 1, 2, 'there is no partial "nope"'),
        ("{{#if xs as |x|}}{{x}}{{/if}}", 1, 18, "this block gives its names between | and | no values; only #each"),
        ("\n{{lookup o}}", 2, 1, "lookup takes an object and a name"),
        ("x{{#*nope}}{{/nope}}", 1, 2, 'there is no decorator "nope", only inline'),
        ("a\n b {{o.p}}", 2, 4, 'an object with a "toString" of its own cannot be printed'),
    ],
)
def test_a_rendering_that_fails_says_where(template, line, column, message):
    with pytest.raises(RenderError) as caught:
        compile(template).render({"xs": [{"x": 1}], "o": {"p": {"toString": 1}}})
    assert (caught.value.line, caught.value.column) == (line, column)
    assert caught.value.message.startswith(message)


def test_an_error_in_a_partial_names_the_partial():
    partials = known({"outer": "\n{{> inner}}", "inner": "{{x}}\n\n{{upper x}}"})
    with pytest.raises(RenderError) as caught:
        compile("{{> outer}}", name="order", partials=partials).render({})
    assert (caught.value.template, caught.value.line, caught.value.column) == ("inner", 3, 1)
    assert str(caught.value) == 'inner, line 3, column 1: there is no helper "upper"'
    with pytest.raises(TemplateError, match="footer, line 1, column 2: this tag"):
        compile("x{{", name="footer")


# --- strict rendering


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("{{nope}}", "nope"),
        ("{{{nope}}}", "nope"),
        ("{{user.nope}}", "user.nope"),
        ("{{nope.name}}", "nope.name"),
        ("{{user.none.x}}", None),
        ("{{#each xs}}{{nope}}{{/each}}", "nope"),
        ("{{#each xs as |x|}}{{x.nope}}{{/each}}", "x.nope"),
        ("{{@index}}", "@index"),
        ("{{#if user}}{{else}}{{nope}}{{/if}}", None),
        ("{{user.none}}{{user.name}}{{xs.length}}{{this}}", None),
        (
            "{{#if nope}}{{nope}}{{/if}}{{#unless nope.x}}{{/unless}}{{#each nope}}{{/each}}{{#with nope}}{{/with}}",
            None,
        ),
        ("{{#nope}}{{/nope}}{{^nope}}{{/nope}}{{lookup user 'nope'}}", None),
    ],
)
@pytest.mark.parametrize("escape", [True, False])
def test_strict_refuses_to_print_what_is_missing(template, path, escape):
    data = {"user": {"name": "Ada", "none": None}, "xs": [1]}
    if path is None:
        compile(template).render(data, escape=escape, strict=True)
    else:
        with pytest.raises(MissingVariable, match="is not in the data") as caught:
            compile("\n " + template).render(data, escape=escape, strict=True)
        assert (caught.value.path, caught.value.line) == (path, 2)


@pytest.mark.parametrize("escape", [True, False])
def test_strict_adds_no_numbers(escape):
    template = compile("{{{a}}}{{{b}}}{{#if b}}{{{b}}}{{/if}}")
    assert template.render({"a": 1, "b": 2.5}, escape=escape, strict=True) == "12.52.5"
    assert template.render({"a": 1, "b": 2.5}, escape=escape) == "6"


@pytest.mark.parametrize("strict", [True, False])
def test_reserved_paths_print_what_they_stand_for_where_the_data_has_nothing(strict):
    template = compile("{{url}}{{#each xs}}{{url}}{{{../url}}}{{/each}}{{#if url}}if{{/if}}")
    reserved = {"url": "<{{url}}>"}
    assert template.measured({"xs": [{}]}, strict=strict, reserved=reserved | {"../url": "up"})[0] == (
        "&lt;{{url}}&gt;&lt;{{url}}&gt;up"
    )
    assert template.measured({"url": "mine"}, strict=strict, reserved=reserved)[0] == "mineif"


# --- what a template reads


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", ""),
        ("{{a}} {{{b.c}}} {{&d}} {{[first name]}}", "a b.c d first_name"),
        ("{{#if a}}{{b}}{{else if c.d}}{{e}}{{else}}{{f}}{{/if}}{{#unless g}}{{/unless}}", "a b c.d e f g"),
        ("{{#each xs}}{{p}}{{../q}}{{@root.r.s}}{{@index}}{{this}}{{else}}{{t}}{{/each}}", "xs xs[] xs[].p q r.s t"),
        (
            "{{#each xs as |x i|}}{{x.p}}{{i}}{{#each x.ys as |y|}}{{y}}{{/each}}{{/each}}",
            "xs xs[].p xs[].ys xs[].ys[]",
        ),
        ("{{#with a.b as |c|}}{{c.d}}{{e}}{{/with}}", "a.b a.b.d a.b.e"),
        ("{{#a}}{{b}}{{../c}}{{/a}}{{^d}}{{e}}{{/d}}", "a a.b c d e"),
        ("{{lookup a 'b'}}{{lookup c d}}{{#each (lookup e 'f')}}{{g}}{{/each}}", "a a.b c d e e.f e.f[].g"),
        ("{{#*inline 'p'}}{{x}}{{/inline}}{{> p}}{{> p o}}{{> p x=y}}", "x o o.x y"),
        ("{{#> nope a}}{{b}}{{/nope}}{{! {{c}} }}\\{{d}}{{{{e}}}}{{f}}{{{{/e}}}}", "a a.b e"),
    ],
)
def test_what_a_template_reads(template, expected):
    found = variables(compile(template))
    assert {path.replace(" ", "_") for path in found} == set(expected.split())


def test_what_partials_read():
    partials = known(
        {"row": "{{name}}{{> row kids}}", "page": "{{title}}{{> @partial-block}}{{#each menu}}{{url}}{{/each}}"}
    )
    template = compile("{{#each items}}{{> row}}{{/each}}{{#> page title=t}}{{body}}{{/page}}", partials=partials)
    assert variables(template) == {"items", "items[].name", "items[].kids", "t", "body", "menu", "menu[].url"}


# --- properties


@given(st.text())
def test_any_text_is_a_template_or_no_template(source):
    try:
        template = compile(source)
        template.render({"a": 1})
        variables(template)
    except HandlebarsError as error:
        assert 1 <= error.line <= source.count("\n") + source.count("\r") + 1
        assert 1 <= error.column <= len(source) + 1


@given(st.text(st.characters(exclude_characters="{\\\0", exclude_categories=["Cs"])), st.text())
def test_text_outside_of_tags_stays_and_values_come_back(text, value):
    rendered = compile(text + "{{{x}}}").render({"x": value})
    assert rendered == text + value
    escaped = compile("{{x}}").render({"x": value})
    assert not set("<>\"'`=") & set(escaped)
    assert escaped.count("&") == sum(value.count(character) for character in "&<>\"'`=")


@given(st.integers(0, 2**64))
def test_a_random_template_gives_text_or_a_placed_error(seed):
    maker = Maker(Random(seed))
    source, data = maker.template(), maker.data()
    for strict in (False, True):
        try:
            assert compile(source).render(data, strict=strict).encode().decode() is not None
        except HandlebarsError as error:
            assert error.message and error.line >= 1 and error.column >= 1
