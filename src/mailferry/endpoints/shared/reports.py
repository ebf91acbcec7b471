"""The tabs that judge a message: what the sandbox's checks found (sandbox/report.py), as HTML."""

from collections.abc import Callable
from typing import TypeVar

from mailferry.endpoints.shared import words
from mailferry.endpoints.shared.frame import card, kept, table
from mailferry.endpoints.shared.message import MOST_ROWS, Shown, found
from mailferry.sandbox.checks.blocklists import Report as BlocklistsReport
from mailferry.sandbox.checks.html import HtmlReport
from mailferry.sandbox.checks.html.report import FeatureReport
from mailferry.sandbox.checks.html.support import Data, Support
from mailferry.sandbox.checks.links import Found, Link
from mailferry.sandbox.checks.links import Report as LinksReport
from mailferry.sandbox.checks.spam.verdict import Verdict
from mailferry.sandbox.report import Outcome, Report

T = TypeVar("T")

#: Clients that are named of those without a feature.
_NAMED = 12


def spam(report: Report) -> str:
    return card(_of(report.spam, _spam))


def html_check(shown: Shown, report: Report) -> str:
    checked = _of(report.html, lambda value: _html(shown, value))
    accessible = _of(
        report.accessibility, lambda findings: found(findings) if findings else "<p>Nothing was found.</p>"
    )
    return card(checked, "What mail clients support") + card(accessible, "Accessibility")


def links_unasked(shown: Shown, links: list[Found]) -> str:
    """What there is, and the button that has them asked."""
    if not links:
        return card("<p>This message has no links.</p>")
    rows = [(_url(each), kept(each.kind), _line(shown, each)) for each in links[:MOST_ROWS]]
    ask = _button(shown, "Ask where they lead", "This server then follows each of them, as readers would.")
    return card(ask) + card(table(("URL", "Kind", "Line"), rows))


def links(shown: Shown, report: Report) -> str:
    return card(_of(report.links, lambda value: _links(shown, value)))


def network_unasked(shown: Shown) -> str:
    ask = _button(shown, "Ask the DNS", "Whether SPF, DKIM and DMARC pass, and whether blocklists know the sender.")
    return card(ask, "Authentication and blocklists")


def network(report: Report) -> str:
    listed = _of(report.blocklists, _blocklists)
    return card(_of(report.authentication, found), "Authentication") + card(listed, "Blocklists")


def _of(outcome: Outcome[T], shown: Callable[[T], str]) -> str:
    return f"<p>{kept(outcome.problem)}</p>" if outcome.value is None else shown(outcome.value)


def _button(shown: Shown, text: str, about: str) -> str:
    here = kept(f"{shown.base}/{shown.tab}")
    return f'<form method="post" action="{here}"><button>{text}</button> <span class="soft">{about}</span></form>'


def _spam(verdict: Verdict) -> str:
    if verdict.code:
        return f"<p>{kept(verdict.engine)}: {kept(verdict.message)}</p>"
    grade, says = ("problem", "spam") if verdict.is_spam else ("pass", "not spam")
    head = (
        f'<p><span class="big {grade}">{verdict.score:.1f}</span> of {verdict.threshold:.1f} points: {says}. '
        f'<span class="soft">Judged by {kept(verdict.engine)}.</span></p>'
    )
    rows = [(f"{each.points:+.1f}", kept(each.name), kept(each.description)) for each in verdict.symbols[:MOST_ROWS]]
    return head + (table(("Points", "Rule", "What it means"), rows) if rows else "<p>No rule applied.</p>")


def _html(shown: Shown, report: HtmlReport) -> str:
    share = report.shares
    if not report.features:
        return "<p>It uses nothing that clients are known to lack.</p>"
    head = (
        f'<p><span class="big">{share.percent:.0f} %</span> supported, by weight of the clients '
        f'<span class="soft">({share.supported:.0f} % whole, {share.partial:.0f} % partly, {share.unsupported:.0f} % not). '
        f"Data of caniemail.com, {kept(report.data.date)}.</span></p>"
    )
    limits = "".join(f'<p class="soft">{kept(each)}</p>' for each in report.limits)
    rows = [_feature(shown, each, report.data) for each in report.features[:MOST_ROWS]]
    return head + limits + table(("Feature", "Support", "Lines", "Clients without it"), rows)


def _feature(shown: Shown, each: FeatureReport, data: Data) -> tuple[str, str, str, str]:
    lacking = sorted(data.name(client) for client, verdict in each.newest.items() if verdict.support == Support.NONE)
    named = ", ".join(lacking[:_NAMED]) + (f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else "")
    numbers = [place.line for place in each.finding.places[:6]]
    places = ", ".join(f'<a href="{kept(shown.base)}/source#L{number}">{number}</a>' for number in numbers)
    more = " …" if len(each.finding.places) > len(numbers) else ""
    return kept(each.feature.title), f"{each.shares.percent:.0f} %", places + more, kept(named)


def _links(shown: Shown, report: LinksReport) -> str:
    if not report.links:
        return "<p>This message has no links.</p>"
    rows = [_link(shown, each) for each in report.links[:MOST_ROWS]]
    left = report.left_out + len(report.links) - len(rows)
    more = f"<p>{words.plural(left, 'more URL')}.</p>" if left else ""
    return table(("URL", "State", "Kind", "Line"), rows) + more


def _link(shown: Shown, link: Link) -> tuple[str, str, str, str]:
    hops = "".join(f"<br><small>{hop.status} → {kept(hop.url[:300])}</small>" for hop in link.hops)
    problems = "".join(f"<br><small>{kept(each)}</small>" for each in link.problems)
    says = link.state.replace("_", " ") + (f" ({link.status})" if link.status else "")
    state = f'<span class="mark {link.state}">{says}</span>{problems}'
    return _url(link.found) + hops, state, kept(link.found.kind), _line(shown, link.found)


def _url(each: Found) -> str:
    times = f" <small>{each.count} times</small>" if each.count > 1 else ""
    label = f"<br><small>{kept(each.words[:200])}</small>" if each.words else ""
    return f"<code>{kept(each.url[:500])}</code>{times}{label}"


def _line(shown: Shown, each: Found) -> str:
    return f'<a href="{kept(shown.base)}/source#L{each.line}">{each.line}</a>' if each.line else ""


def _blocklists(report: BlocklistsReport) -> str:
    if report.result != "success":
        return f"<p>{kept(report.problem)}</p>"
    about = f"<p>{kept(report.domain)}{f', {kept(report.ip)}' if report.ip else ''}</p>"
    marks = {"listed": "problem", "clear": "pass", "unknown": "note"}
    rows = [
        (kept(each.zone.name), f'<span class="mark {marks[each.state]}">{each.state}</span>', kept(each.sentence))
        for each in report.listings
    ]
    return about + table(("List", "State", ""), rows)
