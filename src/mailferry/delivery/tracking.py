"""What of a message is made for each of its recipients: links that know who clicked, a pixel, an unsubscribe link.

``plan`` says what a domain and a stream ask for, ``outline`` finds in a message once where that goes, and the outline
writes the message of one recipient. Signed and encrypted parts, attachments and attached messages are never edited.
"""

import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape

from mailferry.delivery.job import Job
from mailferry.mail import links, parameters, parts, structure, tracking
from mailferry.mail.encode import encode_field
from mailferry.mail.header import Field
from mailferry.mail.links import Kind, Link
from mailferry.mail.parts import Part
from mailferry.mail.tracking import Edit, What, Wishes
from mailferry.mail.transfer import base64_lines, quoted_printable
from mailferry.resources.domains import Domain
from mailferry.resources.tracking_hosts import custom_host

PATH = "/t/"
_READABLE = frozenset(("", "7bit", "8bit", "binary", "quoted-printable", "base64"))
#: Amazon's: placeholders of a contact list that are replaced in one message.
MOST_LISTED = 2
_ODD = re.compile(r"[^A-Za-z0-9_.-]+")

_STYLE = "font-family:Helvetica,Arial,sans-serif;font-size:12px;color:#666;text-align:center;margin:32px 0 24px"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done to the mail of a domain in one stream. ``base`` is what links begin with, without a final slash."""

    base: str
    opens: bool
    clicks: bool
    #: Header fields, and a footer where the sender has put no link of its own.
    unsubscribe: bool
    #: A link to say no to being followed.
    opt_out: bool
    #: It is sent to a contact list and to this recipient alone, who may say no to it.
    listed: bool = False

    @property
    def follows(self) -> bool:
        return self.opens or self.clicks


class Tracker:
    """``url`` is where readers reach us, "" when nobody said so: then only the simulator's mail has links, to ``local``.

    ``scheme_of`` says how a domain's own tracking host is reached, "" when it is not.
    """

    def __init__(
        self,
        key: links.Key,
        *,
        url: str,
        local: str,
        scheme_of: Callable[[str], str],
        simulated: Callable[[str], bool],
    ) -> None:
        self.key = key
        self._url = url.rstrip("/")
        self._local = local.rstrip("/")
        self._scheme_of = scheme_of
        self._simulated = simulated

    def plan(self, domain: Domain, job: Job) -> Plan | None:
        """None: the message leaves as it came."""
        if job.endpoint == "system":
            return None
        base = self._base(domain, job)
        if not base:
            return None
        opens = domain.open_tracking_enabled or job.terms.opens
        clicks = domain.click_tracking_enabled or job.terms.clicks
        return Plan(
            base,
            opens=opens,
            clicks=clicks,
            unsubscribe=job.stream == "bulk" or domain.auto_unsubscribe_link_enabled,
            opt_out=(opens or clicks) and domain.tracking_opt_out_enabled,
            listed=job.terms.topic_id is not None,
        )

    def _base(self, domain: Domain, job: Job) -> str:
        asked, https = job.terms.links_host, job.terms.links_https
        if asked and (scheme := self._scheme_of(asked)) and (scheme == "https" or not https):
            return f"{scheme}://{asked}"
        if (host := custom_host(domain)) and (scheme := self._scheme_of(host)):
            return f"{scheme}://{host}"
        return self._url or (self._local if self._simulated(job.address) else "")


@dataclass(frozen=True, slots=True)
class _Text:
    """A text of the message: its octets decoded, and how they are written again."""

    octets: bytes
    html: bool
    encoding: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class _Offers:
    """What the footer holds: links that the sender has not put into the message."""

    unsubscribe: bool = False
    opt_out: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """A message, but for what differs from recipient to recipient."""

    plan: Plan
    pieces: tuple[bytes | _Text, ...]
    offers: "_Offers"

    def write(self, job: Job, key: links.Key, *, follow: bool) -> tuple[bytes, list[Field]]:
        """The recipient's message, and the fields that its header gains where it has none of them.

        ``follow``: whether this recipient's opens and clicks may be followed.
        """
        urls = _Urls(self.plan, job, key)
        octets = [piece if isinstance(piece, bytes) else self._text(piece, urls, follow) for piece in self.pieces]
        return b"".join(octets), _fields(job, urls, self.plan)

    def _text(self, text: _Text, urls: "_Urls", follow: bool) -> bytes:
        def write(edit: Edit) -> bytes:
            match edit.what:
                case What.CLICK:
                    return urls.click(edit.url, edit.tags) if follow else text.octets[edit.start : edit.end]
                case What.PIXEL:
                    return urls.pixel() if follow else b""
                case What.UNSUBSCRIBE | What.LIST_UNSUBSCRIBE:
                    return urls.unsubscribe
                case What.OPT_OUT:
                    return urls.opt_out
                case What.FOOTER:
                    return self._footer(text, urls)
                case What.SPENT:
                    return b""

        return _encoded(text.encoding, tracking.fill(text.octets, text.edits, write))

    def _footer(self, text: _Text, urls: "_Urls") -> bytes:
        lines = [("Unsubscribe", urls.unsubscribe)] if self.offers.unsubscribe else []
        if self.offers.opt_out:
            lines.append(("Do not track what I open and click", urls.opt_out))
        if text.html:
            shown = " &middot; ".join(f'<a href="{escape(url.decode())}">{label}</a>' for label, url in lines)
            return f'<p style="{_STYLE}">{shown}</p>'.encode()
        gap = "\r\n" if not text.octets or text.octets.endswith(b"\n") else "\r\n\r\n"
        return (gap + "".join(f"{label}: {url.decode()}\r\n" for label, url in lines)).encode()


def outline(message: bytes, plan: Plan) -> Outline | None:
    """None: nothing in it is anybody's own. Its header must be one that can be read."""
    links_it = plan.unsubscribe or plan.listed
    if not links_it and not plan.opt_out and not _may_matter(message, plan):
        return None
    try:
        tree = parts.read(message)
    except parts.TooManyParts:
        tree = None
    texts, offers = ([], _Offers()) if tree is None else _texts(message, tree, plan)
    if not texts and not links_it:
        return None
    pieces: list[bytes | _Text] = []
    at = 0
    for part, text in texts:
        head = message[part.start : part.body_at]
        if text.encoding != part.encoding:
            head = _relabelled(part, text.encoding)
        pieces += (message[at : part.start] + head, text)
        at = part.end
    pieces.append(message[at:])
    return Outline(plan, tuple(pieces), offers)


