"""The report of the HTML check: lines, clients, weights, both shapes, and what a hostile document can do."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailtrap.models.messages import AnalysisReportError, AnalysisReportResponse, AnalysisReportSuccess

from mailferry.sandbox.checks.html import (
    NO_DATA,
    DataMissing,
    HtmlReport,
    check,
    detailed,
    document,
    found,
    mailtrap,
    mailtrap_failure,
    support,
)
from mailferry.sandbox.checks.html.report import Shares, report
from mailferry.sandbox.checks.html.support import Client, Data, Feature, installed
from tests.peers.parts import strict

needs_data = pytest.mark.skipif(installed() is None and not strict(), reason=NO_DATA)

OUTLOOK, GMAIL, APPLE = Client("outlook", "windows"), Client("gmail", "desktop-webmail"), Client("apple-mail", "ios")

#: Two features and four clients, so that what comes out can be counted by hand.
SMALL = Data(
    date="2026-01-02",
    features={
        slug: Feature(slug, slug.removeprefix("css-"), "", "css", f"https://x.test/{slug}", "2025-01-01", stats, notes)
        for slug, stats, notes in [
            (
                "css-float",
                {
                    "outlook": {"windows": {"2007": "y", "2019": "n #1"}, "outlook-com": {"2024-01": "y"}},
                    "gmail": {"desktop-webmail": {"2024-01": "a #2"}, "ios": {"2024-01": "u"}},
                    "hey": {"desktop-webmail": {"2024-01": "y"}},
                },
                {"1": "Not at all.", "2": "Only to the left."},
            ),
            ("css-clear", {"outlook": {"windows": {"2019": "y"}}}, {}),
        ]
    },
    families={"outlook": "Outlook", "gmail": "Gmail", "hey": "HEY"},
    platforms={"windows": "Windows", "ios": "iOS"},
)


def small(html: str, **weights: float) -> HtmlReport:
    return report(html, SMALL, weights)


def test_weights_and_shares() -> None:
    made = small("<p style='float:left'>", outlook=2)
    (feature,) = made.features
    # Outlook (weight 2) half and half, Gmail on the web partly (on iOS nobody knows), HEY wholly.
    assert feature.shares == Shares(50, 25, 25)
    assert feature.shares.percent == 62.5
    assert {family.family: family.shares for family in made.families} == {
        "gmail": Shares(0, 100, 0),
        "hey": Shares(100, 0, 0),
        "outlook": Shares(50, 0, 50),
    }
    assert made.shares == Shares(50, 25, 25)
    (outlook,) = (family for family in made.families if family.family == "outlook")
    (windows,) = (each for each in outlook.clients if each.client == OUTLOOK)
    assert windows.versions == {"2007": Shares(100, 0, 0), "2019": Shares(0, 0, 100)}


def test_a_mail_without_anything_in_it() -> None:
    made = small("Hello")
    assert made.features == () and made.families == ()
    assert mailtrap(made) == {"report": {"status": "success", "errors": []}}
    assert detailed(made)["support"] == {"percent": 0, "supported": 0, "partial": 0, "unsupported": 0}


def test_mailtraps_shape() -> None:
    html = "<p style='float:left'>\r\n<p style='clear:both'>\r\n<p style='color:red;\r\nfloat:right'>"
    outlook = {"desktop": ["Outlook (Windows)"], "mobile": [], "web": []}
    assert mailtrap(small(html)) == {
        "report": {
            "status": "success",
            "errors": [
                {"error_line": 1, "rule_name": "float", "email_clients": outlook},
                {"error_line": 4, "rule_name": "float", "email_clients": outlook},
            ],
        }
    }


def test_our_shape() -> None:
    shape = detailed(small("<p>\n<p style='float:left'>"))
    assert shape["data_date"] == "2026-01-02"
    assert shape["limits"] == []
    (feature,) = shape["features"]
    clients = feature.pop("clients")
    assert feature == {
        "slug": "css-float",
        "rule_name": "float",
        "title": "float",
        "category": "css",
        "description": "",
        "link": "https://x.test/css-float",
        "tested": "2025-01-01",
        "support": {"percent": 66.7, "supported": 50.0, "partial": 33.3, "unsupported": 16.7},
        "count": 1,
        "places": [{"line": 2, "snippet": "float:left", "hidden_from_outlook": False}],
    }
    assert [(each["name"], each["support"]) for each in clients] == [
        ("Outlook (Windows)", "n"),
        ("Gmail", "a"),
        ("Gmail (iOS)", "u"),
    ]
    assert clients[0] == {
        "family": "outlook",
        "platform": "windows",
        "kind": "desktop",
        "name": "Outlook (Windows)",
        "support": "n",
        "notes": ["Not at all."],
        "versions": {"2007": "y", "2019": "n"},
    }


def test_both_shapes_are_json_and_the_sdk_reads_mailtraps() -> None:
    made = json.loads(json.dumps(mailtrap(small("<p style='float:left'>"))))
    read = AnalysisReportResponse(**made).report
    assert isinstance(read, AnalysisReportSuccess)
    assert [error.error_line for error in read.errors] == [1]
    json.dumps(detailed(small("<p style='float:left'>")))
    assert isinstance(AnalysisReportResponse(**mailtrap_failure(NO_DATA)).report, AnalysisReportError)


@pytest.mark.parametrize(
    "html, seen",
    [
        ("<!--[if !mso]><!--><p style='float:left'><!--<![endif]-->", False),
        ("<!--[if !mso]> --><p style='float:left'><!-- <![endif]-->", False),
        ("<!--[if (!mso)&(!IE)]><!-- --><p style='float:left'><!--<![endif]-->", False),
        ("<![if !(gte mso 9)]><p style='float:left'><![endif]>", False),
        ("<!--[if !mso]><!--><p><!--<![endif]--><p style='float:left'>", True),
        ("<!--[if !mso 9]><!--><p style='float:left'><!--<![endif]-->", True),
        ("<!--[if !IE]><!--><p style='float:left'><!--<![endif]-->", True),
        ("<!--[if !mso]><p><![endif]--><p style='float:left'>", True),
        ("<!--[if mso]><p><![endif]--><p style='float:left'>", True),
    ],
)
def test_what_is_hidden_from_outlook_does_not_count_against_it(html: str, seen: bool) -> None:
    made = small(html)
    (feature,) = made.features
    assert (OUTLOOK in feature.newest) == seen
    assert (mailtrap(made)["report"]["errors"] != []) == seen
    assert detailed(made)["features"][0]["places"][0]["hidden_from_outlook"] == (not seen)


def test_a_line_that_outlook_sees_beside_one_that_it_does_not() -> None:
    made = small("<!--[if !mso]><!-->\n<p style='float:left'>\n<!--<![endif]-->\n<p style='float:left'>")
    assert [error["error_line"] for error in mailtrap(made)["report"]["errors"]] == [4]


def test_what_a_client_takes_away_with_a_comment_is_not_read() -> None:
    assert small("<!--[if mso]><p style='float:left'><![endif]-->").features == ()


@needs_data
def test_a_mail_as_it_is_sent() -> None:
    made = check(
        """<!DOCTYPE html>
