"""The first-run card: where things are, and one curl and one SMTP line that work as they stand."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from mailferry import credentials
from mailferry.config import Config
from mailferry.net.hosts import url_host

SUCCESS = f"success@{credentials.SIMULATOR_DOMAIN}"
RUNS = "Mailferry runs."
STOPPED = "Mailferry does not run, or is just starting."
EXPECTED = "With the settings of this command it will be found here:"
SENDER = f"hello@{credentials.DEMO_DOMAIN}"


def announce(config: Config) -> None:
    """Secrets are shown on a terminal only: standard output that goes into a file is a log."""
    if sys.stdout.isatty():
        print(text(config, runs=True))
    else:
        print(f"Mailferry runs. Credentials: {command(config, 'credentials')}")
    sys.stdout.flush()


def text(config: Config, *, runs: bool) -> str:
    """Lines to copy are in one piece each, however long: a terminal breaks them on the screen alone.

    ``config``: the running server's; of one that does not run nobody knows the settings of its next start.
    """
    from mailferry.net import authority

    found = credentials.credentials(config, authority.ca_file(config.data_dir))
    lines = ["", *([RUNS] if runs else [f"{STOPPED} Start it: {command(config, 'serve')}", EXPECTED]), ""]
    lines += [*_places(config, found), ""]
    if found["api_token"]:
        lines += [*_first_message(config, found), f"and read its story: {command(config, 'messages list')}"]
    lines.append(f"Your own domain: {command(config, 'domains add example.com')}")
    if found["api_token"]:
        lines.append(f"Show this again: {command(config, 'credentials')}; delete the secrets: the same with --forget")
    return "\n".join([*lines, ""])


def _first_message(config: Config, found: dict[str, Any]) -> list[str]:
    lines = []
    before = f"The demo domain {credentials.DEMO_DOMAIN} writes to its simulator. Send a first message"
    if found["http_url"] or found["https_url"]:
        lines += [f"{before} by the API:", "", _curl(config, found), ""]
        before = "or"
    if found["smtp"]:
        lines += [f"{before} by SMTP:", "", _smtp(config, found), ""]
        before = "or"
    if found["ses"] and (found["http_url"] or found["https_url"]):
        lines += [f"{before} as a client of Amazon SES, here its command line:", "", _aws(config, found), ""]
    return lines


def command(config: Config, words: str) -> str:
    """A command of ours as it can be typed in this shell: by the name and with the options that this one was started with."""
    options = ["--config", str(config.file.absolute())] if config.file else []
    options += ["--data", str(config.data_dir)]
    return f"{_program()} {words} {shlex.join(options)}"


def _program() -> str:
    called = Path(sys.argv[0])
    if called.name != "mailferry":
        return f"{shlex.quote(sys.executable)} -m mailferry"
    found = shutil.which("mailferry")
    return "mailferry" if found and Path(found).samefile(called) else shlex.quote(str(called))


def _places(config: Config, found: dict[str, Any]) -> list[str]:
    lines = []
    for name, key in (("HTTP", "http_url"), ("HTTPS", "https_url"), ("CA", "ca_file")):
        if found[key]:
            lines.append(f"  {name:<7} {found[key]}")
    if found["smtp"]:
        host, port, tls = credentials.smtp_listener(config)
        lines.append(
            f"  SMTP    {_bracketed(host)}:{port}, {'TLS' if tls else 'STARTTLS'}; "
            "user api (transactional) or bulk, password: the token"
        )
    if found["api_token"]:
        lines.append(f"  Token   {found['api_token']}")
    if pair := found["ses"]:
        lines.append(f"  SES     key {pair['access_key_id']}, secret {pair['secret_access_key']}, any region")
        if found["smtp"]:
            lines.append(f"          by SMTP: user {pair['smtp_username']}, password {pair['smtp_password']}")
    return lines


def _curl(config: Config, found: dict[str, Any]) -> str:
    listeners = [(found["http_url"], ""), (found["https_url"], _trust(found))]
    url, trust = next((pair for pair in listeners if pair[0]), ("", ""))
    scheme, _, at = url.partition("://")
    connect, at = _named(config, *_host_port(at)) if scheme == "https" else ("", at)
    body = f'{{"from":{{"email":"{SENDER}"}},"to":[{{"email":"{SUCCESS}"}}],"subject":"Hello","text":"It works."}}'
    return (
        f"  curl{trust}{connect} {scheme}://{at}/api/send -H 'Authorization: Bearer {found['api_token']}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def _aws(config: Config, found: dict[str, Any]) -> str:
    """The AWS CLI. It cannot be told to connect elsewhere than the URL says, so an operator's own name must be in DNS."""
    pair, url, trust = found["ses"], found["http_url"], ""
    if not url:
        scheme, _, at = found["https_url"].partition("://")
        url = f"{scheme}://{_named(config, *_host_port(at))[1]}"
        trust = f" --ca-bundle {shlex.quote(found['ca_file'])}" if found["ca_file"] else ""
    return (
        f"  AWS_ACCESS_KEY_ID={pair['access_key_id']} AWS_SECRET_ACCESS_KEY={pair['secret_access_key']} aws sesv2 send-email "
        f"--endpoint-url {url} --region {pair['region']}{trust} --from-email-address {SENDER} "
        f"--destination ToAddresses={SUCCESS} "
        "--content 'Simple={Subject={Data=Hello},Body={Text={Data=It works.}}}'"
    )


def _host_port(at: str) -> tuple[str, int]:
    host, _, port = at.rpartition(":")
    return host, int(port)


def _smtp(config: Config, found: dict[str, Any]) -> str:
    host, port, tls = credentials.smtp_listener(config)
    connect, at = _named(config, _bracketed(host), port)
    return (
        f"  printf 'From: {SENDER}\\r\\nTo: {SUCCESS}\\r\\nSubject: Hello\\r\\n\\r\\nIt works.\\r\\n' | "
        f"curl -sS --ssl-reqd{_trust(found)}{connect} {'smtps' if tls else 'smtp'}://{at} --user api:{found['api_token']} "
        f"--mail-from {SENDER} --mail-rcpt {SUCCESS} -T - && echo Accepted."
    )


def _trust(found: dict[str, Any]) -> str:
    return f" --cacert {shlex.quote(found['ca_file'])}" if found["ca_file"] else ""


def _named(config: Config, host: str, port: int) -> tuple[str, str]:
    """A certificate of the operator's holds no loopback address: connect there, and check it by the name that it has."""
    name = url_host(config["server.public_url"]) or config["server.hostname"]
    if not config["tls.certificate"] or not name:
        return "", f"{host}:{port}"
    return f" --connect-to ::{host}:", f"{name}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
