"""The TLS side of our listeners, HTTPS and SMTP (RFC 8996, RFC 9325): one context whose certificate can change."""

import ssl
from collections.abc import Sequence
from pathlib import Path


def server_context(certificate: Path, key: Path, *, alpn: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
    """TLS 1.2 or newer. SMTP listeners give an empty ``alpn``. Raises OSError (ssl.SSLError is one) for bad files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    context.options |= ssl.OP_NO_RENEGOTIATION  # RFC 9325 3.5: a client could make the server compute for free
    context.load_cert_chain(certificate, key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class HotContext:
    """``context`` is given to listeners once; after :meth:`reload` new handshakes use the files as they are now.

    Loading into a live context instead would leave it without a key when the two files do not match for a moment (an
    operator's renewal copies them one by one). So each load makes a fresh context, and handshakes are handed to it.
    """

    def __init__(self, certificate: Path, key: Path, *, alpn: Sequence[str] = ("http/1.1",)) -> None:
        self._files = (certificate, key)
        self._alpn = tuple(alpn)
        self._current = self.context = self._load()
        # Python calls this for every ClientHello, with or without a name in it.
        self.context.sni_callback = self._hand_over

    def reload(self) -> None:
        """Raises OSError (ssl.SSLError is one) for bad files, and then everything stays as it was."""
        self._current = self._load()

    def _load(self) -> ssl.SSLContext:
        return server_context(*self._files, alpn=self._alpn)

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current
