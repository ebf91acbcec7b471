"""Each of caniemail's features is found, on its line; what only looks like it is not; and clients are known to lack it.

The facts about clients are written by hand (tests/html_check), from what these clients are: Word's engine, WebKit, Gmail's
filter. They fail where a feature is taken for another one, or an old version's support for that of the newest.
"""

import pytest

from mailferry.sandbox.checks.html import NO_DATA
from mailferry.sandbox.checks.html.document import read
from mailferry.sandbox.checks.html.found import Finding
from mailferry.sandbox.checks.html.markup_rules import NOT_IN_A_DOCUMENT
from mailferry.sandbox.checks.html.report import reader, unread
from mailferry.sandbox.checks.html.support import Data, Support, installed
from tests.html_check.facts import Fact, facts
from tests.peers.parts import strict

pytestmark = pytest.mark.skipif(installed() is None and not strict(), reason=NO_DATA)

DECLARATIONS, SHEETS, MARKUP = facts("declarations"), facts("sheets"), facts("markup")
ALL = [*DECLARATIONS, *SHEETS, *MARKUP]


@pytest.fixture(scope="module")
def data() -> Data:
    found = installed()
    assert found, NO_DATA
    return found


def find(document: str, data: Data) -> dict[str, Finding]:
    return read(document, reader(data), frozenset(data.features)).findings


def lines(document: str, slug: str, data: Data) -> list[int]:
    finding = find(document, data).get(slug)
    return [place.line for place in finding.places] if finding else []


@pytest.mark.parametrize("fact", DECLARATIONS, ids=str)
def test_a_declaration(fact: Fact, data: Data) -> None:
    sheet = "<style>\n.b {{\n  {};\n}}\n</style>"
    assert lines(sheet.format(fact.snippet), fact.slug, data) == [3]
    assert lines(sheet.format(fact.near_miss), fact.slug, data) == []
    escaped = "<b\n style='quotes:none;\n {}'>"
    assert lines(escaped.format(fact.snippet.replace("'", "&#39;")), fact.slug, data) == [3]
    assert lines(escaped.format(fact.near_miss.replace("'", "&#39;")), fact.slug, data) == []


@pytest.mark.parametrize("fact", SHEETS, ids=str)
def test_a_style_sheet(fact: Fact, data: Data) -> None:
    sheet = "<style>\n\n{}\n</style>"
    assert lines(sheet.format(fact.snippet), fact.slug, data) == [3]
    assert lines(sheet.format(fact.near_miss), fact.slug, data) == []


@pytest.mark.parametrize("fact", MARKUP, ids=str)
def test_markup(fact: Fact, data: Data) -> None:
    assert lines(f"x\r\n<i>\n y {fact.snippet}\n</i>", fact.slug, data) == [3]
    assert lines(fact.near_miss, fact.slug, data) == []


@pytest.mark.parametrize("fact", ALL, ids=str)
def test_what_is_known_of_clients(fact: Fact, data: Data) -> None:
    assert fact.clients
    verdicts = data.features[fact.slug].verdicts
    said = {client: verdicts[client][-1].support for client in fact.clients}
    assert {client: support in (Support.FULL, Support.PARTIAL) for client, support in said.items()} == fact.clients
    assert Support.UNKNOWN not in said.values()


def test_every_feature_of_the_data_has_a_fact(data: Data) -> None:
    """Fails after an update (`make caniemail`) that brings new features: each needs a rule and a line in the tables."""
    assert set(unread(data)) == NOT_IN_A_DOCUMENT
    assert set(data.features) - {fact.slug for fact in ALL} == NOT_IN_A_DOCUMENT
    assert {fact.slug for fact in ALL} <= set(data.features)
