"""What a sending domain publishes in DNS, and how what is published compares with it.

``wanted`` says what should be there, ``verify`` asks the DNS, ``judge`` reads SPF and DMARC records, ``zone`` writes
zone files, ``instructions`` writes to whoever keeps the DNS. Only ``verify`` does I/O, through the resolver that it is handed.
"""

from mailferry.resources.dns_records.instructions import instructions
from mailferry.resources.dns_records.verify import (
    RecordStatus,
    conclusive,
    published_selectors,
    unchecked,
    verified,
    verify,
)
from mailferry.resources.dns_records.wanted import (
    Operator,
    Record,
    SendingDomain,
    links_at,
    records,
    records_anywhere,
    return_path_at,
)
from mailferry.resources.dns_records.zone import export_zone, zone_line

__all__ = [
    "Operator",
    "Record",
    "RecordStatus",
    "SendingDomain",
    "conclusive",
    "export_zone",
    "instructions",
    "links_at",
    "published_selectors",
    "records",
    "records_anywhere",
    "return_path_at",
    "unchecked",
    "verified",
    "verify",
    "zone_line",
]
