"""Postfix in two more roles: as a client that sends all its mail through a submission server, and as the yardstick
of the benchmark, which takes mail, has OpenDKIM sign it and hands it to a sink."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .certificates import Certificate
from .postfix import Postfix, starttls, write_settled

YARDSTICK_CONNECTIONS = 20  # to the sink, as many as Mailferry opens


class SmarthostClient(Postfix):
    """A mail server of somebody who uses Mailferry as smarthost: SASL PLAIN inside STARTTLS, certificate checked.

    It takes mail on `port` without authentication, or by `sendmail`. `host` is the name in the server's certificate
    and must resolve in /etc/hosts; `relay_port` is the submission port on it.
    """

    def __init__(
        self,
        relay_port: int,
        *,
        username: str,
        password: str,
        ca_file: Path,
        host: str = "localhost",
        hostname: str = "client.peer.test",
        extra: Mapping[str, str] | None = None,
    ):
        self._credentials = (f"[{host}]:{relay_port}", username, password)
        settings = {
            "myhostname": hostname,
            "relayhost": f"[{host}]:{relay_port}",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "message_size_limit": "50000000",
            "smtp_sasl_auth_enable": "yes",
            "smtp_sasl_mechanism_filter": "plain",
            "smtp_sasl_tls_security_options": "noanonymous",
            # "secure": mail does not leave unless the certificate chains to our authority and names the host.
            "smtp_tls_security_level": "secure",
            "smtp_tls_secure_cert_match": "hostname",
            "smtp_tls_CAfile": str(ca_file),
            "smtp_tls_loglevel": "1",
            # Retries come within a test's patience.
            "minimal_backoff_time": "2s",
            "maximal_backoff_time": "4s",
            "queue_run_delay": "2s",
        }
        super().__init__(settings | dict(extra or {}))

    def _lay_out(self) -> None:
        super()._lay_out()
        relay, username, password = self._credentials
        passwords = self.folder / "passwords"
        write_settled(passwords, f"{relay} {username}:{password}\n")
        self._role["smtp_sasl_password_maps"] = f"texthash:{passwords}"


class Yardstick(Postfix):
    """The relay that Mailferry is measured against: default queue and syncs, limits lifted, one sink.

    `milter` is the UNIX socket of OpenDKIM; without it nothing is signed. The settings are those that made Postfix
    fastest where they were first measured: no DNS, no peer names, connections to the sink reused.
    """

    def __init__(
        self,
        sink_port: int,
        *,
        milter: Path | None = None,
        certificate: Certificate | None = None,
        hostname: str = "mail.bench.test",
    ):
        sink = f"[127.0.0.1]:{sink_port}"
        settings = {
            "myhostname": hostname,
            "relayhost": sink,
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "default_process_limit": "100",
            "default_destination_concurrency_limit": str(YARDSTICK_CONNECTIONS),
            "initial_destination_concurrency": str(YARDSTICK_CONNECTIONS),
            "smtp_connection_cache_on_demand": "yes",
            "smtp_connection_cache_destinations": sink,
            "smtp_tls_security_level": "none",
            "in_flow_delay": "0",
        }
        if milter:
            settings |= {
                "smtpd_milters": f"unix:{milter}",
                "milter_default_action": "tempfail",
                "milter_protocol": "6",
            }
        if certificate:
            settings |= starttls(certificate)
        super().__init__(settings)
