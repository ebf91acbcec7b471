"""Header fields, written: folding (RFC 5322 section 2.2.3), encoded words (RFC 2047), UTF-8 addresses (RFC 6532)."""

import re
from collections.abc import Sequence
from itertools import groupby, pairwise
from operator import itemgetter

from mailferry.mail.address import Mailbox
from mailferry.mail.words import MAX_WORD, BadHeader, encode_words, refuse_line_breaks

MAX_LINE = 998
"""RFC 5322 section 2.1.1: octets in a line without its CRLF; more is not allowed."""

FOLD_AT = 76
"""Lines are folded here: RFC 5322 wants 78, RFC 2047 section 2 at most 76 for a line with an encoded word."""

MAX_NAME = 256
"""Octets in a field name that we write. No RFC bounds it; longer ones would leave no room for a value."""

_NAME = re.compile(rf"[!-9;-~]{{1,{MAX_NAME}}}")
_PIECE = re.compile(r" +[^ ]+")

_ATEXT = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]"
_ATOMS = re.compile(rf"{_ATEXT}+(?: {_ATEXT}+)*")
_SIMPLE = re.compile(rf"(?:{_ATEXT}+(?: {_ATEXT}+)*)? <(?:{_ATEXT}|\.)+@[A-Za-z0-9.\-]+>")
# What a Mailbox may hold as its address: one local part, one @, one domain, nothing that starts another address.
_PLAIN = r'[^\s\x00-\x1f\x7f\ud800-\udfff<>()\[\]:;@\\,"]+'
_ADDRESS = re.compile(rf'(?:"(?:[^"\\\x00-\x1f\x7f\ud800-\udfff]|\\[ -~])*"|{_PLAIN})@{_PLAIN}')
_MAX_ADDRESS = 254  # `address.parse` counts octets, this only keeps a line below its limit


def encode_field(name: str, value: str) -> bytes:
    """A whole unstructured field with CRLF, in ASCII: folded at spaces, encoded words only where they are needed.

    A long token (a URL) is never broken: it has a line of its own, up to 998 octets. What `decode` reads is `value`.
    Raises `BadHeader` for a name that is none and for CR, LF or NUL in the value.
    """
    if not _NAME.fullmatch(name):
        raise BadHeader("a header name must be of printable ASCII characters without a colon")
    if value.isascii() and value.isprintable() and len(name) + len(value) + 2 <= FOLD_AT and "=?" not in value:
        trimmed = value.strip(" ")
        if len(trimmed) == len(value) and value:
            return f"{name}: {value}\r\n".encode()
    refuse_line_breaks(value)
    return _fold(name, _pieces(value, len(name))).encode()


def _fold(name: str, pieces: list[str]) -> str:
    # A piece starts with its space and is not divided. The first one stays beside the name: a first line that is
    # empty after the colon is legal, but there are readers that take it for the whole value.
    out = [name, ":"]
    length = len(name) + 1
    for number, piece in enumerate(pieces):
        if number and length + len(piece) > FOLD_AT:
            out.append("\r\n")
            length = 0
        out.append(piece)
        length += len(piece)
    out.append("\r\n")
    return "".join(out)


def _pieces(value: str, name_length: int) -> list[str]:
    if not value:
        return []
    longest = MAX_LINE - name_length - 2
    tokens = value.split(" ")
    encoded = _encoded(tokens)
    pieces = _mixed(tokens, encoded, name_length) if any(encoded) else _PIECE.findall(" " + value)
    if max(map(len, pieces)) > longest + 1:  # one token, or a thousand spaces in a row
        return [" " + word for word in encode_words(value, _room(name_length))]
    return pieces


def _room(name_length: int) -> int:
    """Characters for an encoded word on the first line of a field, behind the colon and a space."""
    return FOLD_AT - name_length - 2


