"""Files of suppressions: what every provider exports is understood, what is broken costs its own line, nothing is held."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailferry.mail import address
from mailferry.mail.reply import clean
from mailferry.resources.suppressions import STREAMS, TYPES, Suppression
from mailferry.resources.suppressions.dates import moment
from mailferry.resources.suppressions.files import (
    COLUMNS,
    HEAD,
    BadFile,
    Line,
    Refused,
    exported,
    read,
    write_csv,
    write_json_lines,
)
from mailferry.resources.suppressions.tables import LONGEST, MOST_JOINED
from mailferry.resources.suppressions.words import type_of_file

HARD, UNSUBSCRIBED, COMPLAINED, MANUAL = TYPES


def found(content: bytes | str) -> list[Line | Refused]:
    return list(read(io.BytesIO(content.encode() if isinstance(content, str) else content)))


def lines(content: bytes | str) -> list[Line]:
    every = found(content)
    assert all(isinstance(each, Line) for each in every), every
    return [each for each in every if isinstance(each, Line)]


def told(content: bytes | str) -> list[tuple[str, str, int | None]]:
    return [(line.address, line.type, line.created_at) for line in lines(content)]


# --- providers -----------------------------------------------------------------------------------------------------

DEC_17 = 1_576_591_113_000  # 2019-12-17T13:58:33Z
POSTMARK = (
    '{"Suppressions":[\n{"EmailAddress":"a@x.test","SuppressionReason":"ManualSuppression","Origin": "Recipient",'
    '"CreatedAt":"2019-12-17T08:58:33-05:00"},\n{"EmailAddress":"b@x.test","SuppressionReason":"HardBounce","Origin":'
    '"Recipient","CreatedAt":"2019-12-17T08:58:33-05:00"},\n{"EmailAddress":"c@x.test","SuppressionReason":'
    '"SpamComplaint","Origin":"Customer","CreatedAt":"2019-12-17T08:58:33-05:00"},{"EmailAddress":"d@x.test",'
    '"SuppressionReason":"ManualSuppression","Origin":"Customer","CreatedAt":"2019-12-17T13:58:33Z"}]}'
)
ALL_FOUR = [
    (f"{name}@x.test", type_, DEC_17)
    for name, type_ in zip("abcd", (UNSUBSCRIBED, HARD, COMPLAINED, MANUAL), strict=True)
]
SAMPLES: dict[str, tuple[str, list[tuple[str, str, int | None]]]] = {
    "Postmark, API": (POSTMARK, ALL_FOUR),
    "Postmark, CSV": (
        'EmailAddress,SuppressionReason,Origin,CreatedAt\na@x.test,ManualSuppression,Recipient,2019-12-17T13:58:33Z\n'
        'b@x.test,HardBounce,Recipient,2019-12-17T13:58:33Z\nc@x.test,SpamComplaint,Recipient,2019-12-17T13:58:33Z\n'
        'd@x.test,ManualSuppression,Admin,2019-12-17T13:58:33Z\n',
        ALL_FOUR,
    ),
    "SES, import and export": ("a@x.test,BOUNCE\nb@x.test, COMPLAINT\n", [("a@x.test", HARD, None), ("b@x.test", COMPLAINED, None)]),
    "SES, JSON Lines": (
        '{"emailAddress":"a@x.test","reason":"BOUNCE"}\n{"emailAddress":"b@x.test","reason":"COMPLAINT"}\n',
        [("a@x.test", HARD, None), ("b@x.test", COMPLAINED, None)],
    ),
    "SES, CLI": (
        '{"SuppressedDestinationSummaries": [{"EmailAddress": "a@x.test", "Reason": "BOUNCE", '
        '"LastUpdateTime": "2019-12-17T13:58:33.000000+00:00"}], "NextToken": "x"}',
        [("a@x.test", HARD, DEC_17)],
    ),
    "SES, console": (
        'Email address,Suppression reason,Date added\na@x.test,Bounce,"December 17, 2019, 14:58 (UTC+01:00)"\n',
        [("a@x.test", HARD, DEC_17 - 33_000)],
    ),
    "SendGrid, bounces": (
        'status,reason,email,created\n5.1.1,"550 5.1.1 No such\nuser, ""a"" here",a@x.test,1576591113\n',
        [("a@x.test", HARD, DEC_17)],
    ),
    "SendGrid, unsubscribes": ("email,created\na@x.test,1576591113\n", [("a@x.test", "", DEC_17)]),
    "SendGrid, API": ('[{"created":1576591113,"email":"a@x.test","reason":"550 no","status":"5.1.1"}]', [("a@x.test", HARD, DEC_17)]),
    "Mailgun, bounces": (
        'address,code,error,created_at\na@x.test,550,"No such mailbox","Tue, 17 Dec 2019 13:58:33 GMT"\n',
        [("a@x.test", HARD, DEC_17)],
    ),
    "Mailgun, unsubscribes": (
        'address,tags,created_at\na@x.test,*,"Tue, 17 Dec 2019 13:58:33 UTC"\n',
        [("a@x.test", UNSUBSCRIBED, DEC_17)],
    ),
    "Mailgun, API": (
        '{"items":[{"address":"a@x.test","tags":["*"],"created_at":"Tue, 17 Dec 2019 13:58:33 UTC"}],'
        '"paging":{"next":"https://x.test/?address=b@x.test"}}',
        [("a@x.test", UNSUBSCRIBED, DEC_17)],
    ),
    "Mailtrap, API": (
        '[{"id":"x","type":"spam complaint","created_at":"2019-12-17T13:58:33Z","email":"a@x.test",'
        '"sending_stream":"bulk","domain_name":"shop.test"}]',
        [("a@x.test", COMPLAINED, DEC_17)],
    ),
    "a list of addresses": ("a@x.test\r\n\r\n  b@x.test\n", [("a@x.test", "", None), ("b@x.test", "", None)]),
    "a list with a head": ("Email\na@x.test", [("a@x.test", "", None)]),
    "a JSON list of addresses": ('["a@x.test",\n"b@x.test"]', [("a@x.test", "", None), ("b@x.test", "", None)]),
    "Excel, in another language": (
        'sep=;\nKunde;Adresse;Grund\n"Groß; Söhne";a@x.test;Bounce\n', [("a@x.test", HARD, None)],
    ),
    "tabs": ("Email\tBounce Type\na@x.test\tPermanent\n", [("a@x.test", HARD, None)]),
    "names and angles": ('"Doe, Ann" <a@x.test>\n', [("a@x.test", "", None)]),
    "old Mac": ("email,reason\ra@x.test,unsubscribe\r", [("a@x.test", UNSUBSCRIBED, None)]),
    "two files put together": ("email,type\na@x.test,spam\nemail,type\nb@x.test,bounce\n", [("a@x.test", COMPLAINED, None), ("b@x.test", HARD, None)]),
    "nothing": ("", []),
    "an empty list": ('{"Suppressions":[]}', []),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_export_is_understood(sample: str, encoding: str) -> None:
    content, expected = SAMPLES[sample]
    assert told(content.encode(encoding)) == expected
    assert told(gzip.compress(content.encode(encoding))) == expected


def test_scope_and_reply_are_kept() -> None:
    (line,) = lines(
        "email,sending_stream,domain_name,message_bounce_category,message_esp_response\n"
        'A.b@X.test,bulk,Shop.test,badrecipient,"550 no\x07 such user"\n'
    )
    assert (line.address, line.stream, line.domain, line.category) == (
        "A.b@x.test",
        "bulk",
        "shop.test",
        "badrecipient",
    )
    assert line.response == "550 no such user"
    assert [line.stream for line in lines("email,stream\na@x.test,outbound\nb@x.test,broadcast\nc@x.test,other\n")] == [
        "transactional",
        "bulk",
        "",
    ]


def test_a_column_domain_may_be_the_recipients() -> None:
    assert [line.domain for line in lines("email,domain\na@x.test,x.test\nb@x.test,shop.test\n")] == ["", "shop.test"]


def test_a_files_name_says_what_its_columns_do_not() -> None:
    names = ("suppression_bounces.csv", "unsubscribes (1).csv", "spam_reports.csv", "complaints.json", "list.csv")
    assert [type_of_file(name) for name in names] == [HARD, UNSUBSCRIBED, COMPLAINED, COMPLAINED, ""]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-12-17 13:58:33", DEC_17),
        ("2019-12-17 13:58:33 UTC", DEC_17),
        ("2019-12-17 13:58:33 +0000 UTC", DEC_17),
        ("2019/12/17 14:58:33 +01:00", DEC_17),
        ("2019-12-17T13:58:33.123456Z", DEC_17 + 123),
        ("1576591113", DEC_17),
        ("1576591113.7", DEC_17),
        ("1576591113000", DEC_17),
        ("17 Dec 2019 14:58:33 +0100", DEC_17),
        ("Dec 17 2019 at 1:58:33 PM", DEC_17),
        ("17/12/2019", None),
        ("12/17/2019 1:58 PM", None),
        ("yesterday", None),
        ("0", None),
        ("1900-01-01", None),
        ("9" * 50, None),
        ("2019-13-45", None),
        ("Foo 17, 2019", None),
    ],
)
def test_dates(text: str, expected: int | None) -> None:
    assert moment(text) == expected


# --- what is broken ------------------------------------------------------------------------------------------------


def test_refused_lines_say_where_and_why() -> None:
    content = 'email,type\na@x.test,spam\nno address,x\nb@,x\n\n"c@x.test\nd\N{REPLACEMENT CHARACTER}e@x.test,x\nf@x.test,"x\n'
    every = found(content)
    assert [(each.number, each.why) for each in every if isinstance(each, Refused)] == [
        (3, "an address must have an @"),
        (4, "the domain of an address is not a valid host name"),
        (7, "the address holds octets that are no text; save the file as UTF-8"),
    ]
    assert [each.address for each in every if isinstance(each, Line)] == ["a@x.test", "c@x.test", "f@x.test"]
    refused = next(each for each in every if isinstance(each, Refused))
    assert refused.text == "no address,x"


def test_a_quoted_local_part_survives_lists_and_tables() -> None:
    assert [line.address for line in lines('"a b"@x.test\nc@x.test\n')] == ['"a b"@x.test', "c@x.test"]
    assert [line.address for line in lines('email,type\n"""a b""@x.test",spam\n')] == ['"a b"@x.test']


