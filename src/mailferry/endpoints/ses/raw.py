"""A message that came whole: its recipients, its control fields (``X-SES-...``), and what a call puts over it.

The control fields work by API and by SMTP alike; delivery removes them (delivery/prepare.py).
"""

import re
from collections.abc import Sequence

from mailferry.endpoints.ses import addresses
from mailferry.endpoints.ses.errors import invalid
from mailferry.endpoints.ses.list_management import Options, of_field
from mailferry.endpoints.ses.outgoing import Tag
from mailferry.intake.submission import Rcpt
from mailferry.mail import header
from mailferry.mail.address import BadAddress, Mailbox, parse_mailboxes
from mailferry.mail.encode import encode_mailboxes

_LINE_ENDS = re.compile(rb"\r\n|\r|\n")


class Message:
    """``source``: the call's own sender; ``sender``, ``reply_to``: put in place of those fields. Raises `SesError`."""

    def __init__(self, data: bytes, *, source: str = "", sender: str = "", reply_to: Sequence[str] = ()) -> None:
        self._data = with_crlf(data)
        try:
            self._head = header.read_head(self._data)
        except header.BadHeader as error:
            raise invalid(f"The message is malformed: {error}") from None
        changed: dict[str, tuple[Mailbox, ...]] = {}
        if sender:
            changed["From"] = (addresses.mailbox(sender),)
        if reply_to:
            changed["Reply-To"] = addresses.mailboxes(reply_to)
        if changed:
            self._put(changed)
        self.author = self._field("from")
        if not self.author:
            raise invalid("Missing required header 'From'.")
        self.source = source or self.author
        self.envelope_from = addresses.mailbox(source).address if source else ""

    def octets(self) -> bytes:
        return self._data

    def recipients(self) -> tuple[Rcpt, ...]:
        """To, Cc and Bcc, for a call that names none."""
        found = []
        for kind in ("to", "cc", "bcc"):
            for value in header.values(self._head, kind.encode()):
                try:
                    found += addresses.recipients(parse_mailboxes(value), kind)
                except BadAddress:
                    raise invalid(addresses.flaw(header.decode(value))) from None
        return tuple(found)

    @property
    def set_name(self) -> str:
        return self._field("x-ses-configuration-set")

    @property
    def tags(self) -> list[Tag]:
        """``name=value, name=value``."""
        text = self._field("x-ses-message-tags")
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        return [Tag(name.strip(), value.strip()) for name, _, value in pairs]

    @property
    def options(self) -> Options | None:
        return of_field(self._field("x-ses-list-management-options"))

    def _field(self, name: str) -> str:
        values = header.values(self._head, name.encode())
        return header.decode(values[0]).strip() if values else ""

    def _put(self, changed: dict[str, tuple[Mailbox, ...]]) -> None:
        gone = {name.lower().encode() for name in changed}
        kept = [field.raw for field in self._head.fields if field.lower not in gone]
        fresh = [encode_mailboxes(name, mailboxes) for name, mailboxes in changed.items()]
        self._data = b"".join([*fresh, *kept, b"\r\n", self._data[self._head.body_at :]])
        self._head = header.read_head(self._data)


def with_crlf(data: bytes) -> bytes:
    """Every line ended by CRLF, the last one too: programs write messages with the line ends of their machine."""
    whole = data.count(b"\r\n")
    if whole != data.count(b"\n") or whole != data.count(b"\r"):
        data = _LINE_ENDS.sub(b"\r\n", data)
    return data if data.endswith(b"\r\n") else data + b"\r\n"
