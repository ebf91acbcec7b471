"""The pages that a recipient sees. Plain HTML without scripts: a form is sent, and the answer is the next page."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from starlette.responses import HTMLResponse

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d9dfe7;--card:#fff;--page:#f4f6f9;--act:#1f5fbf}
@media(prefers-color-scheme:dark){:root{--ink:#e7ebf1;--soft:#a3adba;--line:#343d49;--card:#1b222b;--page:#11161c;--act:#6ea4f5}}
body{margin:0;padding:0 1rem;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:30rem;margin:12vh auto 2rem;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:12px}
h1{margin:0 0 .75rem;font-size:1.35rem}p{margin:0 0 1rem;overflow-wrap:anywhere}.soft{color:var(--soft);font-size:.9rem}
form{margin:0 0 1rem}label{display:flex;gap:.6rem;padding:.6rem 0;border-top:1px solid var(--line)}
input{width:1.1rem;height:1.1rem;margin:.2rem 0 0;flex:none}
button{font:inherit;padding:.6rem 1.2rem;border:1px solid var(--act);border-radius:8px;cursor:pointer}
button{background:var(--act);color:var(--card)}
button.quiet{background:transparent;color:var(--act)}a{color:var(--act)}:focus-visible{outline:2px solid var(--act);outline-offset:2px}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

#: Nothing is loaded and nothing runs; forms go to this page only, and nobody puts it into a frame to have it clicked.
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose page it is, and what it gets now. ``streams``: those that it unsubscribed from."""

    address: str
    domain: str
    stream: str
    streams: frozenset[str]
    opted_out: bool
    choices: str


def ask(reader: Reader) -> HTMLResponse:
    """Nothing has happened yet: link scanners open this page too."""
    if reader.streams:
        return done(reader)
    text = f"{_who(reader)} will get no more {_kind(reader.stream)} from {_strong(reader.domain)}."
    return _page("Unsubscribe?", f"<p>{text}</p>{_form('unsubscribe', 'Unsubscribe')}{_other(reader)}")


def done(reader: Reader) -> HTMLResponse:
    text = f"{_who(reader)} gets no more {_kind(_widest(reader))} from {_strong(reader.domain)}."
    undo = _form("resubscribe", "Undo: I want it after all", quiet=True)
    return _page("Unsubscribed", f"<p>{text}</p>{undo}{_other(reader)}")


def undone(reader: Reader) -> HTMLResponse:
    text = f"{_who(reader)} gets mail from {_strong(reader.domain)} again."
    return _page("Welcome back", f"<p>{text}</p>{_form('unsubscribe', 'Unsubscribe', quiet=True)}{_other(reader)}")


def choices(reader: Reader, *, saved: bool = False) -> HTMLResponse:
    boxes = (
        ("bulk", "Newsletters and announcements", not {"bulk", "any"} & reader.streams),
        ("transactional", "Messages about my account and orders", not {"transactional", "any"} & reader.streams),
        ("tracking", "The sender may see when I open a message and which links I follow", not reader.opted_out),
    )
    shown = "".join(_box(name, label, checked) for name, label, checked in boxes)
    notice = "<p><strong>Saved.</strong></p>" if saved else ""
    intro = f"<p>What {_who(reader)} gets from {_strong(reader.domain)}:</p>"
    return _page("Your choice", f"{notice}{intro}{_form('choose', 'Save', inside=shown)}")


def missing() -> HTMLResponse:
    text = "This link is damaged or not one of ours. Open it again from the message, whole."
    return _page("Nothing here", f"<p>{text}</p>", 404)


def blocked() -> HTMLResponse:
    """The operator has suspended the sender: its links lead nowhere any more, wherever they led."""
    return _page("Link disabled", "<p>The sender of this message is suspended, and its links are disabled.</p>", 410)


def odd() -> HTMLResponse:
    return _page("Nothing changed", "<p>The request did not say what to do. Open the link again.</p>", 400)


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    )
    return HTMLResponse(text, status, HEADERS)


def _form(action: str, label: str, *, quiet: bool = False, inside: str = "") -> str:
    look = ' class="quiet"' if quiet else ""
    return f'<form method="post">{inside}<p><button name="action" value="{action}"{look}>{label}</button></p></form>'


def _box(name: str, label: str, checked: bool) -> str:
    tick = " checked" if checked else ""
    return f'<label><input type="checkbox" name="want" value="{name}"{tick}><span>{label}</span></label>'


def _other(reader: Reader) -> str:
    return f'<p class="soft"><a href="{escape(reader.choices)}">Other choices</a></p>'


def _who(reader: Reader) -> str:
    return _strong(reader.address)


def _strong(text: str) -> str:
    return f"<strong>{escape(text)}</strong>"


def _widest(reader: Reader) -> str:
    both: Iterable[str] = ("bulk", "transactional")
    return "any" if "any" in reader.streams or reader.streams.issuperset(both) else reader.stream


def _kind(stream: str) -> str:
    return {"bulk": "newsletters and announcements", "transactional": "messages"}.get(stream, "mail at all")
