"""Octets as text by the charset that mail says they are in, and by another one where it is wrong or silent.

Names and what is meant by them follow the WHATWG Encoding Standard, because mail is written by programs that browsers'
makers tested: "gb2312" is GB 18030, "iso-8859-1" is windows-1252. Nothing here raises.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from encodings.aliases import aliases

from mailferry.mail.charset_guess import guess

# The charsets that mail is written in, by Python's names. A list, because codecs.lookup() imports modules by the name it
# is given, remembers every wrong name for ever, and knows codecs that are no charsets (zlib, unicode_escape, idna with
# its quadratic time). Not on it are those whose ASCII no filter sees: utf-7, utf-16, utf-32.
_CODECS = """
    ascii utf_8 latin_1 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10
    iso8859_11 iso8859_13 iso8859_14 iso8859_15 iso8859_16 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257
    cp1258 cp437 cp850 cp852 cp855 cp858 cp865 cp866 cp874 tis_620 koi8_r koi8_u kz1048 ptcp154 mac_roman mac_latin2
    mac_cyrillic mac_greek mac_turkish mac_iceland big5 big5hkscs cp950 gbk gb18030 gb2312 hz euc_jp shift_jis cp932
    iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_3 iso2022_jp_ext iso2022_kr euc_kr cp949 johab
"""

# Whole texts may be in these: what comes out is checked as text, whatever its octets looked like.
_WIDE = {
    "utf_16": "utf_16",
    "utf16": "utf_16",
    "unicode": "utf_16",
    "utf_16le": "utf_16_le",
    "utf_16be": "utf_16_be",
    "utf_32": "utf_32",
    "utf_32le": "utf_32_le",
    "utf_32be": "utf_32_be",
}
_SEVEN_BIT = frozenset({"hz", "utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be"})
# More of the same family: tried when the octets are not what they are called.
_WIDER = {"shift_jis": "cp932", "big5": "big5hkscs"}
# The same characters, and others where the first has controls that no mail holds.
_MEANT = {"latin_1": "cp1252", "iso8859_9": "cp1254", "iso8859_11": "cp874", "tis_620": "cp874"}
_SINGLE = re.compile(r"latin_1|iso8859_|cp125|cp437|cp8|koi8|kz1048|ptcp154|mac_|tis_620|ascii")

_ESCAPE = re.compile(rb"\x1b(?:\$[@AB]|\$\([A-Z]|\([BJIHA])")
_WINDOWS_1252 = {octet: text for octet in range(0x80, 0xA0) if (text := bytes([octet]).decode("cp1252", "ignore"))}
_GUESSED_FROM = 1 << 16  # octets


# What mail means by these names is more than their standards say, or no standard has them.
_ALSO = """
    gb2312 gb18030, gbk gb18030, x_gbk gb18030, ks_c_5601_1987 cp949, euc_kr cp949, x_sjis cp932, windows_31j cp932,
    x_euc_jp euc_jp, cp50220 iso2022_jp, cp50221 iso2022_jp, iso_2022_jp_ms iso2022_jp, x_big5 big5, big5_hkscs big5hkscs,
    windows_874 cp874, dos_874 cp874, iso_8859_8_i iso8859_8, iso_8859_8_e iso8859_8, x_mac_roman mac_roman,
    x_mac_cyrillic mac_cyrillic, x_mac_ukrainian mac_cyrillic, x_mac_greek mac_greek, x_cp1250 cp1250, x_cp1251 cp1251,
    x_cp1252 cp1252, cp_1252 cp1252, ansi cp1252, koi8_ru koi8_u, koi koi8_r, koi8 koi8_r, utf8mb4 utf_8,
    unicode_1_1_utf_8 utf_8
"""


def _known_charsets() -> dict[str, str]:
    codecs = frozenset(_CODECS.split())
    charsets = {name: name for name in codecs} | {name: codec for name, codec in aliases.items() if codec in codecs}
    charsets |= dict(pair.split() for pair in _ALSO.split(","))
    return {name: _MEANT.get(codec, codec) for name, codec in charsets.items()}


CHARSETS = _known_charsets()
"""From the names that mail uses (lower case, "_" for "-") to Python's codecs."""


@dataclass(frozen=True, slots=True)
class Text:
    """`charset`: Python's name of what it was read as; `problem`: why that is not what was said, empty when it is."""

    text: str
    charset: str
    problem: str = ""


def codec(label: str) -> str | None:
    """Python's codec of a charset's name, None for one that is unknown or not read in a header."""
    return CHARSETS.get(label.strip().lower().replace("-", "_"))


