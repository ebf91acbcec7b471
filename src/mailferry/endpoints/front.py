"""``GET /``: what somebody has found here who opens the API's address in a browser, or by curl without a path."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mailferry import __version__

_NAME = f"Mailferry {__version__}"
_WHAT = (
    "Self-hosted email delivery that speaks Mailtrap's API, Amazon SES's API and SMTP. "
    "This is its API; there is no dashboard to look at."
)
#: Paths, and what they are. Nothing of this installation: whoever finds the address may read it.
_PLACES = (
    ("/api/send, /api/batch", "send mail: POST, with a token (Authorization: Bearer TOKEN)"),
    (
        "/api/...",
        "Mailtrap's API: domains, templates, contacts, suppressions, webhooks, email logs, statistics, tokens",
    ),
    ("/api/docs", "Mailtrap's API, to read"),
    ("/api/openapi.json", "the same for programs (OpenAPI 3.1)"),
    ("/, /v2/email/...", "Amazon SES's API in both versions, signed with a key pair"),
    ("/health", "200 while all is well"),
)
#: Of these, the ones that a browser can open.
_OPEN = ("/api/docs", "/api/openapi.json", "/health")
_DOCS = "How to use it: README.md and the folder docs beside the program; on the server itself: mailferry --help"


def _place(path: str) -> str:
    return f'<a href="{path}"><code>{path}</code></a>' if path in _OPEN else f"<code>{path}</code>"


_TEXT = "\n".join([_NAME, _WHAT, "", *(f"  {path:<24}{what}" for path, what in _PLACES), "", _DOCS, ""])
_HTML = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{_NAME}</title>
<h1>{_NAME}</h1>
<p>{_WHAT}</p>
<dl>
{"".join(f"<dt>{_place(path)}</dt><dd>{what}</dd>" for path, what in _PLACES)}
</dl>
<p>{_DOCS}</p>
</html>
"""
_HEADERS = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Vary": "Accept"}


async def front(request: Request) -> Response:
    """HTML for browsers, text for who takes anything; a client of an API has lost its path, and is told so."""
    accepted = {each.partition(";")[0].strip().lower() for each in request.headers.get("accept", "*/*").split(",")}
    if "text/html" in accepted:
        return Response(_HTML, media_type="text/html", headers=_HEADERS)
    if accepted & {"*/*", "text/*", "text/plain"}:
        return Response(_TEXT, media_type="text/plain", headers=_HEADERS)
    raise HTTPException(404)
