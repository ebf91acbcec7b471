"""Content transfer encodings (RFC 2045 section 6): bodies as seven-bit lines of at most 76 octets."""

import binascii
import re
from collections.abc import Iterable, Iterator
from typing import AnyStr

_MAX_LINE = 76  # RFC 2045 section 6.7 rule 5 and section 6.8
_ESCAPES = tuple((bytes([octet]), b"=%02X" % octet) for octet in range(256))
_VERBATIM = bytes(range(0x21, 0x3D)) + bytes(range(0x3E, 0x7F)) + b" \t\n"

# All of these look at lines that end in LF, because finding two octets takes three times as long as finding one.
# A line cut where no =XX is torn apart, one octet shorter than allowed to leave room for the soft line break.
_CHUNK = re.compile(rb"(?s).{1,75}(?<!=)(?<!=.)")
_NEEDS_CARE = re.compile(rb"\n(?:.{77}|From |\.\n)")
_LONE_DOT = re.compile(rb"\n\.(?=\n)")

# A replacement costs a scan for each octet value; beyond this share of octets to write as =XX, the C encoder, whose
# time does not depend on them, is faster (measured for German and French against Russian and Chinese).
_DENSE = 8

_BASE64_BLOCK = 57 * 8192  # bounds the small objects that cutting into lines makes, for attachments of many megabytes


PIECE = 256 * 1024
"""Octets of a large text that one call looks at. A call holds the interpreter for as long as it takes; between two, other
threads have their turn."""


def quoted_printable_text(text: str) -> bytes:
    """Text in UTF-8 as quoted-printable, every line end of it (CRLF, CR, LF) as CRLF (RFC 2046 section 4.1.1)."""
    if len(text) <= PIECE:
        return _quoted_printable(text.encode("utf-8", "replace"))  # a lone surrogate has no UTF-8 form
    return _in_pieces(piece.encode("utf-8", "replace") for piece in cut(text, "\n", "\r"))


def quoted_printable(octets: bytes) -> bytes:
    """Lines ended by CRLF (no bare CR or LF) as quoted-printable; the last one stays with or without its CRLF."""
    if len(octets) <= PIECE:
        return _quoted_printable(octets)
    return _in_pieces(cut(octets, b"\n", b"\r"))


def cut(whole: AnyStr, lf: AnyStr, cr: AnyStr) -> Iterator[AnyStr]:
    """Pieces that end with a line wherever a line is not larger than a piece; a CRLF is never torn apart."""
    at = 0
    while at < len(whole):
        end = min(at + PIECE, len(whole))
        if end < len(whole):
            end = whole.rfind(lf, at, end) + 1 or end + whole.endswith(cr, at, end)
        yield whole[at:end]
        at = end


def _in_pieces(pieces: Iterable[bytes]) -> bytes:
    out: list[bytes] = []
    for piece in pieces:
        if out and not out[-1].endswith(b"\n"):
            out[-1] = _goes_on(out[-1])
        out.append(_quoted_printable(piece))
    return b"".join(out)


def _goes_on(encoded: bytes) -> bytes:
    """Text whose last line goes on in the next piece: with a soft line break, for which there must be room."""
    start = encoded.rfind(b"\n") + 1
    return encoded[:start] + b"=\r\n".join([*_CHUNK.findall(encoded[start:]), b""])


def _quoted_printable(octets: bytes) -> bytes:
    if b"\r" in octets:
        octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    odd = octets.translate(None, _VERBATIM)
    dense = len(odd) * _DENSE > len(octets)
    encoded = binascii.b2a_qp(octets, istext=True) if dense else _escape(octets, odd)
    framed = b"\n" + encoded + b"\n"  # so that the first and the last line are like all others
    if not dense:
        framed = _protect_spaces(framed)
    if _NEEDS_CARE.search(framed):
        framed = _protect_lines(_wrap(framed))
    return framed[1:-1].replace(b"\n", b"\r\n")


def _escape(octets: bytes, odd: bytes) -> bytes:
    if b"=" in odd:  # first, for the others bring new ones
        octets = octets.replace(b"=", b"=3D")
    for octet in set(odd) - {0x3D}:
        octets = octets.replace(*_ESCAPES[octet])
    return octets


def _protect_spaces(framed: bytes) -> bytes:
    # RFC 2045 section 6.7 rule 3: white space at the end of a line would be lost.
    framed = framed.replace(b" \n", b"=20\n")
    return framed.replace(b"\t\n", b"=09\n") if b"\t" in framed else framed


def _wrap(framed: bytes) -> bytes:
    lines = framed.split(b"\n")
    return b"\n".join([line if len(line) <= _MAX_LINE else b"=\n".join(_CHUNK.findall(line)) for line in lines])


def _protect_lines(framed: bytes) -> bytes:
    # RFC 2049 section 3: mailbox files give "From " at the start of a line a meaning, SMTP a lone dot. The first is
    # cut behind "Fro", not written as =46, because a line must not grow.
    framed = framed.replace(b"\nFrom ", b"\nFro=\nm ")
    return _LONE_DOT.sub(b"\n=2E", framed) if b"\n.\n" in framed else framed


def base64_lines(octets: bytes) -> bytes:
    """Base64 in lines of 76 characters, each with its CRLF; nothing for no octets."""
    lines = [
        cut_lines(binascii.b2a_base64(octets[start : start + _BASE64_BLOCK], newline=False))
        for start in range(0, len(octets), _BASE64_BLOCK)
    ]
    return b"".join(lines)


def cut_lines(octets: bytes) -> bytes:
    """Base64 characters cut into lines of 76, each with its CRLF."""
    lines = [octets[at : at + _MAX_LINE] for at in range(0, len(octets), _MAX_LINE)]
    return b"\r\n".join([*lines, b""])
