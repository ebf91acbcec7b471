"""Every filter and every id of the API with values that no database takes gladly: an answer of the dialect, and no 5xx."""

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailferry.consumers.mailtrap_words import EVENT_TYPE, STATUS
from mailferry.endpoints.mailtrap.logs import _RULES, MOST_PATTERNS, _integer
from mailferry.endpoints.mailtrap.query import MAX_PAIRS
from mailferry.endpoints.mailtrap.table import TABLE
from mailferry.journal.conditions import Match
from mailferry.journal.ids import Ids
from mailferry.store.database import Database
from tests.asgi import Answer
from tests.conftest import Clock
from tests.fakes.journal import write_message
from tests.mailtrap_house import MailtrapHouse

ON_BOTH = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])

NUMBERS = st.integers().map(str) | st.sampled_from(
    [
        "0",
        "-1",
        "+1",
        "00",
        "0" * 20 + "9" * 30,
        "9" * 19,
        str(2**63 - 1),
        str(2**63),
        str(2**64),
        "9" * 999,
        "1_0",
        "١٢",
    ]
)
TIMES = st.datetimes().map(lambda moment: moment.isoformat()) | st.sampled_from(
    [
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999999-23:59",
        "9999-12-31T24:00:00",
        "0000-01-01",
        "9999-W53-7",
        "9999-W52-7",
        "0001-W01-1",
        "2026-02-30",
        "2026-01-01T00:00:00 01:00",
        "253402300800",
        "2026-01-01T00:00:00Z",
    ]
)
UUIDS = st.uuids().map(str) | st.just("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF")
TEXTS = (
    st.text(st.characters(exclude_categories=[]), max_size=20)
    | st.sampled_from(["\0", "a\0b", "%", "_", "/", "\\", "'", '"', "😀" * 250, "x" * 1001, "ß", "İ", "a@b.test", "[]"])
    | st.sampled_from(["transactional", "bulk", "delivered", "enqueued", "open", "bounce"])
)
VALUES = NUMBERS | TIMES | UUIDS | TEXTS
WORDS = {
    "status": [*STATUS.values()],
    "events": [*EVENT_TYPE.values()],
    "sending_stream": ["transactional", "bulk"],
}


def wanted(name: str) -> st.SearchStrategy[tuple[str, str, list[str]]]:
    """Field, operator, values: those that belong together, since what is refused at once reaches no database."""
    rule = _RULES[name]
    value = st.sampled_from(WORDS[name]) if name in WORDS else NUMBERS if rule.read is _integer else TEXTS | NUMBERS
    several = st.lists(value, min_size=1, max_size=3) | st.integers(1, 999).map(lambda count: [*map(str, range(count))])
    return st.tuples(st.just(name), st.sampled_from([*rule.operators]), several)


WANTED = st.one_of([wanted(name) for name in _RULES])
ANY_WANTED = st.tuples(st.sampled_from([*_RULES, "unknown"]), st.sampled_from(["equal", "", "x"]), st.lists(VALUES))
OTHERS = st.fixed_dictionaries(
    {}, optional={"filters[sent_after]": TIMES, "filters[sent_before]": TIMES, "search_after": UUIDS}
) | st.dictionaries(st.sampled_from(["filters[sent_after]", "filters[sent_before]", "search_after"]), VALUES)
PARAMETERS = [
    *("search_after", "start_time", "end_time", "email", "last_id", "search", "token", "per_page", "page"),
    *("domain_ids[]", "project_ids[]", "inbox_ids[]", "sandbox_ids[]", "filters[sent_after]", "filters[sent_before]"),
]
READ = [row.path for row in TABLE if "GET" in row.ops]


