"""Templates and data of strangers: whatever they are, compiling and rendering end, and soon, and take little memory."""

import inspect
import sys
import tracemalloc

import pytest

from mailferry.mail.handlebars import (
    Limits,
    OutputTooLong,
    RenderError,
    TemplateError,
    TooDeep,
    TooManySteps,
    compile,
)
from mailferry.mail.handlebars.expression_parser import MAX_NESTING
from mailferry.mail.handlebars.variables import variables

MIB = 2**20


def nested(depth, inside="x"):
    return "{{#if a}}" * depth + inside + "{{/if}}" * depth


def doubling(levels):
    """Inline partials of which each calls the next twice."""
    calls = "".join(
        f"{{{{#*inline 'p{n}'}}}}{{{{> p{n + 1}}}}}{{{{> p{n + 1}}}}}{{{{/inline}}}}" for n in range(levels)
    )
    return f"{calls}{{{{#*inline 'p{levels}'}}}}x{{{{/inline}}}}{{{{> p0}}}}"


# --- limits


def test_steps():
    template = compile("{{#each xs}}{{this}}{{/each}}")
    assert template.render({"xs": [1] * 100}, limits=Limits(steps=1000)) == "1" * 100
    with pytest.raises(TooManySteps, match="more than 1,000 steps") as caught:
        template.render({"xs": [1] * 1000}, limits=Limits(steps=1000))
    assert (caught.value.line, caught.value.column) == (1, 1)


def test_a_rendering_says_how_many_steps_it_took():
    """So that a caller can have a budget for several renderings."""
    template = compile("{{#each xs}}{{this}}{{/each}}{{#if last}}{{> gone}}{{/if}}")
    text, steps = template.measured({"xs": [1] * 100})
    assert text == "1" * 100 and 100 < steps < 1000
    assert template.measured({"xs": [1] * 100}, limits=Limits(steps=steps)) == (text, steps)
    with pytest.raises(TooManySteps) as caught:
        template.measured({"xs": [1] * 100}, limits=Limits(steps=steps - 1))
    assert caught.value.steps == steps - 1
    with pytest.raises(RenderError, match="gone") as failed:
        template.measured({"xs": [1] * 100, "last": True})
    assert failed.value.steps > 100


def test_depth():
    template = compile("{{n}}{{#each kids}}\n{{> tree}}{{/each}}", name="tree")
    data = {"n": 0, "kids": []}
    for n in range(1, 6):
        data = {"n": n, "kids": [data]}
    tree = compile("{{> tree}}", partials={"tree": template})
    assert tree.render(data, limits=Limits(depth=20)) == "5\n4\n3\n2\n1\n0"
    with pytest.raises(TooDeep, match="more than 10 levels deep") as caught:
        tree.render(data, limits=Limits(depth=10))
    assert caught.value.template == "tree"


def test_output_is_counted_in_octets():
    template = compile("{{x}}")
    assert template.render({"x": "é" * 50}, limits=Limits(output=100)) == "é" * 50
    for text in ("é" * 51, "x" * 101, "<" * 26):
        with pytest.raises(OutputTooLong, match="longer than 100 octets"):
            template.render({"x": text}, limits=Limits(output=100))
    with pytest.raises(OutputTooLong):
        compile("x" * 101).render({}, limits=Limits(output=100))