def to_text(octets: bytes | bytearray) -> str:
    """Octets of an unknown charset as text: UTF-8 when they are that, else Latin-1. Never raises."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def read(octets: bytes, label: str, hints: Iterable[str] = ()) -> Text:
    """A whole text whose charset was called `label`, empty where nothing was said.

    `hints` are names that may apply to unlabelled text, best first: those that the same message uses elsewhere.
    """
    name = _name(label)
    if name not in _SEVEN_BIT and octets.isascii() and b"\x1b" not in octets:
        return Text(octets.decode("ascii"), name or "ascii", _unknown(label, octets) if name is None else "")
    if name is None or name == "ascii":
        return _unlabelled(octets, label, hints)
    if (text := _strict(octets, name)) is None:
        return _mislabelled(octets, label, name, hints)
    if _SINGLE.match(name) and (utf8 := _strict(octets, "utf_8")) is not None:
        # Any octets are text of a single-byte charset; that they are UTF-8 too does not come by chance.
        return Text(utf8, "utf_8", f"text called {label} is UTF-8")
    return Text(text, name)


def _name(label: str) -> str | None:
    plain = label.strip().lower().replace("-", "_")
    return CHARSETS.get(plain) or _WIDE.get(plain)


def _strict(octets: bytes, name: str) -> str | None:
    if name == "cp1252":
        try:
            return octets.decode("cp1252")
        except ValueError:  # five octets stand for nothing there, and for controls in the standard
            return octets.decode("latin-1").translate(_WINDOWS_1252)
    if name.startswith("iso2022_jp"):
        return _iso_2022_jp(octets, name)
    if name == "euc_jp":
        return _euc_jp(octets)
    for each in (name, _WIDER.get(name)):
        if each:
            try:
                return octets.decode(each)
            except ValueError:
                pass
    return None


def _unlabelled(octets: bytes, label: str, hints: Iterable[str]) -> Text:
    said = _unknown(label, octets) if label.strip() and _name(label) is None else ""
    about = said or (f"text called {label} is not ASCII" if label.strip() else "text without a charset is not ASCII")
    for name in (*_escapes(octets), "utf_8", *filter(None, map(_name, hints))):
        if name != "ascii" and (text := _strict(octets, name)) is not None:
            return Text(text, name, f"{about}; read as {name}" if octets.strip() else "")
    name = guess(octets[:_GUESSED_FROM]) or "cp1252"
    text = _strict(octets, name)
    return Text(octets.decode(name, "replace") if text is None else text, name, f"{about}; read as {name}, by a guess")


def _mislabelled(octets: bytes, label: str, name: str, hints: Iterable[str]) -> Text:
    for other in (*_escapes(octets), "utf_8", *filter(None, map(_name, hints))):
        # A single-byte charset reads anything, so that it does proves nothing.
        if other != name and not _SINGLE.match(other) and (text := _strict(octets, other)) is not None:
            return Text(text, other, f"text called {label} is {other}")
    return Text(octets.decode(name, "replace"), name, f"text called {label} holds octets that are not {label}")


def _unknown(label: str, octets: bytes) -> str:
    plain = label.strip().lower().replace("-", "_")
    if plain in ("utf_7", "unicode_1_1_utf_7", "utf7"):
        return "text in UTF-7, which hides what it says from filters, is not decoded" if b"+" in octets else ""
    return f"the charset {label[:40]!r} is unknown" if plain else ""


def _escapes(octets: bytes) -> tuple[str, ...]:
    if not octets.isascii() or not _ESCAPE.search(octets):
        return ()
    return ("iso2022_kr",) if b"\x1b$)C" in octets else ("iso2022_jp",)


_EUC = re.compile(rb"\x8e([\xa1-\xdf])|((?:[\xa1-\xfe][\xa1-\xfe])+)")


def _euc_jp(octets: bytes) -> str | None:
    """With the NEC and IBM characters of Shift_JIS, as Windows writes it."""
    try:
        return octets.decode("euc_jp")
    except ValueError:
        pass
    seven = bytes([octet & 0x7F for octet in range(256)])
    shifted = _EUC.sub(lambda found: found[1] or b"".join(_shift(found[2].translate(seven))), octets)
    try:
        return shifted.decode("cp932")
    except ValueError:
        return None


def _iso_2022_jp(octets: bytes, name: str) -> str | None:
    """RFC 1468, and what senders put into it besides: the NEC and IBM characters of Shift_JIS, half-width kana."""
    try:
        return octets.decode(name)
    except ValueError:
        pass
    if not octets.isascii():
        return None
    out = [octets[: found.start()] if (found := _ESCAPE.search(octets)) else octets]
    for piece in re.finditer(rb"(\x1b(?:\$[@AB]|\$\([A-Z]|\([BJIHA]))([^\x1b]*)", octets):
        mode, text = piece[1], piece[2]
        if mode in (b"\x1b$@", b"\x1b$B"):
            out += _shift(text)
        else:
            out.append(bytes([octet | 0x80 for octet in text]) if mode == b"\x1b(I" else text)
    try:
        return b"".join(out).decode("cp932")
    except ValueError:
        return None


def _shift(text: bytes) -> Iterable[bytes]:
    """Rows and cells of JIS X 0208 as Shift_JIS has them; line ends stay."""
    at = 0
    while at < len(text):
        row = text[at]
        if row < 0x21 or at + 1 == len(text):
            yield text[at : at + 1]
            at += 1
            continue
        cell = text[at + 1]
        lead = (row - 0x21 >> 1) + (0x81 if row < 0x5F else 0xC1)
        trail = cell + (0x7E if row % 2 == 0 else 0x1F if cell < 0x60 else 0x20)
        yield bytes([lead, trail & 0xFF])
        at += 2
