"""What an HTTP call is made of: where it goes, and what came of it. Without a client, which costs time to import."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import idna

#: Seconds from the first octet sent to the last one read.
TOTAL_SECONDS = 30.0
LONGEST_URL = 2048

_UNSAFE = re.compile(r"[^\x21-\x7e]")


class BadUrl(ValueError):
    """The text says why."""


@dataclass(frozen=True, slots=True)
class Url:
    """``host`` in ASCII and without brackets; ``userinfo`` decoded, empty where there is none."""

    scheme: str
    host: str
    port: int
    target: str
    userinfo: str = ""

    @property
    def authority(self) -> str:
        """As the Host field has it (RFC 9110 7.2): the usual port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Without user and password."""
        return f"{self.scheme}://{self.authority}{self.target}"


@dataclass(frozen=True, slots=True)
class Reply:
    """``status`` 0: no answer came, and ``error`` says why in one sentence without a stop.

    ``reached``: the request was sent, at least in part; the other side may have acted on it.
    """

    status: int
    error: str = ""
    reached: bool = True
    body: bytes = b""
    retry_after: int = 0
    ms: int = 0
    #: Of a redirect, as it was written.
    location: str = ""


_PORTS = {"http": 80, "https": 443}


def parse_url(text: str) -> Url:
    """Raises :class:`BadUrl`. A fragment is not part of what is asked for."""
    if len(text) > LONGEST_URL:
        raise BadUrl(f"is longer than {LONGEST_URL} characters")
    if any(each.isspace() or not each.isprintable() for each in text):
        raise BadUrl("holds a space or a control character")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadUrl("is no URL") from None
    if parts.scheme not in _PORTS:
        raise BadUrl("must begin with https:// or http://")
    if port == 0:
        raise BadUrl("names port 0")
    path = _UNSAFE.sub(_percent, parts.path) or "/"
    query = _UNSAFE.sub(_percent, parts.query)
    # An address has as many spellings as there are @ in it; what stands before the last one is the user.
    userinfo = parts.netloc.rpartition("@")[0]
    return Url(
        parts.scheme,
        _host(host),
        port or _PORTS[parts.scheme],
        f"{path}?{query}" if query else path,
        ":".join(unquote(part) for part in userinfo.split(":", 1)),
    )


def _host(name: str) -> str:
    if not name:
        raise BadUrl("names no host")
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    if re.fullmatch(r"[0-9.]+|0x[0-9a-f]*", name.rpartition(".")[2]):
        raise BadUrl("has a host that is neither a name nor an IP address")  # 127.1, 0x7f.1: addresses in disguise
    try:
        ascii_name = idna.encode(name.removesuffix("."), uts46=True).decode()
    except idna.IDNAError:
        ascii_name = name if re.fullmatch(r"[a-z0-9_.-]{1,253}", name) else ""
    if not ascii_name:
        raise BadUrl("has a host that is no name")
    return ascii_name


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in found.group().encode("utf-8", "surrogatepass"))