def _mixed(tokens: list[str], encoded: list[bool], name_length: int) -> list[str]:
    pieces: list[str] = []
    spaces = " "  # a line of nothing but spaces is obsolete syntax, so they are kept with the token that follows
    for flag, run in groupby(zip(encoded, tokens, strict=True), key=itemgetter(0)):
        if flag:
            room = MAX_WORD if pieces else _room(name_length)
            words = encode_words(" ".join([token for _, token in run]), room)
            pieces += [spaces + words[0], *[" " + word for word in words[1:]]]
            spaces = " "
            continue
        for _, token in run:
            if token:
                pieces.append(spaces + token)
            spaces = " " if token else spaces + " "
    return pieces


def _encoded(tokens: list[str]) -> list[bool]:
    """Which tokens must be written as encoded words, so that the value reads back as it was."""
    flags = [_needs_word(token) for token in tokens]
    # White space at either end of a value is cut off by readers: it goes with the first or last token into a word.
    if not tokens[0] or not tokens[-1]:
        full = [number for number, token in enumerate(tokens) if token] or [0]
        if not tokens[0]:
            flags[: full[0] + 1] = [True] * (full[0] + 1)
        if not tokens[-1]:
            flags[full[-1] :] = [True] * (len(flags) - full[-1])
    # A second space beside an encoded word is lost in some readers (RFC 2047 section 6.2): into the word with it.
    for step in (1, -1):
        order = range(len(tokens))[::step]
        for before, number in pairwise(order):
            if not tokens[number] and flags[before]:
                flags[number] = True
    return flags


def _needs_word(token: str) -> bool:
    if not token.isascii() or "=?" in token:
        return True
    # A tab inside a token is white space that stays where it is; any other control character is written as a code.
    return not token.isprintable() and (not token.replace("\t", "").isprintable() or token.strip("\t") != token)


def encode_mailboxes(name: str, mailboxes: Sequence[Mailbox]) -> bytes:
    """A whole address field with CRLF, folded between addresses; display names as RFC 5322 or RFC 2047 wants them.

    A local part that is not ASCII goes out as raw UTF-8 (RFC 6532 section 3.2): such a message needs SMTPUTF8.
    Raises `BadHeader` for a name or address that would not be one, or that holds CR, LF or NUL.
    """
    if not _NAME.fullmatch(name):
        raise BadHeader("a header name must be of printable ASCII characters without a colon")
    if len(mailboxes) == 1 and (plain := _plain(mailboxes[0], FOLD_AT - len(name) - 2)):
        return f"{name}: {plain}\r\n".encode()
    pieces: list[str] = []
    for mailbox in mailboxes:
        if pieces:
            pieces[-1] += ","
        pieces += _mailbox_pieces(mailbox, MAX_WORD if pieces else _room(len(name)))
    if not pieces:
        raise BadHeader("an address field must hold an address")
    return _fold(name, pieces).encode()


def _plain(mailbox: Mailbox, room: int) -> str | None:
    """The usual mailbox in its written form, by one match; None where more work is to be done."""
    whole = f"{mailbox.name} <{mailbox.address}>"
    if len(whole) > room or "=?" in whole or not _SIMPLE.fullmatch(whole):
        return None
    return whole if mailbox.name else mailbox.address


def format_mailbox(mailbox: Mailbox) -> str:
    """The mailbox as it stands in a header, on one line: `name <address>`, or the address alone."""
    return "".join(_mailbox_pieces(mailbox, MAX_LINE)).lstrip(" ")


def _mailbox_pieces(mailbox: Mailbox, room: int) -> list[str]:
    if len(mailbox.address) > _MAX_ADDRESS or not _ADDRESS.fullmatch(mailbox.address):
        raise BadHeader("an address in a header must be one address")
    if not mailbox.name:
        return [" " + mailbox.address]
    return [*_phrase_pieces(mailbox.name, room), f" <{mailbox.address}>"]


def _phrase_pieces(name: str, room: int) -> list[str]:
    if len(name) <= FOLD_AT and "=?" not in name and _ATOMS.fullmatch(name):
        return [" " + name]
    refuse_line_breaks(name)
    if name.isascii() and name.isprintable() and "=?" not in name and len(name) <= FOLD_AT:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return [f' "{quoted}"']
    return [" " + word for word in encode_words(name, room)]
