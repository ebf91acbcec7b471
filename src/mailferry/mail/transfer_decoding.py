"""Content transfer encodings undone (RFC 2045 section 6), leniently: what can be read of damaged ones is."""

import binascii
import re

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_ALPHABET + b"="))
_BLANKS = b" \t\r\n"
_NOT_QUOTED = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*\r?\n|[ \t]*\Z)")
_PLAIN = frozenset({"", "7bit", "8bit", "binary", "7-bit", "8-bit", "none", "us-ascii", "utf-8", "identity"})
_UUENCODE = frozenset({"x-uuencode", "uuencode", "x-uue", "uue"})
_UU_BEGIN = re.compile(rb"(?:\A|\n)begin(?:-base64)? [0-7]{3,4} [^\r\n]*\r?\n")


def decode(body: bytes, encoding: str) -> tuple[bytes, str]:
    """The octets of a part by its lower-case transfer encoding, and what was wrong ("" when nothing was)."""
    if encoding in _PLAIN:
        return body, ""
    if encoding == "base64":
        return _base64(body)
    if encoding in ("quoted-printable", "quotedprintable"):
        broken = _NOT_QUOTED.search(body) is not None
        return binascii.a2b_qp(body), "quoted-printable holds = that stands for nothing" if broken else ""
    if encoding in _UUENCODE:
        return _uuencode(body)
    return body, f"the transfer encoding {encoding[:40]!r} is unknown: the part is as it came"


def _base64(body: bytes) -> tuple[bytes, str]:
    text = body.translate(None, _BLANKS)
    data = text.translate(None, _NOT_BASE64)
    problem = "base64 holds octets that are none" if len(data) < len(text) else ""
    whole, padding, rest = data.partition(b"=")
    if not padding or not rest.strip(b"="):
        return _quads(whole, problem, padded=len(padding + rest))
    # Pieces that were encoded each for itself, or a footer behind the end: letters alone would be a piece.
    if problem:
        return _quads(whole, "base64 is followed by other text, which is left out")
    pieces = [_quads(piece, "")[0] for piece in re.split(rb"=+", data)]
    return b"".join(pieces), "base64 has an end inside of it: it was read on"


def _quads(letters: bytes, problem: str, *, padded: int | None = None) -> tuple[bytes, str]:
    odd = len(letters) % 4
    if odd == 1:  # six bits are no octet; the rest is worth reading
        letters, odd = letters[:-1], 0
        problem = problem or "base64 is cut off"
    if padded is not None and padded < -odd % 4:
        problem = problem or "base64 lacks its end"
    return binascii.a2b_base64(letters + b"=" * (-odd % 4)), problem


def _uuencode(body: bytes) -> tuple[bytes, str]:
    begin = _UU_BEGIN.search(body)
    out = bytearray()
    for line in re.finditer(rb"[^\r\n]+", body[begin.end() if begin else 0 :]):
        if line[0].strip() in (b"end", b"`"):
            return bytes(out), ""
        try:
            out += _uu_line(line[0])
        except binascii.Error:
            return bytes(out), "uuencoded text is damaged: it was read to there"
    return bytes(out), "uuencoded text has no end"


def _uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        # Some encoders count wrong: as many characters as the length says are taken (as Python's own reader does).
        return binascii.a2b_uu(line[: (((line[0] - 32) & 63) * 4 + 5) // 3])
