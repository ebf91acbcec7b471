"""What is wrong with a template, what it reads, and data that it could be looked at with."""

from typing import Any

import pytest

from mailferry.mail import handlebars
from mailferry.resources.template_syntax import flaws, reads, sample
from mailferry.resources.templates import Texts


def test_flaws_stand_by_their_field_with_line_and_column() -> None:
    found = flaws(Texts("Hi {{name", "<p>\n {{#if a}}x{{/each}}", "{{a}}"))
    assert {field: str(error) for field, error in found.items()} == {
        "subject": "line 1, column 4: this tag is never closed",
        "body_html": "line 2, column 12: {{/each}} closes {{#if}} of line 2, column 2",
    }
    assert flaws(Texts("", "", "")) == {}


@pytest.mark.parametrize(
    ("texts", "data"),
    [
        (
            Texts("Hi {{user.name}}", "{{user.first_name}}"),
            {"user": {"name": "Test_Name", "first_name": "Test_First_name"}},
        ),
        (Texts("{{a}}", "{{#each rows}}{{price}}{{/each}}"), {"a": "Test_A", "rows": [{"price": "Test_Price"}]}),
        (Texts("{{#each tags}}{{this}}{{/each}}"), {"tags": ["Test_Tags"]}),
        (
            Texts("{{#if paid}}yes{{/if}}{{#with to}}{{city}}{{/with}}"),
            {"paid": "Test_Paid", "to": {"city": "Test_City"}},
        ),
        (Texts("{{#each a}}{{#each b}}{{c}}{{/each}}{{/each}}"), {"a": [{"b": [{"c": "Test_C"}]}]}),
        (Texts("{{#each a}}{{x}}{{/each}}{{a.length}}"), {"a": [{"x": "Test_X", "length": "Test_Length"}]}),
        (Texts("no tags", "{{ broken"), {}),
        (Texts("{{[0]}} {{this}} {{#each this}}{{x}}{{/each}}"), {"0": "Test_0"}),
    ],
)
def test_sample_data_has_every_name_that_is_read(texts: Texts, data: dict[str, Any]) -> None:
    assert sample(reads(texts)) == data


def test_a_sample_leaves_no_gap() -> None:
    source = "{{#each order.items}}{{@index}} {{name}} {{../order.id}}{{#each sizes}} {{this}}{{/each}}{{/each}}"
    assert handlebars.compile(source).render(sample(reads(Texts(source)))) == "0 Test_Name Test_Id Test_Sizes"
