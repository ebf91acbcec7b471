"""Mail addresses (RFC 5321 section 4.1.2, RFC 6531) and the lists of them in header fields (RFC 5322 section 3.4)."""

import re
import unicodedata
from dataclasses import dataclass

import idna

from mailferry.mail import charsets, words

MAX_LOCAL = 64
#: Characters beyond which nobody looks any closer: matching takes memory for each of them.
LONGEST = 1000
"""RFC 5321 section 4.5.3.1.1: octets before the @."""

MAX_ADDRESS = 254
"""RFC 5321 section 4.5.3.1.3: a path is at most 256 octets with its angle brackets. It also keeps the domain
below the 255 octets of section 4.5.3.1.2."""

_ATEXT = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?"
_DOT_STRING = rf"{_ATEXT}+(?:\.{_ATEXT}+)*"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"

_ADDRESS = re.compile(rf"({_DOT_STRING})@({_DOMAIN})")
_HOST = re.compile(_DOMAIN)
_ATOMS = re.compile(_DOT_STRING)
_QUOTED = re.compile(r'"(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*"')
# The two forms that nearly every From has; neither can hold a second address.
_SIMPLE = re.compile(rf"({_DOT_STRING}@{_DOMAIN})|({_ATEXT}+(?: {_ATEXT}+)*) <({_DOT_STRING}@{_DOMAIN})>")


class BadAddress(ValueError):
    """Text that is no mail address, or no list of them; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address as `parse` returns it, and the display name as decoded text."""

    address: str
    name: str = ""


def parse(text: str) -> str:
    """One address in its stored form: the local part as given, the domain in lower case with IDNA A-labels.

    Non-ASCII local parts are allowed (RFC 6531); address literals are not. Raises `BadAddress`.
    """
    if len(text) > LONGEST:
        raise BadAddress("an address must not be that long")
    if match := _ADDRESS.fullmatch(text):
        local, domain = match.groups()
        domain = domain.lower()
        if len(text) > MAX_LOCAL:
            _check_lengths(local, text)
    else:
        local, at, domain = text.rpartition("@")
        if not at:
            raise BadAddress("an address must have an @")
        _check_local(local)
        domain = _ascii_domain(domain)
        _check_lengths(local, f"{local}@{domain}")
    # A name that ends in a number is an IP address to resolvers (inet_aton even takes "1.2"), and no mail domain.
    if domain[-1].isdigit() and domain.rpartition(".")[2].isdigit():
        raise BadAddress("the domain of an address must not be a number or an IP address")
    return f"{local}@{domain}"


def _check_lengths(local: str, address: str) -> None:
    if len(local.encode()) > MAX_LOCAL:
        raise BadAddress(f"the part before the @ must be at most {MAX_LOCAL} octets long")
    if len(address.encode()) > MAX_ADDRESS:
        raise BadAddress(f"an address must be at most {MAX_ADDRESS} octets long")


def _check_local(local: str) -> None:
    if not local:
        raise BadAddress("the part before the @ is missing")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in local):
        raise BadAddress("an address must not contain control characters")
    if local.startswith('"'):
        if not _QUOTED.fullmatch(local):
            raise BadAddress("the quoted part before the @ is not well formed")
        return
    # RFC 6531 section 3.3: atext is widened by every non-ASCII character. A letter stands in for them here; white
    # space is kept out, because it would not be seen.
    plain = "".join(["x" if character > "\x7f" and not character.isspace() else character for character in local])
    if not _ATOMS.fullmatch(plain):
        raise BadAddress("the part before the @ contains characters that need quotes, or a dot in a wrong place")


def _ascii_domain(domain: str) -> str:
    if domain.startswith("["):
        raise BadAddress("an IP address in brackets is not accepted as a domain")
    if not domain.isascii():
        if len(domain) > MAX_ADDRESS:  # idna's time grows faster than the text
            raise BadAddress(f"an address must be at most {MAX_ADDRESS} octets long")
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except ValueError as error:
            raise BadAddress("the domain of an address is not a valid internationalised name") from error
    if not _HOST.fullmatch(domain):
        raise BadAddress("the domain of an address is not a valid host name")
    return domain.lower()


def split(address: str) -> tuple[str, str]:
    """Local part and domain."""
    local, _, domain = address.rpartition("@")
    return local, domain


def key(address: str) -> str:
    """What suppressions compare by: two spellings of one mailbox give one key, for every provider known to us."""
    return address.casefold()


def is_ascii(address: str) -> bool:
    """Whether the address can be written without SMTPUTF8."""
    return address.isascii()


