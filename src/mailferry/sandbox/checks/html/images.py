"""Which format of image an address or a media type names."""

import re
from collections.abc import Iterator

from mailferry.sandbox.checks.html.markup_rules import BASE64, IMAGES

_ENDING = re.compile(r"\.([a-z0-9]{1,5})$")
#: Longer addresses are read up to here, data: ones too.
_LONGEST = 4096


def formats(address: str) -> Iterator[str]:
    """Slugs. An address that names no format (``cid:...``, ``/logo``) has none."""
    address = address[:_LONGEST].strip().lower()
    if address.startswith("data:"):
        kind, *parameters = address[5:].partition(",")[0].split(";")
        if kind.startswith("image/") and "base64" in (parameter.strip() for parameter in parameters):
            yield BASE64
        yield from of_type(kind)
    else:
        ending = _ENDING.search(address.partition("#")[0].partition("?")[0])
        if ending and ending[1] in IMAGES:
            yield IMAGES[ending[1]]


def of_type(media_type: str) -> Iterator[str]:
    kind, _, name = media_type.strip().lower().partition("/")
    if kind == "image" or (kind, name) == ("video", "mp4"):
        name = name.partition(";")[0].strip()
        if name in IMAGES:
            yield IMAGES[name]


def candidates(srcset: str) -> Iterator[str]:
    """The addresses of a srcset attribute; one that holds commas (``data:``) is not told apart."""
    for candidate in srcset.split(","):
        if words := candidate.split(maxsplit=1):
            yield words[0]