# --- what is found in a message ------------------------------------------------------------------------------------


def _may_matter(message: bytes, plan: Plan) -> bool:
    """A few scans spare most messages the reading of their parts."""
    if tracking.may_hold_placeholder(message):
        return True
    folded = message.lower()
    return (plan.follows and b"html" in folded) or b"base64" in folded


def _texts(message: bytes, tree: Part, plan: Plan) -> tuple[list[tuple[Part, _Text]], _Offers]:
    """The texts that need an edit, and what their footer offers."""
    if any(part.media in structure.SEALED for part in tree.walk()):
        return [], _Offers()
    found = []
    for part in _leaves(tree):
        html = part.media == "text/html"
        wanted = (html and plan.follows) or plan.unsubscribe or plan.opt_out or plan.listed
        octets = _decoded(message, part, wanted=wanted)
        if octets is not None and not structure.has_pgp(octets):
            found.append((part, octets))
    offers = _Offers(
        plan.unsubscribe and not any(_has_unsubscribe(octets, plan) for _, octets in found),
        # In a message without HTML there is nothing to follow.
        plan.opt_out
        and any(part.media == "text/html" for part, _ in found)
        and not any(tracking.has_placeholder(octets, tracking.OPT_OUT) for _, octets in found),
    )
    missing = offers.unsubscribe or offers.opt_out
    texts, seen, listed = [], set(), 0
    for part, octets in found:
        html = part.media == "text/html"
        # One footer and one pixel, however many texts there are.
        first = html not in seen
        seen.add(html)
        if html:
            wishes = Wishes(plan.opens and first, plan.clicks, missing and first, plan.listed)
            edits = tracking.html_edits(octets, _charset(part), wishes, plan.base + PATH)
        else:
            edits = tracking.text_edits(octets, footer=missing and first, listed=plan.listed)
        edits, listed = _first_two(edits, listed)
        if edits:
            texts.append((part, _Text(octets, html, _encoding(part, octets), edits)))
    return texts, offers


def _has_unsubscribe(octets: bytes, plan: Plan) -> bool:
    listed = plan.listed and tracking.has_placeholder(octets, tracking.LIST_UNSUBSCRIBE)
    return listed or tracking.has_placeholder(octets, tracking.UNSUBSCRIBE)