def test_a_line_without_end_costs_one_line() -> None:
    content = f"a@x.test\n{'x' * (3 * LONGEST)}\nb@x.test\n"
    every = found(content)
    assert [(each.number, type(each)) for each in every] == [(1, Line), (2, Refused), (3, Line)]
    assert len(every[1].text) <= 500


def test_a_quote_that_is_never_closed_takes_nothing_with_it() -> None:
    many = "".join(f"r{n}@x.test,bounce\n" for n in range(3 * MOST_JOINED))
    every = found(f'email,type\n"a@x.test,bounce\n{many}b@x.test,"bounce\n{many}')
    assert len(every) == 6 * MOST_JOINED + 2 and all(isinstance(each, Line) for each in every)


def test_an_object_that_is_too_deep_costs_itself() -> None:
    refused, other = found('{"email":"a@x.test","x":' + "[" * 20_000 + "]" * 20_000 + '}\n{"email":"b@x.test"}\n')
    assert isinstance(refused, Refused) and "recursion" in refused.why
    assert isinstance(other, Line) and other.address == "b@x.test"


def test_a_json_file_that_was_cut_off_is_told() -> None:
    every = found(POSTMARK[: POSTMARK.index('"c@x.test"') + 4])
    assert [type(each) for each in every] == [Line, Line, Refused]
    assert every[2].number == 4 and "truncated" in every[2].why  # type: ignore[union-attr]  # a Refused


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"PK\x03\x04rest", "a ZIP archive or a spreadsheet"),
        (b"\x7fELF\0\0\0\1", "no text"),
        (b'{"error":{"message":"no"}', "cut"),
        (b'{"a":"' + b"x" * 2**20, "no suppression"),
        (gzip.compress(b"a@x.test\n" * 1000, mtime=0)[:40], "a damaged gzip file"),
        (b"\x1f\x8bnonsense", "a damaged gzip file"),
        (b"[1, 2", "cut"),
    ],
)
def test_what_is_no_list(content: bytes, text: str) -> None:
    if text == "cut":
        assert all(isinstance(each, Refused) for each in found(content))
        return
    with pytest.raises(BadFile, match=text):
        found(content)


