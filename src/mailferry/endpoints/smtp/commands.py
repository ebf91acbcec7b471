"""SMTP command lines (RFC 5321 section 4.1.1) and their parameters.

These are SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531) and AUTH (RFC 4954). `parse` turns one line into what
it asks for, or into the reply that refuses it. Pure: it knows no state, so whether a command may come now is the
session's question.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mailferry.endpoints.smtp.replies import NON_ASCII, UNKNOWN, Reply
from mailferry.mail import address

# RFC 5321 4.5.3.1.2: a domain has at most 255 octets.
HELLO_OCTETS = 255
# RFC 5321 4.1.2 Path: null, or with a local part that may be quoted and then hold ">". What stands inside is judged by
# address.parse. RFC 5321 3.3 forbids the space after the colon; hand-written clients send it, and it hides nothing. They
# leave the brackets out too: so does the dialogue in Amazon's own guide.
_PATH = r' *(?:<((?:"(?:\\.|[^"\\])*")?[^<>"]*)>|([^<>" ]+@[^<>" ]+))'
PATH = re.compile(_PATH)
FROM = re.compile(rf"FROM:{_PATH}(?: +(.*))?", re.IGNORECASE)
TO = re.compile(rf"TO:{_PATH}(?: +(.*))?", re.IGNORECASE)
MECHANISM = re.compile(r"[A-Z0-9_-]{1,20}")  # RFC 4422 3.1 sasl-mech
XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")  # RFC 3461 section 4
# What nearly every client sends, read in one go: it halves the time of a command. The addresses are those that
# address.parse returns as they are, which a test holds, as long as they have at most USUAL_OCTETS.
_ATOM = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_USUAL = rb"<(" + _ATOM + rb"(?:\." + _ATOM + rb")*@(?:[a-z0-9]+(?:-+[a-z0-9]+)*\.)+[a-z]+)>"
USUAL_MAIL = re.compile(rb"MAIL FROM:" + _USUAL + rb"(?: SIZE=([0-9]{1,20}))?(?: BODY=(?:7BIT|(8BITMIME)))?")
USUAL_RCPT = re.compile(rb"RCPT TO:" + _USUAL)
USUAL_OCTETS = 63  # no label and no local part is too long then (RFC 5321 4.5.3.1.1, RFC 1035 2.3.4)
SIZE_VALUE = re.compile(r"[0-9]{1,20}")  # RFC 1870 section 3


@dataclass(frozen=True, slots=True)
class Plain:
    """A command that carries nothing the session needs: DATA, RSET, NOOP, QUIT, STARTTLS, VRFY, HELP."""

    verb: str


@dataclass(frozen=True, slots=True)
class Hello:
    """EHLO (`extended`) or HELO, and the name by which the client calls itself, which nobody has verified."""

    extended: bool
    name: str


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL: `sender` is "" for the null path, `size` what the client declares, 0 when it declares nothing."""

    sender: str
    size: int = 0
    body8bit: bool = False
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Rcpt:
    """RCPT: `ascii` is False when the path as written needs the transaction to be SMTPUTF8."""

    address: str
    ascii: bool


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH: `initial` is the initial response in base64, None when there was none; it is a secret."""

    mechanism: str
    initial: str | None

    def __repr__(self) -> str:
        return f"Auth(mechanism={self.mechanism!r})"


Command = Plain | Hello | Mail | Rcpt | Auth


def parse(line: bytes) -> Command | Reply:
    """What `line`, a command without its CRLF and without bare CR, LF or NUL, asks for, or the reply that refuses it.

    Nothing of the line is quoted in a refusal but names of parameters: a client that is out of step sends passwords as
    commands.
    """
    usual = _usual(line)
    if usual is not None:
        return usual
    verb, _, rest = line.partition(b" ")
    reader = READERS.get(verb.upper())
    if reader is None:
        return UNKNOWN
    try:
        # RFC 5321 4.1.1: white space before the CRLF is tolerated.
        return reader(rest.decode("utf-8").rstrip(" \t"))
    except UnicodeDecodeError:
        return _syntax("the argument is not UTF-8")


def _usual(line: bytes) -> Command | None:
    if (match := USUAL_RCPT.fullmatch(line)) is not None:
        if len(match[1]) <= USUAL_OCTETS:
            return Rcpt(match[1].decode("ascii"), True)
    elif (match := USUAL_MAIL.fullmatch(line)) is not None:
        sender, size, body8bit = match.groups()
        if len(sender) <= USUAL_OCTETS:
            return Mail(sender.decode("ascii"), int(size or 0), body8bit is not None)
    return PLAIN.get(line)


def _syntax(what: str) -> Reply:
    return Reply(501, "5.5.4", f"Syntax error: {what}")


def _ehlo(rest: str) -> Command | Reply:
    return _hello(rest, extended=True)


def _helo(rest: str) -> Command | Reply:
    return _hello(rest, extended=False)


def _hello(rest: str, *, extended: bool) -> Command | Reply:
    # RFC 5321 4.1.4: no refusing for what the name is. Windows machines send underscores and other alphabets; one
    # word of printable characters is all that a trace field needs.
    name = rest.strip(" ")
    if not name or " " in name or not name.isprintable() or len(name.encode()) > HELLO_OCTETS:
        verb = "EHLO" if extended else "HELO"
        return _syntax(f"{verb} needs one domain name or address literal")
    return Hello(extended, name)


def _mail(rest: str) -> Command | Reply:
    match = FROM.fullmatch(rest)
    if match is None:
        return _bad_path(rest, "FROM:", "MAIL FROM:<address>")
    bracketed, bare, parameters = match.groups()
    written = bare or bracketed
    sender = _address(written, "sender", "5.1.7") if written else ""
    if isinstance(sender, Reply):
        return sender
    mail = _mail_parameters(sender, parameters) if parameters else Mail(sender)
    if not written.isascii() and isinstance(mail, Mail) and not mail.smtputf8:
        return NON_ASCII
    return mail


def _mail_parameters(sender: str, parameters: str) -> Mail | Reply:
    """RFC 5321 4.1.2 Mail-parameters; one that is not offered is 555, one that is wrong 501."""
    size, body8bit, smtputf8 = 0, False, False
    seen = set()
    for parameter in parameters.split(" "):
        if not parameter:
            continue
        keyword, equals, value = parameter.partition("=")
        keyword = keyword.upper()
        if keyword in seen:
            return _syntax(f"parameter {keyword} is given twice")
        seen.add(keyword)
        if keyword == "SIZE":
            if SIZE_VALUE.fullmatch(value) is None:
                return _syntax("SIZE needs a number of at most 20 digits")
            size = int(value)
        elif keyword == "BODY":
            if value.upper() not in ("7BIT", "8BITMIME"):
                return _syntax("BODY is 7BIT or 8BITMIME")
            body8bit = value.upper() == "8BITMIME"
        elif keyword == "SMTPUTF8":
            if equals:
                return _syntax("SMTPUTF8 has no value")
            smtputf8 = True
        elif keyword == "AUTH":
            # RFC 4954 section 5: checked and put aside. Who may send is settled by the session's own AUTH.
            if XTEXT.fullmatch(value) is None:
                return _syntax("AUTH needs an address in xtext or <>")
        else:
            return _not_implemented(keyword)
    return Mail(sender, size, body8bit, smtputf8)


def _rcpt(rest: str) -> Command | Reply:
    match = TO.fullmatch(rest)
    if match is None:
        return _bad_path(rest, "TO:", "RCPT TO:<address>")
    bracketed, bare, parameters = match.groups()
    written = bare or bracketed
    if not written:
        return Reply(501, "5.1.3", "Bad recipient address: a recipient cannot be the null path")
    recipient = _address(written, "recipient", "5.1.3")
    if isinstance(recipient, Reply):
        return recipient
    if parameters:
        # No extension that is offered has parameters for RCPT.
        return _not_implemented(parameters.partition("=")[0].partition(" ")[0].upper())
    return Rcpt(recipient, written.isascii())


def _not_implemented(keyword: str) -> Reply:
    return Reply(555, "5.5.4", f"Parameter {keyword[:40]} is not recognized or not implemented")


def _address(written: str, what: str, bad: str) -> str | Reply:
    if written.startswith("@"):
        # RFC 5321 4.1.1.3 and appendix F.2: source routes are obsolete, and were a way to relay.
        return Reply(501, bad, f"Bad {what} address: source routes are not accepted")
    try:
        return address.parse(written)
    except address.BadAddress as error:
        return Reply(501, bad, f"Bad {what} address: {error}")


def _bad_path(rest: str, prefix: str, form: str) -> Reply:
    """What is wrong with an argument that is no prefix, path and parameters."""
    if rest[: len(prefix)].upper() != prefix:
        return _syntax(f"expected {form}")
    if PATH.match(rest, len(prefix)) is None:
        return _syntax(f"expected {form}, the address in angle brackets")
    return _syntax("expected a space between the path and its parameters")


def _auth(rest: str) -> Command | Reply:
    mechanism, _, initial = rest.strip(" ").partition(" ")
    mechanism = mechanism.upper()
    if MECHANISM.fullmatch(mechanism) is None:
        return _syntax("expected AUTH and a mechanism")
    if " " in initial:
        return _syntax("AUTH takes one initial response")
    return Auth(mechanism, initial or None)


def _bare(verb: str) -> Callable[[str], Command | Reply]:
    """A command that takes no argument (RFC 5321 4.1.1.4, 4.1.1.5, 4.1.1.10; RFC 3207 section 4)."""
    command = Plain(verb)
    refusal = _syntax(f"{verb} takes no argument")
    return lambda rest: refusal if rest else command


def _any(verb: str) -> Callable[[str], Command | Reply]:
    """A command whose argument is ignored (RFC 5321 4.1.1.8, 4.1.1.9)."""
    command = Plain(verb)
    return lambda rest: command


def _vrfy(rest: str) -> Command | Reply:
    return Plain("VRFY") if rest.strip(" ") else _syntax("VRFY needs a user or an address")


PLAIN: dict[bytes, Plain] = {verb.encode(): Plain(verb) for verb in ("DATA", "RSET", "NOOP", "QUIT", "STARTTLS")}

READERS: dict[bytes, Callable[[str], Command | Reply]] = {
    b"EHLO": _ehlo,
    b"HELO": _helo,
    b"MAIL": _mail,
    b"RCPT": _rcpt,
    b"DATA": _bare("DATA"),
    b"RSET": _bare("RSET"),
    b"QUIT": _bare("QUIT"),
    b"STARTTLS": _bare("STARTTLS"),
    b"NOOP": _any("NOOP"),
    b"HELP": _any("HELP"),
    b"VRFY": _vrfy,
    b"AUTH": _auth,
}
