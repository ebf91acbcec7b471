"""The HTML of a mail as a page that is safe to open in a browser, close to what a mail client shows.

What the page may do is said by its Content-Security-Policy, which must be sent with it (`policy`): nothing runs, nothing is
loaded, no form is sent, whatever the mail says. The text itself is changed in a few places, each of which is found wherever
a browser could find it, since no parse is relied on: what no policy can forbid (`_HOLES`), the mail's own images, and
which colours are asked for. Everything else stays as it was written, so faults of a mail can be seen.

Measured on one core (AMD EPYC, CPython 3.11): 100 KB 2 ms, 25 MB of HTML 0.3 s, with half a million links 2 s.
"""

import base64
import html as entities
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from mailferry.mail.reading import Node, Reading

MAX_INLINED = 32 * 1024 * 1024
"""Octets of images in one page, as base64. A mail can name its largest image a hundred thousand times."""

_SANDBOX = "sandbox allow-popups allow-popups-to-escape-sandbox"
_POLICY = (
    f"{_SANDBOX}; default-src 'none'; style-src 'unsafe-inline'; img-src {{images}}; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
FRAME_SANDBOX = _SANDBOX.partition(" ")[2]
"""The same for the `sandbox` attribute of a frame that shows it: links open pages of their own, and that is all."""

# A browser takes a name for an element's only where it stands behind a `<` without a gap (HTML 13.2.5.6).
_NAMES = re.compile(
    r"<(/?)(link|base|meta|a|area|img|iframe|frame|object|embed|portal|fencedframe)(?=[\s/>])", re.IGNORECASE
)
# What fetches, redirects or tells although the policy says no: <link> (preconnect, dns-prefetch), <base> (target), <meta>
# (referrer, refresh, dns-prefetch-control), and frames: Chromium connects to where one leads before it asks the policy.
# <basefont> is parsed as the empty ones are, in the same places, and does nothing; what is in a template is not there.
_INSTEAD = dict.fromkeys(("link", "base", "meta", "frame", "embed"), "basefont")
_INSTEAD |= dict.fromkeys(("object", "portal", "fencedframe"), "span") | {"iframe": "template"}
# Of two attributes with one name the first counts (HTML 13.2.5.33), so these stand before what the mail says.
_SAYS = {
    "a": ' target="_blank" rel="noopener noreferrer" referrerpolicy="no-referrer" ping=""',
    "area": ' target="_blank" rel="noopener noreferrer" referrerpolicy="no-referrer" ping=""',
    "img": ' referrerpolicy="no-referrer"',
}

_CID = re.compile(r"(?<=[\"'(=\s])cid:([^\s\"'<>()]{1,1000})", re.IGNORECASE)
_SHOWABLE = re.compile(r"image/[a-z0-9.+-]{1,60}|application/octet-stream")

#: Characters in which it is counted what lies elsewhere, and looked for rules for dark.
MAX_LOOKED = 1_000_000
_REMOTE = re.compile(
    r"(?:\b(?:src|srcset|background|poster)\s*+=\s*+[\"']?+|url\(\s*+[\"']?+|@import\s*+[\"'])\s*+(?:https?:)?//",
    re.IGNORECASE,
)
_DARK_RULES = re.compile(
    r"prefers-color-scheme\s*+:\s*+dark|color-schemes?[\"']?(?:\s*+:|\s++content\s*+=)[^;}>]{0,60}dark", re.IGNORECASE
)
_ASKS_SCHEME = re.compile(r"\(\s*+prefers-color-scheme\s*+:\s*+(dark|light|no-preference)\s*+\)", re.IGNORECASE)
_DOCTYPE = re.compile(r"[\s\ufeff]{0,1000}<!doctype[^>]{0,1000}>", re.IGNORECASE)
_TRUE, _FALSE = "(min-width:0px)", "(max-width:0px)"

_VIEWPORT = '<meta name="viewport" content="width=device-width,initial-scale=1">'
# What is important in a layer wins over what the mail calls important.
_SCHEME = "<style>@layer mf{{:root{{color-scheme:{}!important}}}}</style>"
_TURN = "filter:invert(1) hue-rotate(180deg)!important"
# Images are turned back; the words that stand for one that is not loaded are not.
_INVERTED = f"<style>@layer mf{{{{html,svg,img{{shown}}{{{{{_TURN}}}}}}}}}</style>"


@dataclass(frozen=True, slots=True)
class Preview:
    """`remote` counts what lies elsewhere and is not shown but with `images`; `missing` are images that the mail names
    and has not, or that were too much; `has_dark_rules`: the mail says how it looks where everything is dark."""

    document: str
    policy: str
    remote: int
    missing: int
    has_dark_rules: bool


def preview(reading: Reading, *, dark: bool = False, images: bool = False) -> Preview | None:
    """None: the mail has no HTML.

    `dark`: by the mail's own rules where it has some, else with its colours inverted, as clients do that repaint.
    `images`: the policy lets the browser fetch images (and nothing else), from where the mail says.
    """
    if reading.html is None:
        return None
    text, inlined = reading.html, _Inlined(reading.tree.walk())
    looked_at, lowered = text[:MAX_LOOKED], text.lower()
    has_dark_rules = bool(_DARK_RULES.search(looked_at))
    remote = sum(1 for _ in _REMOTE.finditer(looked_at))
    text = _NAMES.sub(_said, text)
    if "prefers-color-scheme" in lowered:
        text = _ASKS_SCHEME.sub(lambda found: _TRUE if (found[1].lower() == "dark") is dark else _FALSE, text)
    if "cid:" in lowered:
        text = _CID.sub(inlined, text)
    policy = _POLICY.format(images="data: http: https:" if images else "data:")
    return Preview(_with_head(text, dark, has_dark_rules, images), policy, remote, inlined.missing, has_dark_rules)


def _said(found: re.Match[str]) -> str:
    name = found[2].lower()
    if instead := _INSTEAD.get(name):
        return f"<{found[1]}{instead}"
    return found[0] if found[1] else found[0] + _SAYS[name]


def _with_head(text: str, dark: bool, has_dark_rules: bool, images: bool) -> str:
    """Behind the document type, which decides how the rest is laid out."""
    ours = _VIEWPORT + _SCHEME.format("dark" if dark and has_dark_rules else "light")
    if dark and not has_dark_rules:
        ours += _INVERTED.format(shown="" if images else "[src^='data:']")
    found = _DOCTYPE.match(text)
    at = found.end() if found else 0
    return f"{text[:at]}{ours}{text[at:]}"


class _Inlined:
    """Puts an image of the mail where its Content-ID is named (RFC 2392)."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes: dict[str, Node] = {}
        for node in nodes:
            if node.content_id and not node.children and _SHOWABLE.fullmatch(node.media):
                self._nodes.setdefault(node.content_id, node)
        self._urls: dict[str, str] = {}
        self._left = MAX_INLINED
        self.missing = 0

    def __call__(self, found: re.Match[str]) -> str:
        name = unquote(entities.unescape(found[1]))
        url = self._url(name)
        if not url or len(url) > self._left:
            self.missing += 1
            return found[0]
        self._left -= len(url)
        return url

    def _url(self, name: str) -> str:
        if name not in self._urls and (node := self._nodes.get(name)) is not None and node.size <= MAX_INLINED:
            self._urls[name] = f"data:{node.media};base64,{base64.b64encode(node.content()).decode()}"
        return self._urls.get(name, "")