<html lang="en"><head>
<style>
  /* small screens */
  @media (max-width: 600px) { .card { width: 100% !important } }
  .card:hover { border-radius: 4px }
</style></head>
<body><table class="card" width="600"><tr><td style="padding: 8px; display:
  flex">Hi</td></tr></table></body></html>"""
    )
    places = {each.feature.slug: [place.line for place in each.finding.places] for each in made.features}
    assert places == {
        "css-at-media": [5],
        "css-border-radius": [6],
        "css-comments": [4],
        "css-display": [8],
        "css-display-flex": [9],
        "css-important": [5],
        "css-padding": [8],
        "css-pseudo-class-hover": [6],
        "css-selector-class": [5, 6],
        "css-unit-percent": [5],
        "css-unit-px": [6, 8],
        "css-width": [5],
        "html-body": [8],
        "html-doctype": [1],
        "html-lang": [2],
        "html-style": [3],
        "html-table": [8],
        "html-width": [8],
    }
    errors = {
        (each["error_line"], each["rule_name"]): each["email_clients"] for each in mailtrap(made)["report"]["errors"]
    }
    assert "Outlook (Windows)" in errors[6, "border-radius"]["desktop"]
    assert "Gmail" not in errors[6, "border-radius"]["web"]
    assert "Gmail (Mobile Webmail)" in errors[3, "style"]["mobile"]
    assert "Outlook (Windows)" in errors[9, "display-flex"]["desktop"]
    assert (5, "@media") in errors and (6, ":hover") in errors
    apple = next(family for family in made.families if family.family == "apple-mail")
    outlook = next(family for family in made.families if family.family == "outlook")
    assert apple.shares.percent == 100 > outlook.shares.percent
    assert made.data.date > "2026-01-01"
    assert made.shares.supported + made.shares.partial + made.shares.unsupported == pytest.approx(100)


