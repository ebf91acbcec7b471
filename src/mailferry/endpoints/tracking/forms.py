"""What a page's form, or a mailbox provider's one click, says; and what of a request is kept."""

import re

from starlette.requests import Request

from mailferry.endpoints.pages import fields, form_body

#: Characters kept of a user agent.
MOST_AGENT = 500
#: The field by which one click is told (RFC 8058 3.1).
ONE_CLICK = "List-Unsubscribe"
#: RFC 8058 3.2 allows multipart/form-data; one field of it is all there is. Each line is tried once and its beginning only:
#: searched for anywhere, 16 KiB that repeat these words cost seconds.
_PART = re.compile(
    rb'^content-disposition:[^\r\n]{0,200}?name="?List-Unsubscribe"?[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)',
    re.IGNORECASE | re.MULTILINE,
)


def printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:MOST_AGENT]


async def read_form(request: Request) -> dict[str, list[str]]:
    """Empty when it is none, or too large."""
    body = await form_body(request)
    if body is not None and request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        found = _PART.search(body)
        return {ONE_CLICK: [found[1].decode("latin-1")]} if found else {}
    return fields(body or b"")
