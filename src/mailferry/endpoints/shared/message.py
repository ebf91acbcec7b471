"""A shared message: what stands above its tabs, the tabs, and what is in those that show the message itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from mailferry.endpoints.shared import words
from mailferry.endpoints.shared.frame import Crumb, card, choice, facts, kept, table, tabs
from mailferry.mail.reading import Node, Reading
from mailferry.sandbox.checks.finding import Finding
from mailferry.sandbox.inbox import Caught
from mailferry.sandbox.preview import FRAME_SANDBOX, preview

#: Path -> what the tab is called, in the order in which they stand.
TABS: Mapping[str, str] = {
    "html": "HTML",
    "source": "HTML source",
    "text": "Text",
    "raw": "Raw",
    "headers": "Headers",
    "attachments": "Attachments",
    "spam": "Spam report",
    "check": "HTML check",
    "links": "Links",
    "tech": "Tech info",
}
#: Of a long text; the rest is in the message itself, which can be downloaded.
MOST_CHARACTERS = 500_000
MOST_LINES = 10_000
#: Of what a message may have ten thousand of.
MOST_ROWS = 500


@dataclass(frozen=True, slots=True)
class View:
    """How the preview is shown; in a query: ?dark=1&narrow=1&images=1."""

    dark: bool = False
    narrow: bool = False
    images: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "View":
        return cls(*(query.get(name) == "1" for name in ("dark", "narrow", "images")))

    def query(self) -> str:
        chosen = {name: "1" for name in ("dark", "narrow", "images") if getattr(self, name)}
        return f"?{urlencode(chosen)}" if chosen else ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is looked at. ``base`` is its path; ``crumbs`` lead to it."""

    caught: Caught
    base: str
    tab: str
    crumbs: Sequence[Crumb] = ()


def default_tab(caught: Caught) -> str:
    return "html" if caught.html_size or not caught.text_size else "text"


def framed(shown: Shown, content: str) -> str:
    """The content of a tab with all that stands above it."""
    caught = shown.caught
    sender = f"{caught.from_name} <{caught.from_email}>" if caught.from_name else caught.from_email
    to = f"{caught.to_name} <{caught.to_email}>" if caught.to_name else caught.to_email
    known = (("From", sender), ("To", to), ("Caught", f"{words.moment(caught.created_at)}, {words.size(caught.size)}"))
    head = f"<h1>{kept(words.subject(caught))}</h1>{facts(known)}"
    links = [(name, f"{shown.base}/{path}", path == shown.tab) for path, name in TABS.items()]
    return f'{card(head)}{tabs(links)}<div class="tab">{content}</div>'


# --- the tabs ------------------------------------------------------------------------------------------------------


def html(shown: Shown, reading: Reading, view: View) -> str:
    """The frame in which the preview is, and how it is to be shown."""
    made = preview(reading, dark=view.dark, images=view.images)
    if made is None:
        return card(f'<p>This message has no HTML. <a href="{kept(shown.base)}/text">Its text</a></p>')
    here = f"{shown.base}/html"

    def two(name: str, off: str, on: str) -> str:
        now = bool(getattr(view, name))
        options = [
            (said, here + replace(view, **{name: value}).query(), now is value)
            for said, value in ((off, False), (on, True))
        ]
        return choice(name, options)

    choices = (
        two("narrow", "Wide", "Narrow, 375 px")
        + two("dark", "Light", "Dark")
        + two("images", "Images off", "Images on")
    )
    classes = " ".join(name for name, chosen in (("narrow", view.narrow), ("dark", view.dark)) if chosen)
    frame = (
        f'<iframe class="{classes}" src="{kept(shown.base + "/preview" + view.query())}" sandbox="{FRAME_SANDBOX}" '
        'referrerpolicy="no-referrer" title="The message as a mail client shows it"></iframe>'
    )
    notes = [_of_images(made.remote, view.images), _of_missing(made.missing), _of_dark(made.has_dark_rules, view.dark)]
    said = "".join(f'<p class="soft">{note}</p>' for note in notes if note)
    return f'<div class="choices">{choices}</div><div class="stage">{frame}</div>{said}'


def source(shown: Shown, reading: Reading) -> str:
    if reading.html is None:
        return card("<p>This message has no HTML.</p>")
    lines = reading.html.split("\n")
    count, length, shown_lines = 0, 0, []
    for line in lines[:MOST_LINES]:
        if length + len(line) > MOST_CHARACTERS:
            shown_lines.append(line[: MOST_CHARACTERS - length])
            break
        shown_lines.append(line)
        length += len(line) + 1
        count += 1
    items = "".join(f'<li id="L{number}">{kept(line) or " "}</li>' for number, line in enumerate(shown_lines, 1))
    cut = _cut(shown) if count < len(lines) else ""
    return card(f'<ol class="code">{items}</ol>{cut}')


