"""The local certificate authority in the data directory, and the server certificates it issues (RFC 5280, RFC 6125).

Every Mailtrap SDK speaks HTTPS to a fixed name, so even a first try on one's own machine needs a certificate that the
client can be made to trust. ``DATA/ca`` holds the authority (``ca.pem``, ``ca.key``), the server's certificate
(``server.pem``, ``server.key``) and ``hosts.json``, the names that ``mailferry certificates`` was asked for.
"""

import contextlib
import ipaddress
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailferry.net.hosts import BadHost, normalise

AUTHORITY_NAME = "Mailferry local authority"
AUTHORITY_LIFETIME = timedelta(days=3652)
#: Browsers refuse server certificates beyond 398 days (CA/Browser Forum; Apple also for private authorities).
SERVER_LIFETIME = timedelta(days=397)
RENEW_BEFORE = timedelta(days=30)
#: Clients in containers and virtual machines run a little behind.
BACKDATED = timedelta(hours=1)

Clock = Callable[[], int]


def unix_ms() -> int:
    return time.time_ns() // 1_000_000


class AuthorityError(ValueError):
    """A file in ``DATA/ca`` that cannot be used; the text names it. It is not overwritten: clients may trust it."""


@dataclass(frozen=True, slots=True)
class Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """PEM bytes; the chain is the certificate alone, since the authority is the root that clients already have."""

    certificate: bytes
    key: bytes


# --- pure: certificates from certificates -----------------------------------------------------------------------------


def create_authority(now: datetime, key: ec.EllipticCurvePrivateKey | None = None) -> Authority:
    """A self-signed root for ten years; with ``key``, a renewal that certificates issued before still verify under."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY_NAME)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key.public_key(), now, now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def issue(
    authority: Authority, hosts: Sequence[str], now: datetime, key: ec.EllipticCurvePrivateKey | None = None
) -> Issued:
    """A server certificate for names (``*.`` in front allowed) and IP addresses. Raises :class:`BadHost`."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    # RFC 6125 6.4.4: clients read subjectAltName; a common name has 64 characters at most and is only for people.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mailferry server")])
    issuer = authority.certificate
    until = min(now + SERVER_LIFETIME, issuer.not_valid_after_utc)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(name, issuer.subject, key.public_key(), now, until)
        .add_extension(_alternative_names(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return Issued(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def stale(certificate: x509.Certificate, authority: Authority, hosts: Sequence[str], now: datetime) -> str:
    """Why a certificate must be issued again; empty while it serves."""
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return "another authority issued it"
    if now + RENEW_BEFORE > certificate.not_valid_after_utc:
        return "it ends within 30 days"
    if set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) != set(
        _alternative_names(hosts)
    ):
        return "the names changed"
    return ""


def _alternative_names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    if not hosts:
        raise BadHost("a certificate needs at least one name")
    names: dict[x509.GeneralName, None] = {}
    for host in map(normalise, hosts):
        try:
            names[x509.IPAddress(ipaddress.ip_address(host))] = None
        except ValueError:
            names[x509.DNSName(host)] = None
    return x509.SubjectAlternativeName(names)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(until - BACKDATED)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


# --- files in DATA/ca -------------------------------------------------------------------------------------------------


def ca_file(data_dir: Path) -> Path:
    return data_dir / "ca" / "ca.pem"


def ensure_authority(data_dir: Path, *, clock: Clock = unix_ms) -> Authority:
    """Read the authority, or make it on the first start. One that ends within 30 days is renewed with the same key.

    Raises :class:`AuthorityError` when a file is there and useless: a new authority in its place would, without a word,
    break every client that trusts the old one.
    """
    now = _now(clock)
    certificate_path, key_path = ca_file(data_dir), data_dir / "ca" / "ca.key"
    if not key_path.exists() and not certificate_path.exists():
        authority = create_authority(now)
        _write(key_path, _key_pem(authority.key), 0o600)
    else:
        key = _read_key(key_path)
        # The key is written first: without a certificate beside it, the first start was cut off between the two.
        found = _read_certificate(certificate_path) if certificate_path.exists() else None
        if found is not None and found.public_key() != key.public_key():
            raise AuthorityError(f"{certificate_path} does not belong to the key {key_path}")
        if found is not None and now + RENEW_BEFORE <= found.not_valid_after_utc:
            return Authority(found, key)
        authority = create_authority(now, key)
    _write(certificate_path, authority.certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return authority


def ensure_server_certificate(data_dir: Path, hosts: Sequence[str], *, clock: Clock = unix_ms) -> tuple[Path, Path]:
    """Paths of a certificate for exactly ``hosts`` and of its key, issued now if there is none or it is :func:`stale`.

    A re-issued certificate keeps its key, so a reader that opens the two files one after the other always gets a pair.
    """
    authority = ensure_authority(data_dir, clock=clock)
    certificate_path, key_path = data_dir / "ca" / "server.pem", data_dir / "ca" / "server.key"
    key = None
    with contextlib.suppress(AuthorityError):  # a broken server key or certificate is replaced: nobody pins it
        key = _read_key(key_path)
        certificate = _read_certificate(certificate_path)
        if certificate.public_key() == key.public_key() and not stale(certificate, authority, hosts, _now(clock)):
            return certificate_path, key_path
    issued = issue(authority, hosts, _now(clock), key)
    if key is None:
        _write(key_path, issued.key, 0o600)
    _write(certificate_path, issued.certificate, 0o644)
    return certificate_path, key_path


def issued_hosts(data_dir: Path) -> set[str]:
    """Names that ``mailferry certificates`` issued so far. HTTP serves them. Raises :class:`AuthorityError`."""
    path = data_dir / "ca" / "hosts.json"
    try:
        hosts = json.loads(path.read_bytes())["hosts"]
        return {normalise(host) for host in hosts}
    except FileNotFoundError:
        return set()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AuthorityError(f"{path} cannot be read: {error}") from None


def remember_hosts(data_dir: Path, hosts: Iterable[str]) -> set[str]:
    """Add names to those issued; returns all of them. Raises :class:`BadHost` before anything is written."""
    known = issued_hosts(data_dir)
    wanted = known | {normalise(host) for host in hosts}
    if wanted != known:
        text = json.dumps({"hosts": sorted(wanted)}, indent=1) + "\n"
        _write(data_dir / "ca" / "hosts.json", text.encode("ascii"), 0o644)
    return wanted


# --- reading and writing ----------------------------------------------------------------------------------------------


def _now(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock() // 1000, UTC)  # certificates count whole seconds (RFC 5280 4.1.2.5)


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AuthorityError(f"{path} cannot be read: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AuthorityError(f"{path} holds no EC key")
    return key


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AuthorityError(f"{path} cannot be read: {error}") from None


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, also through a power cut; a private key is at no moment readable by others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
