"""A message as a reader of mail sees it: decoded fields, text, HTML, attachments, and the tree of its parts.

For showing and checking whatever was caught: any octets are read, within the bounds of `lenient_parts`, and nothing is
raised. What had to be cut, mended or guessed is listed in `problems`. A large message takes time: see `header.is_large`.
Measured on one core (AMD EPYC, CPython 3.11): 10,000 parts 0.28 s; of 25 MB base64 0.2 s, quoted-printable 0.2 s, fifty
multiparts inside each other and lines like their delimiters 1.3 s, six million uuencoded lines 2.9 s.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mailferry.mail import charsets, lenient_parts, parameters, transfer_decoding, words
from mailferry.mail.address import BadAddress, Mailbox, parse_mailboxes
from mailferry.mail.header import Field
from mailferry.mail.lenient_parts import Problems
from mailferry.mail.parts import Part

LONGEST_LIST = 256 * 1024
"""Octets of an address field in which addresses are looked for."""

_LABEL = re.compile(rb"=\?([A-Za-z0-9_.:-]{1,64})[*?]")
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_ONE_LIKE_AN_ADDRESS = re.compile(r"[^\s<>,;:\"()]+@[^\s<>,;:\"()]+")
# Controls, and the marks that turn the direction of writing, by which "exe.gnp" is shown as "png.exe".
_NOT_IN_A_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class HeaderField:
    """`raw` is the whole field with its folding; `text` its value, unfolded and with encoded words decoded."""

    name: str
    raw: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Node:
    """A part. `path` is "1" for the message itself, "1.2" for its second part, and so on.

    `disposition` is "inline", "attachment" or another word, empty where nothing is said; `content_id` is without its
    angle brackets; `size` counts octets without transfer encoding; `charset` is the label of a text, as it came.
    `filename` has no control characters, and may have slashes: it is a name to show, not a path to write to.
    """

    path: str
    media: str
    charset: str
    filename: str
    disposition: str
    content_id: str
    encoding: str
    size: int
    headers: tuple[HeaderField, ...]
    children: tuple["Node", ...]
    is_multipart: bool
    _octets: tuple[bytes, int, int] = field(repr=False, compare=False)

    def content(self) -> bytes:
        """The octets without transfer encoding, made anew at each call; of a part that has parts, all as it came."""
        message, start, end = self._octets
        return transfer_decoding.decode(message[start:end], "" if self.children else self.encoding)[0]

    def walk(self) -> Iterator["Node"]:
        """This part and all inside it, in the order of the message."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Reading:
    """`text` and `html` are None where the message has no part of that kind to show."""

    tree: Node
    text: str | None
    html: str | None
    attachments: tuple[Node, ...]
    problems: tuple[str, ...]

    @property
    def headers(self) -> tuple[HeaderField, ...]:
        return self.tree.headers

    @property
    def subject(self) -> str:
        return self.header("Subject")

    @property
    def from_(self) -> str:
        return self.header("From")

    @property
    def to(self) -> str:
        return self.header("To")

    @property
    def cc(self) -> str:
        return self.header("Cc")

    @property
    def reply_to(self) -> str:
        return self.header("Reply-To")

    def header(self, name: str) -> str:
        """The decoded value of the first field of that name; empty when there is none."""
        return next((each.text for each in self.all(name)), "")

    def all(self, name: str) -> list[HeaderField]:
        name = name.lower()
        return [each for each in self.headers if each.name.lower() == name]

    def mailboxes(self, name: str) -> list[Mailbox]:
        """The addresses of all fields of that name, with decoded names. What is no address list is searched for some."""
        return [mailbox for each in self.all(name) for mailbox in _mailboxes(each)]


def read(raw: bytes) -> Reading:
    """Reads a whole message. Never raises."""
    problems = Problems()
    message = _with_crlf(raw, problems)
    tree = lenient_parts.read(message, problems)
    hints = _hints(tree)
    root = _Builder(message, hints, problems).node(tree, "1")
    shown = _Shown(problems, hints)
    shown.take(root)
    return Reading(
        root, shown.joined("text/plain"), shown.joined("text/html"), tuple(shown.attachments), tuple(problems)
    )


def _with_crlf(raw: bytes, problems: Problems) -> bytes:
    feeds, returns, pairs = raw.count(b"\n"), raw.count(b"\r"), raw.count(b"\r\n")
    if feeds > pairs:
        problems.tell("lines end in LF alone (RFC 5322 2.3); they are read as if they ended in CRLF")
        return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if returns and not feeds:
        problems.tell("lines end in CR alone (RFC 5322 2.3); they are read as if they ended in CRLF")
        return raw.replace(b"\r", b"\r\n")
    return raw


def _hints(tree: Part) -> tuple[str, ...]:
    """Charsets that a message names, the ones of its encoded words first: for what it does not name any for."""
    found: dict[str, None] = {}
    for each in tree.fields:
        for label in _LABEL.findall(each.raw):
            found[label.decode("ascii")] = None
    for part in tree.walk():
        if label := part.parameters.get("charset"):
            found[label] = None
        if len(found) > 20:
            break
    return tuple(found)


