"""A report as JSON: in Mailtrap's shape, and in ours, which says more."""

from collections.abc import Iterator
from typing import Any

from mailferry.sandbox.checks.html.found import Place
from mailferry.sandbox.checks.html.report import (
    CONDITIONAL,
    ClientReport,
    FamilyReport,
    FeatureReport,
    HtmlReport,
    Shares,
)
from mailferry.sandbox.checks.html.support import Client, Data, Support, Verdict, kind

#: Lines with something amiss that Mailtrap's shape lists; a mail with more has more to mend than anybody reads.
MAX_ERRORS = 1000

_WRITTEN = (("at-", "@"), ("pseudo-class-", ":"), ("pseudo-element-", "::"))


def mailtrap(report: HtmlReport) -> dict[str, Any]:
    """``{"report": {"status": "success", "errors": [...]}}``: per line and rule, the clients without any support."""
    errors = [error for each in report.features for error in _errors(each, report.data)]
    errors.sort(key=lambda error: (error["error_line"], error["rule_name"]))
    return {"report": {"status": "success", "errors": errors[:MAX_ERRORS]}}


def mailtrap_failure(reason: str) -> dict[str, Any]:
    return {"report": {"status": "error", "msg": reason}}


def rule_name(slug: str) -> str:
    """Short, as Mailtrap's are: ``css-display`` is ``display``, ``css-at-media`` is ``@media``."""
    name = slug.removeprefix("css-").removeprefix("html-")
    for begins, written in _WRITTEN:
        if name.startswith(begins):
            return written + name.removeprefix(begins)
    return name


def _errors(each: FeatureReport, data: Data) -> Iterator[dict[str, Any]]:
    lacking = [client for client, verdict in each.newest.items() if verdict.support == Support.NONE]
    for place in each.finding.places:
        seen = [client for client in lacking if not (place.hidden_from_outlook and client == CONDITIONAL)]
        if seen:
            yield {
                "error_line": place.line,
                "rule_name": rule_name(each.feature.slug),
                "email_clients": {
                    wanted: sorted(data.name(client) for client in seen if kind(client) == wanted)
                    for wanted in ("desktop", "mobile", "web")
                },
            }


def detailed(report: HtmlReport) -> dict[str, Any]:
    """Percentages are of weight; ``support`` is ``y``, ``a`` (partly), ``n`` or ``u`` (unknown)."""
    return {
        "data_date": report.data.date,
        "support": _shares(report.shares),
        "limits": list(report.limits),
        "families": [_family(each, report.data) for each in report.families],
        "features": [_feature(each, report.data) for each in report.features],
    }


def _family(each: FamilyReport, data: Data) -> dict[str, Any]:
    return {
        "family": each.family,
        "name": data.families.get(each.family, each.family),
        "weight": each.weight,
        "support": _shares(each.shares),
        "platforms": [_platform(client, data) for client in each.clients],
    }


def _platform(each: ClientReport, data: Data) -> dict[str, Any]:
    return _named(each.client, data) | {
        "support": _shares(each.shares),
        "versions": {version: _shares(shares) for version, shares in each.versions.items()},
    }


def _feature(each: FeatureReport, data: Data) -> dict[str, Any]:
    feature, finding = each.feature, each.finding
    return {
        "slug": feature.slug,
        "rule_name": rule_name(feature.slug),
        "title": feature.title,
        "category": feature.category,
        "description": feature.description,
        "link": feature.link,
        "tested": feature.tested,
        "support": _shares(each.shares),
        "count": finding.count,
        "places": [_place(place) for place in finding.places],
        # Those with nothing to say stand behind "support" alone.
        "clients": [
            _client(client, verdict, each, data)
            for client, verdict in each.newest.items()
            if any(one.support != Support.FULL or one.notes for one in feature.verdicts[client])
        ],
    }


def _place(place: Place) -> dict[str, Any]:
    return {"line": place.line, "snippet": place.snippet, "hidden_from_outlook": place.hidden_from_outlook}


def _client(client: Client, newest: Verdict, each: FeatureReport, data: Data) -> dict[str, Any]:
    return _named(client, data) | {
        "support": newest.support.value,
        "notes": list(newest.notes),
        "versions": {one.version: one.support.value for one in each.feature.verdicts[client]},
    }


def _named(client: Client, data: Data) -> dict[str, Any]:
    return {
        "family": client.family,
        "platform": client.platform,
        "kind": kind(client),
        "name": data.name(client),
    }


def _shares(shares: Shares) -> dict[str, float]:
    return {
        "percent": shares.percent,
        "supported": round(shares.supported, 1),
        "partial": round(shares.partial, 1),
        "unsupported": round(shares.unsupported, 1),
    }
