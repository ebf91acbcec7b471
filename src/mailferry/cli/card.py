"""The first-run card: where things are, and one curl and one SMTP line that work as they stand."""

import sys

from mailferry import first_run
from mailferry.config import Config
from mailferry.net import authority

SUCCESS = f"success@{first_run.SIMULATOR_DOMAIN}"
SENDER = f"hello@{first_run.DEMO_DOMAIN}"


def announce(config: Config) -> None:
    """Secrets are shown on a terminal only: standard output that goes into a file is a log."""
    if sys.stdout.isatty():
        print(text(config))
    else:
        print(f"Mailferry runs. Credentials: mailferry credentials --data {config.data_dir}")
    sys.stdout.flush()


def text(config: Config) -> str:
    found = first_run.credentials(config, authority.ca_file(config.data_dir))
    token = found["api_token"]
    if token is None:
        return "Mailferry runs."
    lines = ["", "Mailferry runs.", "", f"  HTTP    {found['http_url']}", f"  HTTPS   {found['https_url']}"]
    if found["ca_file"]:
        lines.append(f"  CA      {found['ca_file']}")
    if smtp := found["smtp"]:
        lines.append(
            f"  SMTP    {smtp['host']}:{smtp['port']}, STARTTLS; user api (transactional) or bulk, password: the token"
        )
    lines += [
        f"  Token   {token}",
        "",
        f"The demo domain {first_run.DEMO_DOMAIN} writes to its simulator. Send a message by the API:",
        "",
    ]
    lines += _curl(found["http_url"], token)
    if smtp:
        lines += ["", "or by SMTP:", "", *_smtp(smtp["host"], smtp["port"], token, found["ca_file"])]
    lines += [
        "",
        f"and read its story: mailferry messages list --data {config.data_dir}",
        f"Your own domain: mailferry domains add example.com --data {config.data_dir}",
        "Show this again: mailferry credentials; delete the secrets: mailferry credentials --forget",
        "",
    ]
    return "\n".join(lines)


def _curl(url: str, token: str) -> list[str]:
    body = f'{{"from":{{"email":"{SENDER}"}},"to":[{{"email":"{SUCCESS}"}}],"subject":"Hello","text":"It works."}}'
    return [
        f"  curl {url}/api/send -H 'Authorization: Bearer {token}' \\",
        f"    -H 'Content-Type: application/json' -d '{body}'",
    ]


def _smtp(host: str, port: int, token: str, ca_file: str | None) -> list[str]:
    trust = f" --cacert '{ca_file}'" if ca_file else ""
    return [
        f"  printf 'From: {SENDER}\\r\\nTo: {SUCCESS}\\r\\nSubject: Hello\\r\\n\\r\\nIt works.\\r\\n' | \\",
        f"    curl --ssl-reqd{trust} smtp://{host}:{port} --user api:{token} \\",
        f"    --mail-from {SENDER} --mail-rcpt {SUCCESS} -T -",
    ]
