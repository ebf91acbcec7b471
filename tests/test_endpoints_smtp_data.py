"""The content after DATA: where it ends, its line ends, its dots, its size."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.endpoints.smtp import data
from mailferry.endpoints.smtp.data import Fault, Kind, Scanner

END = b"\r\n.\r\n"
NEXT = b"MAIL FROM:<next@example.com>\r\n"


@pytest.fixture(scope="module", autouse=True, params=[data.SLICE, 0], ids=["as it is", "always moved"])
def _slice(request):
    """All of this holds wherever a message begins to leave the buffer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "SLICE", request.param)
        yield


def read(octets: bytes, cuts: list[int] | None = None, *, size: int = 10_000, line: int = 998):
    """Feed `octets` in pieces. The scanner, the message (None when it has not ended) and what is left of the buffer."""
    scanner = Scanner(size, line)
    buffer = bytearray()
    edges = sorted({0, len(octets), *(cut for cut in cuts or [] if cut < len(octets))})
    for start, stop in itertools.pairwise(edges):
        buffer += octets[start:stop]
        if scanner.scan(buffer):
            rest = octets[stop:]
            message = scanner.take(buffer)
            return scanner, message, bytes(buffer) + rest
    return scanner, None, bytes(buffer)


def octet_by_octet(octets: bytes, **limits: int):
    return read(octets, list(range(len(octets))), **limits)


@pytest.mark.parametrize("feed", [read, octet_by_octet], ids=["whole", "octets"])
@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"..a\r\n..\r\nb\r\n...\r\n.\r\n", b".a\r\n.\r\nb\r\n..\r\n"),
        # RFC 5321 4.5.2: a leading period goes even where a client should not have sent a single one.
        (b".a\r\n.b\r\n.\r\n", b"a\r\nb\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"\xff\xfe \x7f\r\n.\r\n", b"\xff\xfe \x7f\r\n"),
    ],
)
def test_the_message_is_what_stands_before_the_end(feed, wire, message):
    scanner, got, rest = feed(wire + NEXT)
    assert (scanner.fault, got, rest) == (None, message, NEXT)


# Every way of ending a line twice around a period, but the right one.
EDGES = (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r", b"\n\n")
SMUGGLED = [before + b"." + after for before in EDGES for after in EDGES]
# These hold <CRLF>.<CRLF> and so do end the message, whatever stands around it.
ENDING = [sequence for sequence in SMUGGLED if END in sequence]
NOT_ENDING = [sequence for sequence in SMUGGLED if END not in sequence]


@pytest.mark.parametrize("feed", [read, octet_by_octet], ids=["whole", "octets"])
@pytest.mark.parametrize("sequence", NOT_ENDING, ids=repr)
def test_nothing_but_crlf_dot_crlf_ends_a_message(feed, sequence):
    scanner, message, rest = feed(
        b"Subject: x\r\n\r\nbody" + sequence + b"MAIL FROM:<evil@example.com>\r\n.\r\n" + NEXT
    )
    assert message == b"", "read to its true end, and nothing of it is handed on"
    assert rest == NEXT
    assert scanner.fault is not None
    assert scanner.fault.kind in (Kind.BARE_LF, Kind.BARE_CR)
    assert scanner.ambiguous


@pytest.mark.parametrize("sequence", ENDING, ids=repr)
def test_a_true_end_among_broken_ones_is_the_end(sequence):
    _, message, rest = octet_by_octet(b"body" + sequence + NEXT)
    assert message is not None
    assert rest == sequence.partition(END)[2] + NEXT


@pytest.mark.parametrize("feed", [read, octet_by_octet], ids=["whole", "octets"])
@pytest.mark.parametrize(
    ("wire", "kind", "line"),
    [
        (b"a\nb\r\n.\r\n", Kind.BARE_LF, 1),
        (b"a\r\nb\rc\r\n.\r\n", Kind.BARE_CR, 2),
        (b"a\r\nb\r\r\n.\r\n", Kind.BARE_CR, 2),
        (b"a\r\nb\r\nc\n\r\n.\r\n", Kind.BARE_LF, 3),
        (b"\n\r\n.\r\n", Kind.BARE_LF, 1),
        (b"a\r\n\0\r\n.\r\n", Kind.NUL, 2),
        (b"a\r\nb\0\n\r\n.\r\n", Kind.NUL, 2),
        (b"a\r\n\r\n" + b"x" * 999 + b"\r\n.\r\n", Kind.LONG_LINE, 3),
        (b"x" * 5000 + b"\n\r\n.\r\n", Kind.LONG_LINE, 1),
    ],
)
def test_the_first_fault_and_its_line_are_named(feed, wire, kind, line):
    scanner, message, rest = feed(wire + NEXT)
    assert (scanner.fault, message, rest) == (Fault(kind, line), b"", NEXT)
    assert not scanner.ambiguous
    assert f"ine {line}" in scanner.fault.reply(998).text


@pytest.mark.parametrize("feed", [read, octet_by_octet], ids=["whole", "octets"])
def test_lines_of_998_octets_pass(feed):
    body = (b"x" * 998 + b"\r\n") * 3 + b"y" * 998 + b"\r\n"
    scanner, message, _ = feed(body + b".\r\n")
    assert (scanner.fault, message) == (None, body)


@pytest.mark.parametrize("feed", [read, octet_by_octet], ids=["whole", "octets"])
def test_the_size_counts_neither_stuffed_dots_nor_the_end(feed):
    # 30 octets of message are 40 on the wire.
    wire = b"..\r\n" * 10 + b".\r\n"
    scanner, message, _ = feed(wire, size=30)
    assert (scanner.fault, message) == (None, b".\r\n" * 10)
    scanner, _, _ = feed(wire, size=29)
    assert scanner.fault == Fault(Kind.TOO_BIG)


def test_what_is_too_big_is_dropped_while_it_arrives():
    scanner, buffer = Scanner(1000, 998), bytearray()
    for _ in range(100):
        buffer += b"x" * 70 + b"\r\n"
        assert not scanner.scan(buffer)
        assert len(buffer) <= 1000 + 72 + 2
    assert scanner.fault == Fault(Kind.TOO_BIG)
    assert len(buffer) < 5
    buffer += b".\r\n" + NEXT
    assert scanner.scan(buffer)
    assert scanner.take(buffer) == b""
    assert buffer == NEXT
    assert not scanner.ambiguous


def test_a_message_given_up_is_read_to_its_end():
    scanner, buffer = Scanner(1000, 998), bytearray(b"a\r\nb\r\n.\r")
    assert not scanner.scan(buffer)
    scanner.drop(buffer, Kind.NO_MEMORY)
    assert len(buffer) < 5
    buffer += b"\n" + NEXT
    assert scanner.scan(buffer)
    assert scanner.take(buffer) == b""
    assert (scanner.fault, bytes(buffer)) == (Fault(Kind.NO_MEMORY), NEXT)


def test_an_end_that_only_looks_like_one_after_a_fault_is_noticed():
    scanner, message, _ = octet_by_octet(b"a\nb\r\nc\r\n.\rd\r\n.\r\n")
    assert (message, scanner.ambiguous) == (b"", True)


LINES = st.lists(st.binary(max_size=60).map(lambda line: line.translate(None, b"\r\n\0")) | st.just(b"."), max_size=30)


@given(LINES, st.lists(st.integers(0, 2000), max_size=20))
def test_any_lines_in_any_pieces_arrive_as_they_were(lines, cuts):
    message = b"".join(line + b"\r\n" for line in lines)
    wire = b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in lines) + b".\r\n"
    scanner, got, rest = read(wire + NEXT, cuts)
    assert (scanner.fault, got, rest) == (None, message, NEXT)


