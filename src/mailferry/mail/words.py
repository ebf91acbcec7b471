"""Text inside header fields: encoded words (RFC 2047), raw UTF-8 (RFC 6532), and what may never stand there."""

import binascii
import re

from mailferry.mail.charsets import codec, read, to_text

MAX_WORD = 75
"""RFC 2047 section 2: an encoded word is at most 75 characters, and a line that holds one at most 76."""

_MIN_WORD = 24  # "=?UTF-8?Q?" + one character of four octets + "?="
_OVERHEAD = len("=?UTF-8?Q??=")

_WORD = re.compile(rb"=\?([^?*\s]{1,64})(?:\*[^?\s]{0,64})?\?([BbQq])\?([^?]*)\?=")
_FORBIDDEN = re.compile(r"[\r\n\0]")

# RFC 2047 section 5 (3): the characters that may stand for themselves in a word that is part of a display name. The
# same set serves unstructured text, so that one encoder does for both.
_Q_SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
_Q_TABLE = tuple(chr(octet) if octet in _Q_SAFE else "_" if octet == 0x20 else f"={octet:02X}" for octet in range(256))


class BadHeader(ValueError):
    """A header field that is not one (reading), or that would not be one (writing); `line` counts from 1, 0 is none."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


def refuse_line_breaks(value: str) -> None:
    """Raises `BadHeader` for CR, LF or NUL: the one door through which header injection would come."""
    if not value.isprintable() and (found := _FORBIDDEN.search(value)):
        name = {"\r": "a carriage return", "\n": "a line feed", "\0": "a NUL"}[found[0]]
        raise BadHeader(f"a header value must not contain {name}")


def decode(value: bytes) -> str:
    """The text of a raw header value, its encoded words decoded and its folding undone. Never raises.

    The text may hold any character, line breaks too: an encoded word can spell them.
    """
    if b"\n" in value:
        value = value.replace(b"\r\n", b"").replace(b"\n", b"")
    if b"=?" not in value:
        return to_text(value)
    out: list[str] = []
    charset, octets, at = "", bytearray(), 0
    for word in _WORD.finditer(value):
        between, at = value[at : word.start()], word.end()
        name = word[1].decode("latin-1").lower()
        # RFC 2047 section 6.2: white space between two encoded words is not shown. Neighbours of one charset are
        # decoded together, because many senders split a character between two words (forbidden in section 5).
        if name != charset or between.strip(b" \t"):
            out.append(to_charset(octets, charset))
            if not octets or between.strip(b" \t"):
                out.append(to_text(between))
            charset, octets = name, bytearray()
        octets += _octets(word[2], word[3])
    out.append(to_charset(octets, charset))
    out.append(to_text(value[at:]))
    return "".join(out)


def _octets(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"Qq":
        return binascii.a2b_qp(text, header=True)
    text = re.sub(rb"[^A-Za-z0-9+/]", b"", text)  # padding too: it is made anew below
    if len(text) % 4 == 1:  # six bits are no octet; the rest is worth reading
        text = text[:-1]
    return binascii.a2b_base64(text + b"=" * (-len(text) % 4))


def to_charset(octets: bytes | bytearray, charset: str) -> str:
    """Octets as text of a charset by its MIME name; one that is unknown or wrong falls back to `to_text`."""
    name = codec(charset)
    if not octets or name is None:
        return to_text(octets)
    try:
        return octets.decode(name)
    except ValueError:
        # What is no UTF-8 says that it is Latin-1 by not being that; others have wider relatives to be tried.
        return to_text(octets) if name == "utf_8" else read(bytes(octets), charset).text


def encode_words(text: str, room: int = MAX_WORD) -> list[str]:
    """`text` as encoded words in UTF-8, B or Q, whichever is shorter; never splits a character between two words.

    The first word is at most `room` characters (but never under 24), the others at most 75.
    """
    octets = text.encode("utf-8", "replace")  # a lone surrogate has no UTF-8 form
    room = max(_MIN_WORD, room)
    as_q = len(octets) + 2 * len(octets.translate(None, _Q_SAFE + b" "))
    as_b = (len(octets) + 2) // 3 * 4
    if as_q <= as_b:
        return [f"=?UTF-8?Q?{chunk}?=" for chunk in _q_chunks(octets.decode(), room - _OVERHEAD)]
    return [f"=?UTF-8?B?{chunk}?=" for chunk in _b_chunks(octets, room - _OVERHEAD)]


def _q_chunks(text: str, room: int) -> list[str]:
    chunks, chunk = [], ""
    for character in text:
        code = "".join([_Q_TABLE[octet] for octet in character.encode()])
        if len(chunk) + len(code) > room:
            chunks.append(chunk)
            chunk, room = "", MAX_WORD - _OVERHEAD
        chunk += code
    return [*chunks, chunk]


def _b_chunks(octets: bytes, room: int) -> list[str]:
    chunks, at = [], 0
    while at < len(octets):
        end = at + room // 4 * 3
        while end < len(octets) and octets[end] & 0xC0 == 0x80:  # the middle of a character
            end -= 1
        chunks.append(binascii.b2a_base64(octets[at:end], newline=False).decode())
        at, room = end, MAX_WORD - _OVERHEAD
    return chunks