def test_data_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(support.installed, "__defaults__", (tmp_path / "caniemail.json",))
    with pytest.raises(DataMissing, match="make setup"):
        check("<p>")


# --- hostile documents -----------------------------------------------------------------------------------------------


def test_what_is_not_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_CHARACTERS", 1000)
    monkeypatch.setattr(document, "MAX_TAGS", 20)
    monkeypatch.setattr(document, "MAX_CSS", 30)
    long = small("<p style='float:left'>" + "x" * 1000 + "<p style='clear:both'>")
    assert list(long.limits) == ["Only the first 1,000 of 1,044 characters were read."]
    assert [each.feature.slug for each in long.features] == ["css-float"]
    many = small("<b>" * 20 + "<p style='float:left'>")
    assert list(many.limits) == ["Only the first 20 tags and comments were read."]
    assert many.features == ()
    styled = small("<p style='float:left; width:123456789px'><p style='clear:both'><p style='float:left; clear:both'>")
    assert list(styled.limits) == ["Only the first 30 characters of CSS were read."]
    assert [(each.feature.slug, each.finding.count) for each in styled.features] == [("css-float", 1)]
    assert detailed(styled)["limits"] == list(styled.limits)


def test_places_are_the_first_and_the_rest_is_counted() -> None:
    sheet = "<style>\n" + "".join("a { float: left }\n" for _ in range(100)) + "</style>"
    (feature,) = small(sheet).features
    assert [place.line for place in feature.finding.places] == list(range(2, 2 + found.MAX_PLACES))
    assert feature.finding.count == 100


LONG = 20_000


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * LONG,
        "<" * LONG,
        "<a" * LONG,
        "<!--" * LONG,
        "<a " + "b=c " * LONG,
        "<a" + " /" * LONG,
        '<p style="' + "&#10;" * LONG + 'float:left">',
        '<p style="&#' + "9" * LONG + ';float:left">',
        "<svg>" * LONG,
        "<style>" + "a{" * LONG,
        "<style>a{b:" + "(" * LONG,
        "<style>" + ":not(" * LONG,
        "<style>" + "@media{" * LONG,
        "<style>a{" + "b:c{};" * LONG,
        "<style>a{b:" + "var(--c," * LONG,
        "<style>" + "/*" * LONG,
        "<style>" + '"\n' * LONG,
        "<style>" + "\\" * LONG,
    ],
    ids=lambda html: html[:12] + "..." + html[-6:],
)
def test_a_hostile_document_gives_a_report(html: str) -> None:
    """Quadratic work on any of these would take minutes, and recursion would end the process."""
    made = small(html)
    json.dumps([mailtrap(made), detailed(made)])


PIECES = st.sampled_from(
    r"""
    <p style="|<style>|</style>|">|'|float:left|clear|:|;|{|}|(|)|[|]|,|/*|*/|@media |@keyframes |@import |!important|
    |url(|a.png|data:image/png;base64,|#a|.b|>|+|~|*|&|&#10;|&#x41;|&amp|--x|var(|calc(|1px|1e9|50%|\|"|<!--|-->|<!--[if !mso]><!-->
    |<![endif]>|<svg>|</svg>|<input type=|<a href=|<img srcset=|:not(|::before|é|<|=
    """.strip().split("|")
) | st.sampled_from(["\n", "\r\n", "\r", "\f", "\0", "\ud83d", "\U0001f600"])


@needs_data
@given(st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join))
def test_whatever_a_mail_holds_a_report_comes_out(html: str) -> None:
    made = check(html)
    last = html.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    for each in made.features:
        places = each.finding.places
        assert 1 <= len(places) <= each.finding.count
        assert all(1 <= place.line <= last for place in places)
    shapes: list[dict[str, Any]] = [mailtrap(made), detailed(made)]
    json.dumps(shapes)