@given(st.text(alphabet="a.\r\n\0", max_size=60).map(str.encode), st.lists(st.integers(0, 80), max_size=20))
def test_the_pieces_make_no_difference(octets, cuts):
    """Against the plainest reading of the rules."""
    scanner, message, rest = read(octets + END, cuts, line=10)
    wire, _, expected_rest = (b"\r\n" + octets + END).partition(END)
    lines = (wire + b"\r\n").split(b"\r\n")[1:-1]
    good = all(len(line) <= 10 and not set(line) & set(b"\r\n\0") for line in lines)
    assert (scanner.fault is None) == good
    assert rest == expected_rest
    assert message == (b"".join(line.removeprefix(b".") + b"\r\n" for line in lines) if good else b"")


def test_many_sizes_of_a_large_message():
    source = random.Random(7)
    body = b"".join(bytes([source.choice(b".ab")]) * source.randrange(90) + b"\r\n" for _ in range(3000))
    wire = (b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:]
    for piece in (1 << 16, 1000, 999, 7):
        cuts = list(range(0, len(wire), piece))
        scanner, message, _ = read(wire + b".\r\n", cuts, size=1 << 20)
        assert (scanner.fault, message) == (None, body)


@pytest.mark.parametrize("line", [b"x" * 70 + b"\r\n", b"..\r\n"])
def test_a_large_message_leaves_the_buffer_as_it_comes(line):
    scanner, buffer = Scanner(10_000_000, 998), bytearray()
    lines = 20_000 // len(line)
    for turn in range(1, 201):
        buffer += line * lines
        assert not scanner.scan(buffer)
        assert len(buffer) <= data.SLICE + 21_000, "so there is little to be done at the end"
        assert scanner.moved + len(buffer) == turn * lines * len(line) + 2
    buffer += b".\r\n" + NEXT
    assert scanner.scan(buffer)
    assert scanner.take(buffer) == line.removeprefix(b".") * lines * 200
    assert bytes(buffer) == NEXT


def test_the_line_of_a_fault_is_counted_from_the_beginning_of_a_large_message():
    scanner, message, rest = read(b"..x\r\n" * 50_000 + b"a\nb\r\n.\r\n" + NEXT, [100_000, 200_000], size=1 << 20)
    assert (scanner.fault, message, rest) == (Fault(Kind.BARE_LF, 50_001), b"", NEXT)


def test_the_size_of_a_large_message_counts_no_stuffed_dots():
    wire = b"..\r\n" * 50_000 + b".\r\n"
    cuts = list(range(0, len(wire), 7_001))
    scanner, message, _ = read(wire, cuts, size=150_000)
    assert (scanner.fault, message) == (None, b".\r\n" * 50_000)
    assert read(wire, cuts, size=149_999)[0].fault == Fault(Kind.TOO_BIG)
