"""How each client is made to trust the local authority: the exact lines to run, for people to copy."""

import shlex
from pathlib import Path


def trust_instructions(ca_file: Path) -> list[tuple[str, list[str]]]:
    """(client, shell lines) for ``ca.pem``; a line that starts with ``#`` is a remark.

    Most variables *replace* the client's list of authorities, so a process that also calls public hosts needs the
    system-wide way or a joined file; where that is so the remark says it.
    """
    path = str(ca_file.absolute())
    ca = shlex.quote(path)
    joined = shlex.quote(str(ca_file.absolute().with_name("bundle.pem")))
    replaces = "# For this authority alone. A program that also calls public hosts needs both:"
    return [
        ("curl", [f"curl --cacert {ca} ..."]),
        (
            "Python requests, Mailtrap's Python SDK",
            [
                f"export REQUESTS_CA_BUNDLE={ca}",
                replaces,
                f'cat "$(python -m certifi)" {ca} > {joined} && export REQUESTS_CA_BUNDLE={joined}',
            ],
        ),
        ("Python ssl, smtplib, httpx", [f"export SSL_CERT_FILE={ca}"]),
        ("Node.js", ["# Adds to the public authorities.", f"export NODE_EXTRA_CA_CERTS={ca}"]),
        ("Ruby", [f"export SSL_CERT_FILE={ca}"]),
        (
            "Java",
            [
                "# Adds to the public authorities of this Java.",
                f"sudo keytool -importcert -noprompt -cacerts -storepass changeit -alias mailferry -file {ca}",
            ],
        ),
        ("Go", [f"export SSL_CERT_FILE={ca}"]),
        (
            "PHP",
            [
                f"php -d {shlex.quote(f'openssl.cafile={path}')} -d {shlex.quote(f'curl.cainfo={path}')} ...",
                "# For good: the same two settings in php.ini.",
            ],
        ),
        (".NET on Linux", [f"export SSL_CERT_FILE={ca}"]),
        ("AWS CLI, boto3", [f"export AWS_CA_BUNDLE={ca}"]),
        ("swaks", [f"swaks --tls --tls-verify --tls-ca-path {ca} ..."]),
        (
            "everything on Debian or Ubuntu",
            [
                "# Not read by Java, Node.js, Python requests and boto3, which bring their own lists.",
                f"sudo cp {ca} /usr/local/share/ca-certificates/mailferry.crt && sudo update-ca-certificates",
            ],
        ),
    ]