@pytest.mark.parametrize(
    ("template", "data", "error"),
    [
        ("{{#each xs}}{{#each ../xs}}{{/each}}{{/each}}", {"xs": [0] * 1000}, TooManySteps),
        ("{{#each o}}{{#each ../o}}{{/each}}{{/each}}", {"o": {str(n): 0 for n in range(1000)}}, TooManySteps),
        ("{{#each xs}}{{/each}}", {"xs": [0] * 1_000_000}, TooManySteps),
        ("{{xs}}", {"xs": [0] * 1_000_000}, TooManySteps),
        (doubling(40), {}, TooManySteps),
        (doubling(90), {}, TooManySteps),
        ("{{#*inline 'p'}}{{> p}}{{/inline}}{{> p}}", {}, TooDeep),
        ("{{#*inline 'l'}}{{#> l}}{{> @partial-block}}{{/l}}{{/inline}}{{#> l}}x{{/l}}", {}, TooDeep),
        ("{{#each xs}}{{@root.x}}{{/each}}", {"xs": [0] * 10_000, "x": "y" * 100_000}, OutputTooLong),
        ("{{#each xs}}{{@root.x}}{{/each}}", {"xs": [0] * 10_000, "x": "<" * 100_000}, OutputTooLong),
        ("{{#each xs}}{{.}}{{/each}}", {"xs": [["x" * 1000] * 1000] * 100}, OutputTooLong),
        ("{{#each xs}}{{lookup @root @root.ys}}{{/each}}", {"xs": [0] * 10_000, "ys": ["y"] * 10_000}, TooManySteps),
        ("{{#each xs}}{{@root.s.length}}{{/each}}", {"xs": [0] * 10_000, "s": "é" * 100_000}, TooManySteps),
        ("{{#each xs}}{{lookup @root.s 7}}{{/each}}", {"xs": [0] * 10_000, "s": "😀" * 100_000}, TooManySteps),
        ("{{#each xs}}{{> p @root.o x=1}}{{/each}}", {"xs": [0] * 9000, "o": {f"k{n}": n for n in range(9000)}}, TooManySteps),
        ("{{#with s}}{{#each @root.xs}}{{../x}}{{/each}}{{/with}}", {"xs": [1] * 9000, "s": " " * 900_000 + "2"}, TooManySteps),
        ("{{#each xs}}{{" + ".".join("a" * 9000) + "}}{{/each}}", {"xs": [{}] * 10_000}, TooManySteps),
        ("{{{n}}}" + "{{{x}}}" * 10_000, {"n": 1, "x": "y" * 10_000}, OutputTooLong),
        ("{{{n}}}" + "{{#x}}{{{.}}}{{/x}}" * 5000, {"n": 1, "x": "y" * 10_000}, OutputTooLong),
        (" " * 50_000 + "{{> lines}}\n", {}, OutputTooLong),
        # Each section hands on the block parameters of all blocks around it, and so the list of lists doubles.
        ("{{#each xs as |x|}}" + "{{#@root.o as |y|}}" * 60 + "{{y}}" + "{{/@root.o}}" * 60 + "{{/each}}{{x}}", {"xs": [1], "o": {"z": 1}}, TooManySteps),
    ],
)  # fmt: skip
def test_a_hostile_rendering_is_stopped(template, data, error):
    partials = {"p": compile(""), "lines": compile("x\n" * 1000)}
    with pytest.raises(error) as caught:
        compile(template, partials=partials).render(data)
    assert caught.value.line >= 1


def test_a_list_that_holds_itself_is_stopped():
    xs = [1]
    xs.append(xs)
    with pytest.raises(TooManySteps):
        compile("{{.}}").render(xs)


def test_data_may_nest_deeper_than_the_stack():
    deep = []
    for _ in range(50_000):
        deep = [deep]
    assert compile("{{.}}").render(deep) == ""
    with pytest.raises(TooDeep):
        compile("{{#*inline 'p'}}{{#each .}}{{> p}}{{/each}}{{/inline}}{{> p}}").render(deep)


def test_a_caller_deep_in_its_own_stack_gets_an_error_of_ours():
    template = compile(nested(90))
    data = {"a": True}
    assert template.render(data) == "x"

    def dive(levels):
        return dive(levels - 1) if levels else template.render(data)

    used = len(inspect.stack(0))
    with pytest.raises(TooDeep):
        dive(sys.getrecursionlimit() - used - 60)


# --- hostile sources


def test_nesting_is_bounded_in_templates():
    assert compile(nested(MAX_NESTING - 1)).render({"a": 1}) == "x"
    for source in (
        nested(MAX_NESTING + 1),
        "{{#if a}}" * 100_000,
        "{{#if a}}" + "{{else if b}}" * 1000 + "{{/if}}",
        "{{a " + "(b " * 100_000,
        "{{#> p}}" * 1000 + "{{/p}}" * 1000,
    ):
        with pytest.raises(TemplateError, match="more than 100 blocks or sub-expressions inside each other"):
            compile(source)


