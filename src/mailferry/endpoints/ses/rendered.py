"""What TestRender answers: the message that a template makes, as far as it is one without sender and recipients."""

import hashlib
import re

from mailferry.intake.render import Rendered
from mailferry.mail.compose import format_date
from mailferry.mail.encode import encode_field
from mailferry.mail.transfer import quoted_printable_text

#: RFC 5322 2.1.1, without CRLF.
_MAX_LINE = 998
_LINE_END = re.compile(r"\r\n|\r|\n")


def mime(rendered: Rendered, date_ms: int) -> str:
    """Every line ends in CRLF. Texts stand as they are where they may, so that people and tests can read them."""
    unique = hashlib.blake2b(f"{rendered.text}\0{rendered.html}".encode("utf-8", "replace"), digest_size=12).hexdigest()
    boundary = f"=_{unique}"
    given = (("plain", rendered.text), ("html", rendered.html))
    parts = [f"--{boundary}\r\n{_part(kind, text)}\r\n" for kind, text in given if text or kind == "plain"]
    subject = encode_field("Subject", rendered.subject).decode("ascii")
    return (
        f"Date: {format_date(date_ms)}\r\n{subject}MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n{"".join(parts)}--{boundary}--\r\n'
    )


def _part(kind: str, text: str) -> str:
    lines = _LINE_END.split(text)
    plain = text.isascii() and all(len(line) <= _MAX_LINE for line in lines)
    encoding = "7bit" if plain else "quoted-printable"
    body = "\r\n".join(lines) if plain else quoted_printable_text(text).decode("ascii")
    return f"Content-Type: text/{kind}; charset=UTF-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}"