@given(st.binary(max_size=400) | st.text(alphabet='a@.",;\n\r\t{}[]:\\<>\0é', max_size=200).map(str.encode))
def test_anything_is_read_or_refused(content: bytes) -> None:
    try:
        every = found(content)
    except BadFile:
        return
    assert [each.number for each in every] == sorted(each.number for each in every)
    for each in every:
        if isinstance(each, Line):
            assert address.parse(each.address) == each.address


# --- round trips ---------------------------------------------------------------------------------------------------

TEXTS = st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=60).map(str.strip)
ADDRESSES = st.from_regex(r"[a-z][a-z0-9+_.'-]{0,8}[a-z0-9]@[a-z]{1,8}\.test", fullmatch=True).filter(
    lambda text: ".." not in text
)
SUPPRESSIONS = st.builds(
    Suppression,
    id=st.just("x"),
    account_id=st.just(1),
    address=ADDRESSES | st.just('"a ,;b"@x.test'),
    domain_id=st.just(0),
    stream=st.sampled_from(STREAMS),
    type=st.sampled_from(TYPES),
    recipient_id=st.just(""),
    category=st.sampled_from(["", "badrecipient", "overquota"]),
    # A word alone is a reason, and reads as a type.
    response=TEXTS.map(lambda text: clean(f"550 {text}")),
    created_at=st.integers(1, 4_000_000_000_000),
    domain_name=st.sampled_from(["", "shop.test"]),
)  # fmt: skip