def escaped(text: str) -> str:
    """Lone surrogates as well, in the octets that UTF-8 would have for them."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def of_dialect(answer: Answer) -> Any:
    assert answer.status < 500, answer.body
    assert answer.headers["content-type"].startswith("application/json")
    if answer.status >= 400:
        assert "error" in answer.json or "errors" in answer.json
    return answer.json


@pytest.fixture
async def house(database: Database, clock: Clock) -> MailtrapHouse:
    made = await MailtrapHouse(database, clock).furnish()
    ids = Ids(clock)
    columns = {"account_id": made.account, "domain_id": made.domain}
    await database.write(lambda connection: write_message(connection, ids, clock(), **columns))
    return made


@given(st.lists(WANTED, min_size=1, max_size=2) | st.lists(ANY_WANTED, max_size=3), OTHERS)
@ON_BOTH
async def test_filters_of_the_log(
    house: MailtrapHouse, wanted: list[tuple[str, str, list[str]]], others: dict[str, str]
) -> None:
    pairs = [f"{name}={escaped(value)}" for name, value in others.items()]
    for name, operator, values in wanted:
        pairs.append(f"filters[{name}][operator]={operator}")
        pairs += [f"filters[{name}][value][]={escaped(value)}" for value in values]
    of_dialect(await house.ask("GET", "email_logs?" + "&".join(pairs)))


async def test_numbers_beyond_those_of_the_databases(house: MailtrapHouse) -> None:
    numeric = {name: rule for name, rule in _RULES.items() if rule.read is _integer}
    assert numeric
    for number, expected in (
        ("0" * 20 + "9" * 30, 400),
        (str(2**63), 400),
        ("0" * 30 + "1", 200),
        (str(2**63 - 1), 200),
    ):
        for name, rule in numeric.items():
            for operator in rule.operators:
                query = f"filters[{name}][operator]={operator}&filters[{name}][value]={number}"
                answer = await house.ask("GET", f"email_logs?{query}")
                assert answer.status == expected, (query, answer.body)


async def test_as_many_values_as_a_query_may_have(house: MailtrapHouse) -> None:
    for name, rule in _RULES.items():
        values = ["transactional", "bulk"] if name == "sending_stream" else range(MAX_PAIRS - 1)
        values = [*EVENT_TYPE.values()] * 30 if name == "events" else values
        values = [*STATUS.values()] * 30 if name == "status" else values
        encoded = urlencode([(f"filters[{name}][value][]", each) for each in values])
        for operator, match in rule.operators.items():
            answer = await house.ask("GET", f"email_logs?filters[{name}][operator]={operator}&{encoded}")
            patterns = match in (Match.CONTAINS, Match.CONTAINS_NOT)
            assert answer.status == (400 if patterns else 200), (name, operator, answer.body)
            if patterns:
                assert answer.json == {"error": f"'{name}' has too many values (maximum is {MOST_PATTERNS})"}


async def test_the_most_patterns_in_every_filter_at_once(house: MailtrapHouse) -> None:
    pairs: list[tuple[str, Any]] = []
    for name, rule in _RULES.items():
        for operator, match in rule.operators.items():
            if match is Match.CONTAINS_NOT and len(pairs) < MAX_PAIRS - MOST_PATTERNS:
                pairs.append((f"filters[{name}][operator]", operator))
                pairs += [(f"filters[{name}][value][]", f"{each}%") for each in range(MOST_PATTERNS)]
    answer = await house.ask("GET", f"email_logs?{urlencode(pairs)}")
    assert (answer.status, len(answer.json["messages"])) == (200, 1)


@given(
    st.sampled_from(READ),
    st.lists(VALUES, min_size=4, max_size=4),
    st.dictionaries(st.sampled_from(PARAMETERS), VALUES),
)
@ON_BOTH
async def test_ids_and_parameters_of_whatever_is_read(
    house: MailtrapHouse, path: str, ids: list[str], parameters: dict[str, str]
) -> None:
    known = {"account_id": str(house.account)}
    pieces = [
        known.get(piece[1:-1]) or escaped(ids[place % len(ids)]) if piece.startswith("{") else piece
        for place, piece in enumerate(path.split("/"))
    ]
    query = "&".join(f"{name}={escaped(value)}" for name, value in parameters.items())
    answer = await house.call("GET", f"{'/'.join(pieces)}?{query}", headers={"Authorization": f"Bearer {house.admin}"})
    exported = path.endswith("/email_logs/export") and answer.status == 200
    if answer.status != 204 and not exported:
        of_dialect(answer)
