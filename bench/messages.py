"""The messages of the load: plain text of a given size, each with a recipient and a Message-ID of its own."""

from __future__ import annotations

import json
import random
import string
from dataclasses import dataclass
from typing import Protocol

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

LINE = 72  # characters of text in a line
SEED = 20  # the same text in every run


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who writes to whom: `sender` is an address; recipients are numbered local parts at `destination`."""

    sender: str
    destination: str

    def recipient(self, number: int) -> str:
        return f"r{number}@{self.destination}"


def text(size: int) -> str:
    """Words in lines, `size` characters with LF line ends, without runs of blanks (the worst case of DKIM)."""
    chance = random.Random(SEED)  # reproducible, not secret
    lines: list[str] = []
    length, line = 0, ""
    while length < size:
        word = "".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 11)))
        if len(line) + len(word) < LINE:
            line += f" {word}" if line else word
            continue
        lines.append(line)
        length += len(line) + 1
        line = word
    return "\n".join(lines)[: size - 1] + "\n"


class SmtpMessages:
    """Whole messages of `size` octets, ready for DATA with the final dot."""

    def __init__(self, envelope: Envelope, size: int, run: str):
        self._envelope, self._run = envelope, run
        head = len(self._head(0))
        # No line of the text begins with a dot, so nothing needs stuffing.
        body = text(size).replace("\n", "\r\n").encode()[: size - head - 2]
        self._tail = body.rstrip(b"\r\n") + b"\r\n.\r\n"

    def envelope(self, number: int) -> bytes:
        """MAIL, RCPT and DATA in one packet (RFC 2920)."""
        envelope = self._envelope
        return f"MAIL FROM:<{envelope.sender}>\r\nRCPT TO:<{envelope.recipient(number)}>\r\nDATA\r\n".encode()

    def content(self, number: int) -> bytes:
        return self._head(number) + self._tail

    def _head(self, number: int) -> bytes:
        envelope = self._envelope
        fields = (
            f"From: Bench <{envelope.sender}>",
            f"To: <{envelope.recipient(number)}>",
            f"Subject: Message {number:06d} of the benchmark",
            "Date: Tue, 24 Nov 2026 09:00:00 +0000",
            f"Message-ID: <{self._run}.{number:06d}@{envelope.sender.partition('@')[2]}>",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=us-ascii",
        )
        return ("\r\n".join(fields) + "\r\n\r\n").encode()


class Requests(Protocol):
    def request(self, number: int) -> bytes: ...


class HttpMessages:
    """Requests to `POST /api/send` that make Mailferry compose a message of about the same size."""

    def __init__(self, envelope: Envelope, size: int, *, host: str, path: str, token: str, members: str = ""):
        self._envelope = envelope
        # What the composed message needs for its header fields comes off the text.
        self._text = json.dumps(text(max(size - 512, 256)))
        self._members = members
        self._start = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: "
        ).encode()

    def request(self, number: int) -> bytes:
        envelope = self._envelope
        said = self._members or f'"subject":"Message {number:06d} of the benchmark","text":{self._text}'
        body = (
            f'{{"from":{{"email":"{envelope.sender}","name":"Bench"}},"to":[{{"email":"{envelope.recipient(number)}"}}],'
            f"{said}}}"
        ).encode()
        return b"%b%d\r\n\r\n%b" % (self._start, len(body), body)


class SesMessages:
    """The same messages as SES v2's SendEmail, signed by botocore before the clock starts: signing is the client's work."""

    def __init__(self, envelope: Envelope, size: int, *, host: str, key_id: str, secret: str, count: int):
        self._envelope = envelope
        self._host = host
        self._text = json.dumps(text(max(size - 512, 256)))
        self._signer = SigV4Auth(Credentials(key_id, secret), "ses", "us-east-1")
        self._requests = [self._signed(number) for number in range(count)]

    def request(self, number: int) -> bytes:
        return self._requests[number]

    def _signed(self, number: int) -> bytes:
        envelope = self._envelope
        body = (
            f'{{"FromEmailAddress":"Bench <{envelope.sender}>","Destination":{{"ToAddresses":'
            f'["{envelope.recipient(number)}"]}},"Content":{{"Simple":{{"Subject":{{"Data":"Message {number:06d} of the '
            f'benchmark"}},"Body":{{"Text":{{"Data":{self._text}}}}}}}}}}}'
        ).encode()
        url = f"http://{self._host}/v2/email/outbound-emails"
        asked = AWSRequest("POST", url, {"Content-Type": "application/json"}, body)
        self._signer.add_auth(asked)
        fields = {"Host": self._host, "Content-Length": str(len(body)), **asked.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST /v2/email/outbound-emails HTTP/1.1\r\n{head}\r\n".encode() + body