def same(line: Line | Refused, wanted: Suppression) -> None:
    assert isinstance(line, Line), line
    assert (line.address, line.type, line.stream, line.domain, line.category, line.created_at) == (
        *(wanted.address, wanted.type, wanted.stream, wanted.domain_name, wanted.category, wanted.created_at),
    )
    assert line.response == wanted.response


@given(st.lists(SUPPRESSIONS, min_size=1, max_size=5), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_an_export_reads_back(entries: list[Suppression], encoding: str) -> None:
    rows = [exported(each) for each in entries]
    for write in (write_csv, write_json_lines):
        file = io.StringIO()
        assert write(file, [rows[:1], rows[1:]]) == len(rows)
        every = found(file.getvalue().encode(encoding))
        assert len(every) == len(entries)
        for line, entry in zip(every, entries, strict=True):
            same(line, entry)


@given(
    st.lists(SUPPRESSIONS, min_size=1, max_size=4),
    st.permutations(COLUMNS),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([str.upper, str.title, lambda name: name.replace("_", " "), lambda name: name.replace("_", "")]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@settings(max_examples=60)
def test_columns_may_stand_in_any_order_case_and_dialect(
    entries: list[Suppression], order: Sequence[str], delimiter: str, end: str, spelled: Any, quoting: Any
) -> None:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow([spelled(name) for name in order])
    writer.writerows([exported(entry)[name] for name in order] for entry in entries)
    for line, entry in zip(found(file.getvalue()), entries, strict=True):
        same(line, entry)


# --- streaming -----------------------------------------------------------------------------------------------------


class Endless:
    """A pipe that gives what it likes, and counts what it gave."""

    def __init__(self, content: bytes, most: int) -> None:
        self.content = content
        self.most = most
        self.given = 0

    def read(self, size: int, /) -> bytes:
        piece = self.content[self.given : self.given + min(size, self.most)]
        self.given += len(piece)
        return piece


CSV = "email,type,note\n" + "".join(f'r{n}@x.test,bounce,"a ""{n}""\nb"\n' for n in range(4000))
ITEMS = [{"EmailAddress": f"r{n}@x.test", "Reason": "BOUNCE", "note": 'ü\\"{[}]'} for n in range(4000)]
WRAPPED = json.dumps({"meta": {"count": 4000}, "Suppressions": ITEMS}, indent=1)


@pytest.mark.parametrize("content", [CSV, WRAPPED, "\n".join(json.dumps(item) for item in ITEMS)], ids=["csv", "wrapped", "lines"])  # fmt: skip
@pytest.mark.parametrize("most", [7, 4096, HEAD])
def test_a_file_is_read_as_it_is_needed(content: str, most: int) -> None:
    source = Endless(content.encode(), most)
    for number, line in enumerate(read(source)):
        assert isinstance(line, Line) and line.address == f"r{number}@x.test" and line.type == HARD
        place = content.index(f"r{number}@")
        # No more is read than the head, a buffer and what the decoder holds.
        assert source.given - place < HEAD * 3
    assert number == 3999 and source.given == len(content.encode())