def _first_two(edits: tuple[Edit, ...], before: int) -> tuple[tuple[Edit, ...], int]:
    """Of a message's placeholders of contact lists only so many are replaced, as at Amazon; with how many those are now."""
    kept = []
    for edit in edits:
        if edit.what is What.LIST_UNSUBSCRIBE:
            before += 1
            if before > MOST_LISTED:
                continue
        kept.append(edit)
    return tuple(kept), before


def _leaves(part: Part) -> Iterator[Part]:
    """Texts that a reader is shown, in the order of the message."""
    if part.media.startswith("multipart/"):
        for child in part.children:
            yield from _leaves(child)
    elif part.media in ("text/html", "text/plain") and part.encoding in _READABLE and not _is_file(part):
        # Where ASCII is something else, markup cannot be found.
        yield from [part] if tracking.holds_ascii(_charset(part)) else []


def _charset(part: Part) -> str:
    # RFC 2046 4.1.2 says US-ASCII; what is not ASCII then is UTF-8 today.
    charset = part.parameters.get("charset", "utf-8").strip().lower()
    return "utf-8" if charset == "us-ascii" else charset


def _is_file(part: Part) -> bool:
    for field in part.fields:
        if field.lower == b"content-disposition":
            found = parameters.read(field.value)
            return found.value == "attachment" or "filename" in found.parameters
    return False


def _decoded(message: bytes, part: Part, *, wanted: bool) -> bytes | None:
    """None: nothing is to be done there, or the text cannot be read. Without ``wanted`` only a placeholder is looked for."""
    body = message[part.body_at : part.end]
    if not wanted and part.encoding != "base64" and not tracking.may_hold_placeholder(body):
        return None
    try:
        if part.encoding == "base64":
            body = binascii.a2b_base64(body)
        elif part.encoding == "quoted-printable":
            body = binascii.a2b_qp(body)
    except binascii.Error:
        return None
    return body if wanted or tracking.has_placeholder(body) else None


def _encoding(part: Part, octets: bytes) -> str:
    """As it was; quoted-printable that hides bare line feeds would lose them if it were written again."""
    if part.encoding == "quoted-printable" and not structure.has_only_crlf(octets):
        return "base64"
    return part.encoding


def _encoded(encoding: str, octets: bytes) -> bytes:
    if encoding == "base64":
        return base64_lines(octets)
    return quoted_printable(octets) if encoding == "quoted-printable" else octets


def _relabelled(part: Part, encoding: str) -> bytes:
    label = f"Content-Transfer-Encoding: {encoding}\r\n".encode()
    kept = [field.raw for field in part.fields if field.lower != b"content-transfer-encoding"]
    return b"".join([*kept, label, b"\r\n"])


# --- what one recipient gets ---------------------------------------------------------------------------------------


class _Urls:
    """The links of one recipient."""

    def __init__(self, plan: Plan, job: Job, key: links.Key) -> None:
        self._base = plan.base + PATH
        self._job = job
        self._key = key
        choice = Link(job.domain_id, job.recipient_id, stream=job.stream, address=job.address)
        token = links.make(Kind.CHOICE, choice, key)
        self.unsubscribe = f"{self._base}u/{token}".encode()
        if plan.listed:
            topic = Link(job.domain_id, job.recipient_id, address=job.address, topic_id=job.terms.topic_id or 0)
            self.unsubscribe = f"{self._base}l/{links.make(Kind.TOPIC, topic, key)}".encode()
        self.opt_out = f"{self._base}p/{token}".encode()

    def click(self, url: str, tags: str) -> bytes:
        link = Link(self._job.domain_id, self._job.recipient_id, url=url, tags=tags)
        return f"{self._base}c/{links.make(Kind.CLICK, link, self._key)}".encode()

    def pixel(self) -> bytes:
        token = links.make(Kind.OPEN, Link(self._job.domain_id, self._job.recipient_id), self._key)
        return f'<img src="{self._base}o/{token}.gif" width="1" height="1" alt="" />'.encode()


def _fields(job: Job, urls: _Urls, plan: Plan) -> list[Field]:
    """RFC 2369, RFC 8058 (one click), and what Gmail's feedback loop tells campaigns apart by."""
    campaign = _ODD.sub("-", job.category)[:40] or "none"
    values = []
    if plan.unsubscribe or plan.listed:
        values += [
            ("List-Unsubscribe", f"<{urls.unsubscribe.decode()}>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ]
    if plan.unsubscribe:
        values += [
            ("Precedence", "bulk"),
            ("Feedback-ID", f"{campaign}:{job.domain_id}:{job.stream}:mailferry"),
        ]
    return [Field(name.encode(), encode_field(name, value)) for name, value in values]
