"""What a message demands of the way, and the change to seven bits for a peer without 8BITMIME (RFC 6152, RFC 2045)."""

import binascii
from dataclasses import dataclass

from mailferry.mail.parts import Part, TooManyParts, read
from mailferry.mail.transfer import base64_lines, cut, cut_lines, quoted_printable

MAX_LINE = 998
"""RFC 5321 section 4.5.3.1.6: octets in a line without its CRLF."""

# RFC 1847, RFC 8551: one octet changed, and the signature is void.
SEALED = frozenset({"multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"})
# RFC 2046 sections 5.2.2 and 5.2.3: these may only be seven-bit, so that there is nothing to change them into.
_SEVEN_BIT_LEAVES = frozenset({"message/partial", "message/external-body"})
_OPAQUE = frozenset({"x-uuencode", "uuencode", "x-uue", "uue", "x-yenc", "x-binhex40", "mac-binhex40"})

_PGP = b"-----BEGIN PGP "


def has_pgp(body: bytes) -> bool:
    """Whether some of a text is signed or encrypted in itself (inline PGP, RFC 9580 section 6.2)."""
    return body.startswith(_PGP) or b"\n" + _PGP in body


_NO_EIGHT_BIT = bytes(range(0x80)) + b"?" * 0x80
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))


@dataclass(frozen=True, slots=True)
class Needs:
    """`eight_bit`: the body needs 8BITMIME; `utf8_headers`: the header needs SMTPUTF8; `long_lines`: a line, of
    header or body, has more than 998 octets and needs a transfer encoding."""

    eight_bit: bool
    utf8_headers: bool
    long_lines: bool


class CannotDowngrade(ValueError):
    """The message cannot become seven-bit without a change to what its sender sealed, or at all (5.6.3)."""


class HeaderNotAscii(CannotDowngrade):
    """A header of the message or of one of its parts is not ASCII: it needs SMTPUTF8 (5.6.7)."""


def needs(message: bytes) -> Needs:
    """What a peer must be able to do for this message, by one scan (three where it is not ASCII)."""
    long_lines = _has_long_line(message)
    if message.isascii():
        return Needs(eight_bit=False, utf8_headers=False, long_lines=long_lines)
    head_end = 0 if message.startswith(b"\r\n") else message.find(b"\r\n\r\n")
    if head_end < 0:
        head_end = len(message)
    return Needs(
        eight_bit=not message[head_end:].isascii(),
        utf8_headers=not message[:head_end].isascii(),
        long_lines=long_lines,
    )


def _has_long_line(octets: bytes) -> bool:
    # From where the longest allowed line would end it looks back: a thousand octets cost one short search.
    start = 0
    while len(octets) - start > MAX_LINE:
        found = octets.rfind(b"\n", start, start + MAX_LINE + 2)
        if found < 0:
            return True
        start = found + 1
    return False


def downgrade(message: bytes) -> bytes:
    """The same content in seven bits: text parts as quoted-printable, others as base64, only where octets demand it.

    Parts with lines of more than 998 octets change too. Labels of 8bit and binary become true; all other octets stay.
    Octets in a preamble or epilogue, which nobody is shown (RFC 2046 section 5.1.1), become question marks.
    Raises `CannotDowngrade` for what is signed or encrypted (S/MIME, PGP/MIME, inline PGP), for a header that is not
    ASCII, and for a container that cannot be read.
    """
    try:
        tree = read(message)
    except TooManyParts as error:
        raise CannotDowngrade(str(error)) from error
    return _Downgrade(message).part(tree, is_message=True)


class _Downgrade:
    def __init__(self, message: bytes) -> None:
        self.message = message

    def part(self, part: Part, *, is_message: bool) -> bytes:
        """`is_message`: the part is a message of its own (the whole, or inside message/rfc822), not a body part."""
        if not self.message[part.start : part.body_at].isascii():
            raise HeaderNotAscii("a header field is not ASCII")
        body = self.message[part.body_at : part.end]
        is_clean = body.isascii() and not _has_long_line(body)
        if part.media in SEALED:
            if is_clean:
                return self.message[part.start : part.end]
            raise CannotDowngrade(f"a part of type {part.media} must not be changed")
        if part.children:
            return self._container(part)
        if is_clean:
            return self._head(part, _true_label(part)) + body
        _check_encodable(part, body)
        label, encoded = _encode(part, body)
        return self._head(part, label, missing=_missing(part, body) if is_message else b"") + encoded

    def _container(self, part: Part) -> bytes:
        out = [self._head(part, _true_label(part))]
        at = part.body_at
        for child in part.children:
            # Preamble, delimiters and epilogue lie between parts. A delimiter is ASCII, as the header that names it.
            out.append(self.message[at : child.start].translate(_NO_EIGHT_BIT))
            out.append(self.part(child, is_message=part.media.startswith("message/")))
            at = child.end
        out.append(self.message[at : part.end].translate(_NO_EIGHT_BIT))
        return b"".join(out)

    def _head(self, part: Part, label: str, *, missing: bytes = b"") -> bytes:
        """The header with its transfer encoding set to `label` ("" leaves all as it is), and the blank line."""
        if not label:
            return self.message[part.start : part.body_at]
        out: list[bytes] = []
        new = f"Content-Transfer-Encoding: {label}\r\n".encode()
        for field in part.fields:
            if field.lower != b"content-transfer-encoding":
                out.append(field.raw)
            elif new:  # a second one would make readers disagree
                out.append(new)
                new = b""
        return b"".join([*out, missing, new, b"\r\n"])


def _true_label(part: Part) -> str:
    return "7bit" if part.encoding in ("8bit", "binary") else ""


def _missing(part: Part, body: bytes) -> bytes:
    """What a message must say so that a transfer encoding is understood (RFC 2045 section 4)."""
    names = {field.lower for field in part.fields}
    fields = b"" if b"mime-version" in names else b"MIME-Version: 1.0\r\n"
    if b"content-type" in names:
        return fields
    try:
        body.decode()
        charset = b"utf-8"
    except UnicodeDecodeError:
        charset = b"unknown-8bit"  # RFC 1428 section 3
    return fields + b"Content-Type: text/plain; charset=" + charset + b"\r\n"


def _check_encodable(part: Part, body: bytes) -> None:
    if part.is_container:  # RFC 2045 section 6.4: it has no transfer encoding of its own that could be changed
        raise CannotDowngrade(f"a part of type {part.media} holds no parts that can be read")
    if part.media in _SEVEN_BIT_LEAVES or part.encoding in _OPAQUE:
        raise CannotDowngrade(f"a part of type {part.media} in encoding {part.encoding or 'none'} cannot be encoded")
    if has_pgp(body):
        raise CannotDowngrade("a part with inline PGP must not be changed")


def has_only_crlf(octets: bytes) -> bool:
    """No CR and no LF stands alone: what quoted-printable text can hold."""
    return octets.count(b"\r\n") == octets.count(b"\r") == octets.count(b"\n")


def _encode(part: Part, body: bytes) -> tuple[str, bytes]:
    if part.encoding == "base64":
        # RFC 2045 section 6.8: readers skip what is outside the alphabet, line ends too.
        return "base64", cut_lines(body.translate(None, _NOT_BASE64))
    if part.encoding == "quoted-printable":
        body = binascii.a2b_qp(body)
    # An unknown encoding is read as none by all readers that show the part at all.
    if part.media.startswith("text/") and all(map(has_only_crlf, cut(body, b"\n", b"\r"))):
        return "quoted-printable", quoted_printable(body)
    return "base64", base64_lines(body)