def text(shown: Shown, reading: Reading) -> str:
    return card(
        "<p>This message has no text beside its HTML.</p>" if reading.text is None else _pre(shown, reading.text)
    )


def raw(shown: Shown, message: bytes) -> str:
    found = message[: MOST_CHARACTERS + 1].decode("utf-8", "replace")
    button = f'<p><a class="button" href="{kept(shown.base)}/message.eml">Download as .eml</a></p>'
    return card(button + _pre(shown, found))


def headers(shown: Shown, reading: Reading, findings: Sequence[Finding]) -> str:
    rows = [(kept(each.name), kept(each.text[:MOST_CHARACTERS])) for each in reading.headers[:MOST_ROWS]]
    left = len(reading.headers) - len(rows)
    more = f"<p>{words.plural(left, 'more field')}.</p>" if left > 0 else ""
    return card(found(findings), "What the standards say") + card(table(("Name", "Value"), rows) + more, "Header")


def attachments(shown: Shown, reading: Reading) -> str:
    if not reading.attachments:
        return card("<p>This message has no attachments.</p>")
    numbered = list(enumerate(reading.attachments, 1))[:MOST_ROWS]
    rows = [_attachment_row(shown, number, node) for number, node in numbered]
    left = len(reading.attachments) - len(rows)
    more = f"<p>{words.plural(left, 'more attachment')}, which the raw message has.</p>" if left > 0 else ""
    return card(table(("Name", "Type", "Size", "Content-ID"), rows) + more)


def tech(shown: Shown, reading: Reading, more: str) -> str:
    caught = shown.caught
    known = [
        ("Came by", "SMTP" if caught.endpoint == "smtp" else "the API"),
        ("Client", caught.client_ip),
        ("Envelope sender", caught.envelope_from or ("<>" if caught.endpoint == "smtp" else "")),
        ("Envelope recipients", ", ".join(caught.envelope_to)),
        ("Category", caught.category),
        *((f"Variable {name}", str(value)) for name, value in caught.custom_variables.items()),
        ("Template", str(caught.template_id) if caught.template_id else ""),
        ("Size", f"{caught.size:,} octets"),
        ("Caught", words.moment(caught.created_at)),
        ("Number", str(caught.id)),
    ]
    nodes = list(reading.tree.walk())
    rows = [
        (kept(each.path), kept(each.media), kept(each.charset), words.size(each.size)) for each in nodes[:MOST_ROWS]
    ]
    left = len(nodes) - len(rows)
    parts = table(("Part", "Type", "Charset", "Size"), rows)
    parts += f"<p>{words.plural(left, 'more part')}.</p>" if left > 0 else ""
    mended = "".join(f"<li>{kept(each)}</li>" for each in reading.problems[:MOST_ROWS])
    told = card(f'<ul class="found">{mended}</ul>', "What had to be mended or guessed to read it") if mended else ""
    return card(facts(known)) + told + more + card(parts, "Parts")


# --- pieces --------------------------------------------------------------------------------------------------------


def found(findings: Iterable[Finding]) -> str:
    return '<ul class="found graded">{}</ul>'.format(
        "".join(
            f'<li><span class="mark {each.grade}">{each.grade.capitalize()}</span><span>{kept(each.sentence)} '
            f"<small>{kept(each.source)}</small></span></li>"
            for each in findings
        )
    )


def _pre(shown: Shown, content: str) -> str:
    cut = _cut(shown) if len(content) > MOST_CHARACTERS else ""
    return f"<pre>{kept(content[:MOST_CHARACTERS])}</pre>{cut}"


def _cut(shown: Shown) -> str:
    return f'<p class="soft">It goes on; <a href="{kept(shown.base)}/message.eml">the message as a file</a> has all of it.</p>'


def _attachment_row(shown: Shown, number: int, node: Node) -> tuple[str, str, str, str]:
    name = node.filename or f"attachment-{number}"
    link = f'<a href="{kept(shown.base)}/attachments/{number}" download>{kept(name)}</a>'
    return link, kept(node.media), words.size(node.size), kept(node.content_id)


def _of_images(remote: int, on: bool) -> str:
    if not remote:
        return ""
    if on:
        return "Images are fetched by your browser from where the mail says, who learn your address by it."
    return f"{words.plural(remote, 'image or style', 'images or styles')} from elsewhere {'is' if remote == 1 else 'are'} not loaded."


def _of_missing(missing: int) -> str:
    return f"{words.plural(missing, 'image')} that it names by Content-ID could not be put in." if missing else ""


def _of_dark(has_rules: bool, dark: bool) -> str:
    if not dark:
        return ""
    if has_rules:
        return "Dark, by the mail’s own rules for it."
    return "This mail says nothing about dark: its colours are inverted, as some clients do; others leave them as they are."
