"""What every listener needs to know: our addresses, the names that are served, and certificates that are renewed."""

import asyncio
from pathlib import Path

import structlog

from mailferry.config import parse_listen
from mailferry.endpoints.hosts import Hosts
from mailferry.house import House
from mailferry.net import authority
from mailferry.net import hosts as host_names
from mailferry.net.hosts import LOOPBACK_NAMES, HostRules, normalise, url_host
from mailferry.net.tls_server import HotContext, certificate_names, covers, tls_problem

log = structlog.get_logger(__name__)

#: Seconds between looks at the certificate's files: a renewal is in use within a minute, and a look costs a millisecond.
CERTIFICATE_SECONDS = 60.0


class Listening:
    """One for the process. ``hosts`` is there once the API listens."""

    def __init__(self, house: House, roles: frozenset[str]) -> None:
        self._house = house
        self._trouble = ""
        config = house.config
        self.hosts: Hosts | None = None
        settings = (
            ("api", "http.listen"),
            ("api", "http.tls_listen"),
            ("smtp", "smtp.listen"),
            ("smtp", "pop3.listen"),
        )
        listened = [text for role, setting in settings if role in roles for text in config[setting]]
        if config["metrics.listen"]:
            listened.append(config["metrics.listen"])
        self.own_addresses = [parse_listen(text)[:2] for text in listened]
        self._hot = self._load()
        self._names = certificate_names(self._files()[0])
        self.https, self.smtp = (hot.context for hot in self._hot)

    def rules(self) -> HostRules:
        config = self._house.config
        names = {*config["http.hosts"], *authority.issued_hosts(self._house.data_dir)}
        return HostRules(names, config["server.public_url"], config["tracking.url"])

    def reload(self) -> None:
        """After ``mailferry certificates``: new names are served, with the new certificate. Raises OSError for bad files."""
        certificate, _ = self._files()
        for hot in self._hot:
            hot.reload()
        self._names = certificate_names(certificate)
        if self.hosts is not None:
            self.hosts.rules = self.rules()

    def scheme_of(self, host: str) -> str:
        """How readers reach a sending domain's own tracking host; empty: they cannot, as far as is known here."""
        how: str = self._house.config["tracking.custom_hosts"]
        if how == "auto":
            # Behind a proxy that has the certificates nothing is known of them: then the setting says it.
            return "https" if covers(self._names, host) else ""
        return "" if how == "off" else how

    async def tend(self, seconds: float = CERTIFICATE_SECONDS) -> None:
        """Take renewed certificates into use, the operator's and our own, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            self.refresh()

    def refresh(self) -> None:
        """Look at the files once. Those that cannot be used are logged, once, and the old certificate stays."""
        trouble = self._load_changed()
        if trouble and trouble != self._trouble:
            log.error("certificate_not_loaded", error=trouble, still="the certificate loaded before is in use")
        self._trouble = trouble

    def _load_changed(self) -> str:
        """What is wrong with the files; nothing while they can be used."""
        try:
            certificate, key = self._files()
        except (OSError, authority.AuthorityError) as error:
            return str(error)
        try:
            loaded = [hot.refresh() for hot in self._hot]
        except OSError as error:
            return tls_problem(certificate, key, error)
        if any(loaded):
            self._names = certificate_names(certificate)
            log.info("certificate_loaded", file=str(certificate))
        return ""

    def _load(self) -> list[HotContext]:
        certificate, key = self._files()
        try:
            return [HotContext(certificate, key), HotContext(certificate, key, alpn=())]
        except OSError as error:
            raise self._house.config.wrong("tls.certificate", tls_problem(certificate, key, error)) from error

    def _files(self) -> tuple[Path, Path]:
        """The operator's, or our own, which are issued anew when they near their end."""
        config = self._house.config
        if config["tls.certificate"]:
            return Path(config["tls.certificate"]), Path(config["tls.key"])
        return authority.ensure_server_certificate(self._house.data_dir, certificate_hosts(self._house))


def own_hosts(house: House) -> list[str]:
    """Our names as they may stand in somebody's MX record, where mail must not be sent in circles."""
    config = house.config
    names = [house.hostname, url_host(config["server.public_url"]), *map(normalise, config["http.hosts"])]
    return [name for name in names if name]


def certificate_hosts(house: House) -> list[str]:
    """The names of the locally issued certificate: loopback, our own, the settings', and those asked for."""
    config = house.config
    wanted = [
        *LOOPBACK_NAMES,
        house.hostname,
        url_host(config["server.public_url"]),
        url_host(config["tracking.url"]),
        *config["http.hosts"],
        *sorted(authority.issued_hosts(house.data_dir)),
    ]
    return list(host_names.certificate_names(name for name in wanted if name))
