"""What all pages for people share. Plain HTML without scripts: a form is sent, and the answer is the next page."""

import base64
import hashlib
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse

#: Octets of a form. Those of mailbox providers have thirty.
MOST_FORM = 16 * 1024

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d9dfe7;--card:#fff;--page:#f4f6f9;--act:#1f5fbf}
@media(prefers-color-scheme:dark){:root{--ink:#e7ebf1;--soft:#a3adba;--line:#343d49;--card:#1b222b;--page:#11161c;--act:#6ea4f5}}
body{margin:0;padding:0 1rem;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:30rem;margin:12vh auto 2rem;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:12px}
h1{margin:0 0 .75rem;font-size:1.35rem}p{margin:0 0 1rem;overflow-wrap:anywhere}.soft{color:var(--soft);font-size:.9rem}
form{margin:0 0 1rem}label{display:flex;gap:.6rem;padding:.6rem 0;border-top:1px solid var(--line)}
input{width:1.1rem;height:1.1rem;margin:.2rem 0 0;flex:none}
label.field{display:block;padding:0 0 1rem;border:0}.field input{display:block;box-sizing:border-box;width:100%;height:auto}
.field input{font:inherit;padding:.5rem;border:1px solid var(--line);border-radius:8px;background:var(--page);color:var(--ink)}
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


def page(title: str, body: str, status: int = 200) -> HTMLResponse:
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    )
    return HTMLResponse(text, status, HEADERS)


def strong(text: str) -> str:
    return f"<strong>{escape(text)}</strong>"


async def form_body(request: Request) -> bytes | None:
    """None when it is too large for a form."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_FORM:
            return None
    return body


def fields(body: bytes) -> dict[str, list[str]]:
    """Of application/x-www-form-urlencoded; empty when it is none, or not in UTF-8."""
    try:
        return parse_qs(body.decode("ascii"), max_num_fields=20, errors="strict")
    except ValueError:
        return {}
