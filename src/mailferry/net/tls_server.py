"""The TLS side of our listeners, HTTPS and SMTP (RFC 8996, RFC 9325): one context whose certificate can change."""

import ssl
from collections.abc import Collection, Sequence
from pathlib import Path

from cryptography import x509


def server_context(certificate: Path, key: Path, *, alpn: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
    """TLS 1.2 or newer. SMTP listeners give an empty ``alpn``. Raises OSError (ssl.SSLError is one) for bad files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    context.options |= ssl.OP_NO_RENEGOTIATION  # RFC 9325 3.5: a client could make the server compute for free
    # OpenSSL would ask for the password of an encrypted key on the terminal, and wait.
    context.load_cert_chain(certificate, key, password=lambda: b"")
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def certificate_names(certificate: Path) -> frozenset[str]:
    """The DNS names of the first certificate in a file, wildcards too (RFC 6125). Empty where it cannot be read."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return frozenset()
    return frozenset(name.lower() for name in names.get_values_for_type(x509.DNSName))


def covers(names: Collection[str], host: str) -> bool:
    return host in names or f"*.{host.partition('.')[2]}" in names


def tls_problem(certificate: Path, key: Path, error: OSError) -> str:
    """Why :func:`server_context` refused the files, for an operator: OpenSSL's words name neither file nor fault."""
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "").lower().replace("_", " ")
        return f"{certificate} and {key} are no certificate and its key as PEM, without a password ({reason})"
    return f"{error.filename or f'{certificate} or {key}'} cannot be read: {error.strerror}"


class HotContext:
    """``context`` is given to listeners once; after :meth:`reload` new handshakes use the files as they are now.

    Loading into a live context instead would leave it without a key when the two files do not match for a moment (an
    operator's renewal copies them one by one). So each load makes a fresh context, and handshakes are handed to it.
    """

    def __init__(self, certificate: Path, key: Path, *, alpn: Sequence[str] = ("http/1.1",)) -> None:
        self._files = (certificate, key)
        self._alpn = tuple(alpn)
        self._loaded = self._stamps()
        self._current = self.context = self._load()
        # Python calls this for every ClientHello, with or without a name in it.
        self.context.sni_callback = self._hand_over

    def reload(self) -> None:
        """Raises OSError (ssl.SSLError is one) for bad files, and then everything stays as it was."""
        # Taken before the files are read: what changes while they are read is seen next time.
        stamps = self._stamps()
        self._current = self._load()
        self._loaded = stamps

    def refresh(self) -> bool:
        """:meth:`reload` if the files are others than those in use; True when they were loaded. Raises as it does."""
        if self._stamps() == self._loaded:
            return False
        self.reload()
        return True

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        """What changes when a file is written or replaced; links are followed, for certbot's ``live/`` holds links."""
        found = [path.stat() for path in self._files]
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)

    def _load(self) -> ssl.SSLContext:
        return server_context(*self._files, alpn=self._alpn)

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current
