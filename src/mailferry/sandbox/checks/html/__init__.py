"""The HTML check: which features of HTML and CSS a mail uses, on which line, and which mail clients lack them.

`check(html)` gives an `HtmlReport`; `mailtrap` and `detailed` write it as JSON. Pure and synchronous: a mail of 100 KB
takes some tens of milliseconds of CPU and a hostile one seconds, so a server runs it in a thread or a process.
"""

from collections.abc import Mapping

from mailferry.sandbox.checks.html.render import detailed, mailtrap, mailtrap_failure
from mailferry.sandbox.checks.html.report import WEIGHTS, HtmlReport, report
from mailferry.sandbox.checks.html.support import installed

NO_DATA = "The HTML check's data is not installed. On the server, `make setup` fetches it by npm."


class DataMissing(LookupError):
    """The set-up could not fetch what is known of mail clients; the text says what helps."""


def check(html: str, weights: Mapping[str, float] = WEIGHTS) -> HtmlReport:
    """`weights`: by family (`gmail`, `outlook`...), 1 for those it does not name. Raises DataMissing.

    At most `document.MAX_CHARACTERS` characters are read; what was not read stands in the report's `limits`.
    """
    data = installed()
    if data is None:
        raise DataMissing(NO_DATA)
    return report(html, data, weights)


__all__ = ["NO_DATA", "WEIGHTS", "DataMissing", "HtmlReport", "check", "detailed", "mailtrap", "mailtrap_failure"]
