"""A domain's records as a mail to whoever keeps its DNS: subject, text and HTML."""

from collections.abc import Sequence
from html import escape

from mailferry.resources.dns_records.wanted import Record

_INTRODUCTION = (
    "Somebody set up {domain} to send mail through Mailferry, and asked for these records in the DNS of {domain}. "
    "Add each as it stands; names are given whole, and your DNS host may want them without the domain behind."
)
_END = (
    "DNS is looked up every hour; nothing else has to be done. Whoever does not keep the DNS of {domain} may ignore "
    "this mail."
)
_OPTIONAL = " Optional."


def instructions(domain: str, records: Sequence[Record]) -> tuple[str, str, str]:
    """Subject, text, HTML."""
    return f"DNS records for {domain}", _text(domain, records), _html(domain, records)


def _text(domain: str, records: Sequence[Record]) -> str:
    blocks = [
        f"{record.purpose}{'' if record.required else _OPTIONAL}\n"
        f"  Type:  {record.type}\n"
        f"  Name:  {record.domain}\n"
        f"  Value: {record.value}\n"
        for record in records
    ]
    return "\n".join([_INTRODUCTION.format(domain=domain) + "\n", *blocks, _END.format(domain=domain) + "\n"])


def _html(domain: str, records: Sequence[Record]) -> str:
    rows = "\n".join(
        "<tr>"
        + "".join(f"<td>{cell}</td>" for cell in (record.type, _code(record.domain), _code(record.value)))
        + f"<td>{escape(record.purpose)}{'' if record.required else _OPTIONAL}</td></tr>"
        for record in records
    )
    return (
        f"<p>{escape(_INTRODUCTION.format(domain=domain))}</p>\n"
        '<table border="1" cellpadding="6" style="border-collapse: collapse">\n'
        "<tr><th>Type</th><th>Name</th><th>Value</th><th>What it is for</th></tr>\n"
        f"{rows}\n</table>\n"
        f"<p>{escape(_END.format(domain=domain))}</p>\n"
    )


def _code(text: str) -> str:
    """A key has no space to break at, and would make the table wider than any window."""
    return f'<code style="word-break: break-all">{escape(text)}</code>'
