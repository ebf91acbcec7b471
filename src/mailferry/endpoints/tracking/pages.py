"""The pages that a recipient sees. Plain HTML without scripts: a form is sent, and the answer is the next page."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from starlette.responses import HTMLResponse

from mailferry.endpoints.pages import page, strong


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose page it is, and what it gets now. ``streams``: those that it unsubscribed from."""

    address: str
    domain: str
    stream: str
    streams: frozenset[str]
    opted_out: bool
    choices: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One topic of a contact list."""

    value: str
    label: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Whose page it is, of which topic (empty: the whole list), and whether it gets that now."""

    address: str
    domain: str
    topic: str
    wanted: bool
    choices: tuple[Choice, ...]


def ask(reader: Reader) -> HTMLResponse:
    """Nothing has happened yet: link scanners open this page too."""
    if reader.streams:
        return done(reader)
    text = f"{_who(reader)} will get no more {_kind(reader.stream)} from {strong(reader.domain)}."
    return page("Unsubscribe?", f"<p>{text}</p>{_form('unsubscribe', 'Unsubscribe')}{_other(reader)}")


def done(reader: Reader) -> HTMLResponse:
    text = f"{_who(reader)} gets no more {_kind(_widest(reader))} from {strong(reader.domain)}."
    undo = _form("resubscribe", "Undo: I want it after all", quiet=True)
    return page("Unsubscribed", f"<p>{text}</p>{undo}{_other(reader)}")


def undone(reader: Reader) -> HTMLResponse:
    text = f"{_who(reader)} gets mail from {strong(reader.domain)} again."
    return page("Welcome back", f"<p>{text}</p>{_form('unsubscribe', 'Unsubscribe', quiet=True)}{_other(reader)}")


def choices(reader: Reader, *, saved: bool = False) -> HTMLResponse:
    boxes = (
        ("bulk", "Newsletters and announcements", not {"bulk", "any"} & reader.streams),
        ("transactional", "Messages about my account and orders", not {"transactional", "any"} & reader.streams),
        ("tracking", "The sender may see when I open a message and which links I follow", not reader.opted_out),
    )
    shown = "".join(_box(name, label, checked) for name, label, checked in boxes)
    notice = "<p><strong>Saved.</strong></p>" if saved else ""
    intro = f"<p>What {_who(reader)} gets from {strong(reader.domain)}:</p>"
    return page("Your choice", f"{notice}{intro}{_form('choose', 'Save', inside=shown)}")


def topics(reader: Subscriber, *, saved: bool = False) -> HTMLResponse:
    """What somebody gets of a contact list. Nothing has happened yet, unless ``saved``."""
    what = escape(reader.topic or "newsletters and announcements")
    who, sender = strong(reader.address), strong(reader.domain)
    boxes = "".join(_box(each.value, each.label, each.wanted) for each in reader.choices)
    others = _form("choose", "Save", quiet=True, inside=boxes) + _form("unsubscribe_all", "Stop all of it", quiet=True)
    rest = f'<h2 class="soft">Other choices</h2>{others}' if boxes else ""
    if reader.wanted and not saved:
        text = f"<p>{who} will get no more {what} from {sender}.</p>"
        return page("Unsubscribe?", f"{text}{_form('unsubscribe', 'Unsubscribe')}{rest}")
    gets = "gets" if reader.wanted else "gets no more"
    return page("Saved" if reader.wanted else "Unsubscribed", f"<p>{who} {gets} {what} from {sender}.</p>{rest}")


def missing() -> HTMLResponse:
    text = "This link is damaged or not one of ours. Open it again from the message, whole."
    return page("Nothing here", f"<p>{text}</p>", 404)


def blocked() -> HTMLResponse:
    """The operator has suspended the sender: its links lead nowhere any more, wherever they led."""
    return page("Link disabled", "<p>The sender of this message is suspended, and its links are disabled.</p>", 410)


def odd() -> HTMLResponse:
    return page("Nothing changed", "<p>The request did not say what to do. Open the link again.</p>", 400)


def _form(action: str, label: str, *, quiet: bool = False, inside: str = "") -> str:
    look = ' class="quiet"' if quiet else ""
    return f'<form method="post">{inside}<p><button name="action" value="{action}"{look}>{label}</button></p></form>'


def _box(name: str, label: str, checked: bool) -> str:
    tick = " checked" if checked else ""
    return f'<label><input type="checkbox" name="want" value="{name}"{tick}><span>{escape(label)}</span></label>'


def _other(reader: Reader) -> str:
    return f'<p class="soft"><a href="{escape(reader.choices)}">Other choices</a></p>'


def _who(reader: Reader) -> str:
    return strong(reader.address)


def _widest(reader: Reader) -> str:
    both: Iterable[str] = ("bulk", "transactional")
    return "any" if "any" in reader.streams or reader.streams.issuperset(both) else reader.stream


def _kind(stream: str) -> str:
    return {"bulk": "newsletters and announcements", "transactional": "messages"}.get(stream, "mail at all")
