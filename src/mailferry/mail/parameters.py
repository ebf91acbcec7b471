"""Parameters of MIME header fields (RFC 2045 section 5.1), with RFC 2231 for long values and other characters."""

import re
import unicodedata
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

from mailferry.mail.charsets import to_text
from mailferry.mail.words import refuse_line_breaks, to_charset

_MAX_SEGMENT = 60  # with `filename*12*=` and `;` in front and behind, a line stays below 76
_MAX_QUOTED = 200  # a value with a line of its own; longer ones are cut into RFC 2231 segments
_MAX_FALLBACK = 60

# RFC 2231 section 7, attribute-char, beyond what quote() never escapes (letters, digits, "_.-~").
_ATTRIBUTE_CHARACTERS = "!#$&+^`{|}"


def parameter(name: str, value: str) -> bytes:
    """`name="value"`, or the RFC 2231 form of it; segments of a long one are on lines of their own.

    Raises `BadHeader` for CR, LF or NUL in the value.
    """
    refuse_line_breaks(value)
    if _fits_quotes(value):
        return f'{name}="{_quoted(value)}"'.encode()
    segments = _segments(value)
    if len(segments) == 1:
        return f"{name}*={segments[0]}".encode()
    return ";\r\n ".join([f"{name}*{number}*={segment}" for number, segment in enumerate(segments)]).encode()


def file_name(value: str) -> bytes:
    """The `filename` of a Content-Disposition: where RFC 2231 is needed, a plain name follows for old readers.

    The exact form comes first, because there are readers (Python's) that take the first of the two.
    """
    exact = parameter("filename", value)
    if exact.startswith(b'filename="'):
        return exact
    return exact + f';\r\n filename="{_fallback(value)}"'.encode()


def _fits_quotes(value: str) -> bool:
    # "=?" in quotes is read as an encoded word by many readers, though RFC 2047 section 5 (3) says that it is none.
    return value.isascii() and value.isprintable() and len(value) <= _MAX_QUOTED and "=?" not in value


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _segments(value: str) -> list[str]:
    segments, segment = [], "UTF-8''"
    for character in value:
        code = quote(character, safe=_ATTRIBUTE_CHARACTERS, errors="replace")
        if len(segment) + len(code) > _MAX_SEGMENT:
            segments.append(segment)
            segment = ""
        segment += code
    return [*segments, segment]


def _fallback(value: str) -> str:
    plain = unicodedata.normalize("NFKD", value)
    plain = "".join([character for character in plain if not unicodedata.combining(character)])
    plain = re.sub(r"[^ !#-\[\]-~]|=\?", "_", plain)
    stem, dot, extension = plain.rpartition(".")
    if dot and len(extension) < 10:
        return stem[: _MAX_FALLBACK - len(extension)] + dot + extension
    return plain[:_MAX_FALLBACK]


@dataclass(frozen=True, slots=True)
class Parameterised:
    """A value with parameters (Content-Type, Content-Disposition): both it and the names in lower case."""

    value: str
    parameters: dict[str, str] = field(default_factory=dict)


_HEAD = re.compile(r"\s*([^\s;()]+)")
# A quote that is not closed ends with the text; the possessive repeats keep the scan linear on hostile input.
_PARAMETER = re.compile(r';\s*+([^\s=;"]++)\s*+=\s*+(?:"((?>[^"\\]|\\.?)*+)(?:"|\Z)|([^\s;"]*+))', re.DOTALL)
_CONTINUED = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*?)")


def read(raw: bytes) -> Parameterised:
    """A Content-Type or Content-Disposition as it came, leniently: what cannot be read is left out. Never raises."""
    text = to_text(raw.replace(b"\r\n", b""))
    head = _HEAD.match(text)
    if head is None:
        return Parameterised("")
    plain: dict[str, str] = {}
    segments: dict[str, dict[int, tuple[str, bool]]] = {}
    for found in _PARAMETER.finditer(text, head.end()):
        value = re.sub(r"\\(.)", r"\1", found[2]) if found[2] is not None else found[3]
        name = _CONTINUED.fullmatch(found[1].lower())
        if name is None:
            continue
        if name[2] is None and not name[3]:
            plain.setdefault(name[1], value)
        else:
            segments.setdefault(name[1], {}).setdefault(int(name[2] or 0), (value, bool(name[3])))
    return Parameterised(head[1].lower(), plain | {name: _joined(parts) for name, parts in segments.items()})


def _joined(parts: dict[int, tuple[str, bool]]) -> str:
    octets, charset = list[bytes](), "utf-8"
    for number in range(len(parts)):
        if number not in parts:  # RFC 2231 section 3: a gap ends the value
            break
        value, extended = parts[number]
        if extended and number == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        octets.append(unquote_to_bytes(value) if extended else value.encode("utf-8", "replace"))
    return to_charset(b"".join(octets), charset)