MEBIBYTES = {
    "text": "x" * MIB,
    "braces": "}" * MIB,
    "open braces": "{" * MIB,
    "tags": "{{a}}" * (MIB // 5),
    "parameters": "{{a " + "b " * (MIB // 2) + "}}",
    "a long name": "{{" + "a" * MIB + "}}",
    "a long path": "{{" + "a." * (MIB // 2) + "a}}",
    "parents": "{{" + "../" * (MIB // 3) + "a}}",
    "digits": "{{a " + "1" * MIB + "x}}",
    "escaped tags": "\\{{" * (MIB // 3),
    "backslashes": "\\" * MIB + "{{a}}",
    "open comments": "{{!--" * (MIB // 5),
    "short open comments": "{{! " * (MIB // 4),
    "dashes": "{{!--" + "-" * MIB,
    "comments": ("{{!}}" + "x" * 80) * (MIB // 85),
    "escaped quotes": '{{a "' + '\\"' * (MIB // 2),
    "open quotes": '{{a "' * (MIB // 5),
    "brackets": "{{a " + "[" * MIB,
    "escaped brackets": "{{a [" + "\\]" * (MIB // 4) + "}}",
    "raw blocks": "{{{{a}}}}" * (MIB // 9),
    "raw ends": "{{{{a}}}}" + "{{{{/b" * (MIB // 6),
    "raw ends without end": "{{{{a}}}}{{{{/" + "b" * MIB,
    "blanks in a block": "{{#if a}}" + " " * MIB + "{{/if}}",
    "blanks in a tag": "{{" + " " * MIB + "a}}",
    "blanks before else": ("{{" + " " * 1000) * (MIB // 1000),
    "line ends": "\n" * (MIB // 2) + "{{#if a}}\n{{/if}}" + "\n" * (MIB // 2),
    "tildes": (" " * 1000 + "{{~a~}}") * (MIB // 1000),
    "as": "{{#a " + "as " * (MIB // 3) + "}}{{/a}}",
    "block parameters": "{{#each a as |" + "x " * (MIB // 2) + "|}}",
    "pairs": "{{a " + "b=c " * (MIB // 4) + "}}",
    "partials": "{{> a}}\n" * (MIB // 8),
    "elses": "{{#if a}}" + "{{else}}" * (MIB // 8),
    "surrogates": "\ud800" * MIB,
    "NUL": "\0" * MIB,
}


@pytest.mark.parametrize("source", MEBIBYTES.values(), ids=MEBIBYTES)
def test_a_mebibyte_of_anything_is_read_or_refused(source):
    # What takes quadratic time here would take hours.
    try:
        template = compile(source)
    except TemplateError as error:
        assert error.line >= 1 and error.column >= 1
    else:
        variables(template)


@pytest.mark.parametrize("source", ["{{a " + "b " * 20_000, '{{a "' + '\\"' * 50_000], ids=["parameters", "quotes"])
def test_a_hostile_template_takes_little_memory(source):
    tracemalloc.start()
    with pytest.raises(TemplateError):
        compile(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * MIB


def test_a_tag_takes_little_memory():
    source = "{{a}}{{b.c}}" * 500
    tracemalloc.start()
    template = compile(source)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert template.render({"a": 1}) == "1" * 500
    # There may be 12,500 of them: see tokens.MAX_TOKENS.
    assert peak < 1000 * 2500 and kept < 1000 * 1500


def test_a_search_for_variables_ends():
    assert variables(compile(doubling(60))) == frozenset()
    chain = {f"p{n}": compile(f"{{{{#if x{n}}}}}{{{{> p{n + 1}}}}}{{{{/if}}}}") for n in range(2000)}
    assert {"x0", "x1"} <= variables(compile("{{> p0}}", partials=chain))
    swapped = "".join(
        f"{{{{#*inline 'p{n}'}}}}{{{{> p{n + 1} a}}}}{{{{> p{n + 1} b}}}}{{{{/inline}}}}" for n in range(60)
    )
    assert "a.a.a" in variables(compile(swapped + "{{> p0}}"))