def parse_mailboxes(value: str | bytes, *, groups: bool = True) -> list[Mailbox]:
    """The mailboxes of an address field, those inside groups too (RFC 6854) unless they are refused; names come decoded.

    `value` is what stood in the header: encoded words must NOT be decoded before, because they may spell a comma or
    an @ that is part of a name. Counting is exact, so that "exactly one From" holds: whatever two readers could count
    differently (a bare @ in a name, text behind an address, a source route) raises `BadAddress`.
    """
    text = value if isinstance(value, str) else charsets.to_text(value)
    text = text.replace("\r\n", "").strip(" \t")
    if (match := _SIMPLE.fullmatch(text)) and "=?" not in text:
        return [Mailbox(parse(match[1] or match[3]), match[2] or "")]
    return _ListReader(text, groups).read()


_SPACE = re.compile(r"[ \t]+")
_COMMENT_TEXT = re.compile(r"(?:[^()\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~\u0080-\U0010ffff])+")
_QUOTED_WORD = re.compile(r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~\u0080-\U0010ffff])*)"')
# Dots belong to the word: "John Q. Public" is obsolete syntax (RFC 5322 section 4.1) that everybody writes.
_WORD = re.compile(r'[^\x00-\x20\x7f()<>\[\]:;@\\,"]+')
_DOMAIN_TEXT = re.compile(r'[^\x00-\x20\x7f()<>\[\]:;@\\,"]+')


class _ListReader:
    """Reads RFC 5322's address-list by one scan from left to right."""

    def __init__(self, text: str, groups: bool) -> None:
        self.text = text
        self.groups = groups
        self.at = 0

    def read(self) -> list[Mailbox]:
        found: list[Mailbox] = []
        in_group = False
        self._skip()
        while next_character := self._peek():
            if next_character == ",":  # RFC 5322 section 4.4 (obs-mbox-list): empty elements are tolerated
                self.at += 1
            elif next_character == ";" and in_group:
                self.at += 1
                in_group = False
                self._end_of_element("")
            elif (mailbox := self._element(in_group)) is not None:
                found.append(mailbox)
                self._end_of_element(";" if in_group else "")
            elif self.groups:
                in_group = True
            else:
                raise BadAddress("a group of addresses is not allowed here")
            self._skip()
        if in_group:
            raise BadAddress("a group of addresses is not closed")
        return found

    def _element(self, in_group: bool) -> Mailbox | None:
        """One mailbox, or None after the name and colon of a group."""
        start = self.at
        name, word_count = self._phrase()
        match self._peek():
            case "<":
                self.at += 1
                self._skip()
                address = self._address()
                self._skip()
                self._expect(">", "a > is missing behind an address")
                return Mailbox(address, name)
            case "@":
                self.at = start
                return Mailbox(self._address())
            case ":" if word_count and not in_group:
                self.at += 1
                return None
        raise BadAddress("an element of the address list is no address")

    def _phrase(self) -> tuple[str, int]:
        """The display name in front of an address, decoded, and of how many words it was."""
        parts: list[str] = []
        plain: list[str] = []  # words without quotes in a row: encoded words are decoded together
        count = 0
        while True:
            if quoted := _QUOTED_WORD.match(self.text, self.at):
                self._flush(plain, parts)
                parts.append(re.sub(r"\\(.)", r"\1", quoted[1]))
                self.at = quoted.end()
            elif word := _WORD.match(self.text, self.at):
                plain.append(word[0])
                self.at = word.end()
            else:
                self._flush(plain, parts)
                return " ".join(parts), count
            count += 1
            if self._peek() != "@":  # an address must be in one piece; see _address
                self._skip()

    @staticmethod
    def _flush(plain: list[str], parts: list[str]) -> None:
        if plain:
            parts.append(words.decode(" ".join(plain).encode("utf-8", "replace")))
            plain.clear()

    def _address(self) -> str:
        """An addr-spec in one piece: no comment or space around its @ or dots, which is obsolete and ambiguous."""
        local = _QUOTED_WORD.match(self.text, self.at) or _WORD.match(self.text, self.at)
        if not local or self.text[local.end() : local.end() + 1] != "@":
            raise BadAddress("an element of the address list is no address")
        domain = _DOMAIN_TEXT.match(self.text, local.end() + 1)
        if not domain:
            raise BadAddress("the domain of an address is missing or in brackets")
        self.at = domain.end()
        return parse(f"{local[0]}@{domain[0]}")

    def _end_of_element(self, also: str) -> None:
        self._skip()
        following = self._peek()
        if following and following != "," and following != also:
            raise BadAddress("there is text behind an address")

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _expect(self, character: str, otherwise: str) -> None:
        if self._peek() != character:
            raise BadAddress(otherwise)
        self.at += 1

    def _skip(self) -> None:
        """Over white space and comments, which nest (RFC 5322 section 3.2.2)."""
        depth = 0
        while True:
            pattern = _COMMENT_TEXT if depth else _SPACE
            if match := pattern.match(self.text, self.at):
                self.at = match.end()
            elif self._peek() == "(":
                depth += 1
                self.at += 1
            elif self._peek() == ")" and depth:
                depth -= 1
                self.at += 1
            elif depth:
                raise BadAddress("a comment is not closed")
            else:
                return