class _Builder:
    def __init__(self, message: bytes, hints: tuple[str, ...], problems: Problems) -> None:
        self.message = message
        self.hints = hints
        self.problems = problems

    def node(self, part: Part, path: str) -> Node:
        children = tuple([self.node(child, f"{path}.{number}") for number, child in enumerate(part.children, 1)])
        body = self.message[part.body_at : part.end]
        size = len(body)
        if not children:
            content, problem = transfer_decoding.decode(body, part.encoding)
            size = len(content)
            if problem:
                self.problems.tell(f"part {path}: {problem}")
        disposition = parameters.read(self._plain(_value(part.fields, b"content-disposition")))
        content_type = parameters.read(self._plain(_value(part.fields, b"content-type")))
        filename = disposition.parameters.get("filename") or content_type.parameters.get("name", "")
        return Node(
            path=path,
            media=part.media,
            charset=part.parameters.get("charset", ""),
            filename=_NOT_IN_A_NAME.sub("", words.decode(filename.encode("utf-8", "replace"))).strip(),
            disposition=disposition.value,
            content_id=self._text(_value(part.fields, b"content-id")).strip().removeprefix("<").removesuffix(">"),
            encoding=part.encoding,
            size=size,
            headers=tuple([self._field(each) for each in part.fields]),
            children=children,
            is_multipart=part.media.startswith("multipart/"),
            _octets=(self.message, part.body_at, part.end),
        )

    def _field(self, each: Field) -> HeaderField:
        return HeaderField(each.name.decode("ascii"), each.raw, self._text(each.value))

    def _text(self, value: bytes) -> str:
        return words.decode(self._plain(value))

    def _plain(self, value: bytes) -> bytes:
        """A raw value as UTF-8: eight-bit text that nobody labelled is in a charset that the message names elsewhere."""
        if value.isascii() and b"\x1b" not in value:
            return value
        text = charsets.read(value, "", self.hints)
        self.problems.tell(f"a header field holds octets that are not ASCII and not encoded; read as {text.charset}")
        return text.text.encode("utf-8", "replace")


class _Shown:
    """Which parts are shown, and which attached: RFC 8621 section 4.1.4, whose rules are those of most clients."""

    def __init__(self, problems: Problems, hints: tuple[str, ...]) -> None:
        self.problems = problems
        self.hints = hints
        self.texts: dict[str, list[str]] = {"text/plain": [], "text/html": []}
        self.attachments: list[Node] = []

    def take(self, node: Node, *, of: str = "", is_first: bool = True) -> None:
        if node.is_multipart and node.children:
            first = _start(node)
            for child in node.children:
                self.take(child, of=node.media, is_first=child is first)
        elif self._is_inline(node, of, is_first):
            self.texts["text/plain" if node.is_multipart else node.media].append(self._text(node))
        else:
            self.attachments.append(node)

    def _is_inline(self, node: Node, of: str, is_first: bool) -> bool:
        if node.disposition == "attachment":
            return False
        # A multipart without parts is shown as it came, rather than nothing.
        if node.media not in self.texts and not node.is_multipart:
            return False
        return is_first or (of != "multipart/related" and not node.filename)

    def _text(self, node: Node) -> str:
        octets = node.content()
        meta = _META.search(octets, 0, 4096) if node.media == "text/html" else None
        hints = (meta[1].decode("ascii"), *self.hints) if meta else self.hints
        text = charsets.read(octets, node.charset, hints)
        if text.problem:
            self.problems.tell(f"part {node.path}: {text.problem}")
        return text.text

    def joined(self, media: str) -> str | None:
        return "\r\n".join(self.texts[media]) if self.texts[media] else None


def _start(node: Node) -> Node:
    """RFC 2387 section 3.2: the part of a related whole that `start` names is the one to show; else it is the first."""
    if node.media == "multipart/related":
        value = next((each.raw for each in node.headers if each.name.lower() == "content-type"), b"")
        start = parameters.read(value.partition(b":")[2]).parameters.get("start", "").strip("<> ")
        for child in node.children:
            if start and child.content_id == start:
                return child
    return node.children[0]


def _value(fields: Sequence[Field], name: bytes) -> bytes:
    return next((each.value for each in fields if each.lower == name), b"")


def _mailboxes(each: HeaderField) -> list[Mailbox]:
    # Encoded words may spell a comma, so the value is taken apart first, in UTF-8 where it came as something else.
    raw = each.raw.partition(b":")[2][:LONGEST_LIST].replace(b"\r\n", b"").strip()
    value: str | bytes = raw if raw.isascii() and b"\x1b" not in raw else each.text
    try:
        return parse_mailboxes(value)
    except (BadAddress, RecursionError):
        return _searched(each.text[:LONGEST_LIST])


def _searched(text: str) -> list[Mailbox]:
    found: list[Mailbox] = []
    at = 0
    for match in _ONE_LIKE_AN_ADDRESS.finditer(text):
        name = text[at : match.start()].strip(" \t,;<\"'")
        found.append(Mailbox(match[0], " ".join(name.strip(">").split()).strip(" ,;\"'")))
        at = match.end()
    return found
