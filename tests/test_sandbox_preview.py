"""The preview's document and policy. That a browser obeys is shown in tests/peers/test_hostile_mail.py."""

import base64

import pytest

from mailferry.mail.reading import read
from mailferry.sandbox import preview as module
from mailferry.sandbox.preview import Preview, preview

PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


def shown(html: str, **how: bool) -> Preview:
    found = preview(read(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + html.encode()), **how)
    assert found is not None
    return found


def related(html: str, media: str = "image/gif", cid: str = "<logo@a.test>", octets: bytes = PIXEL) -> bytes:
    lines = (
        'Content-Type: multipart/related; boundary="b"\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n'
        f"{html}\r\n--b\r\nContent-Type: {media}\r\nContent-ID: {cid}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    return lines.encode() + base64.encodebytes(octets).replace(b"\n", b"\r\n") + b"\r\n--b--\r\n"


def test_a_mail_without_html_has_none() -> None:
    assert preview(read(b"Subject: x\r\n\r\ntext\r\n")) is None


@pytest.mark.parametrize(
    ("html", "made"),
    [
        ("<LINK rel=preconnect href=//x>", "<basefont rel=preconnect href=//x>"),
        ("<link/rel=preconnect>", "<basefont/rel=preconnect>"),
        ("<meta\tname=referrer content=unsafe-url>", "<basefont\tname=referrer content=unsafe-url>"),
        ("<base href=//x>", "<basefont href=//x>"),
        # In whatever a parser may take for a comment, an attribute or a style: one of them is wrong.
        ("<!--><base href=//x>-->", "<!--><basefont href=//x>-->"),
        ("<metadata><links><basefont><article><abbr>", "<metadata><links><basefont><article><abbr>"),
        ("<iframe src=x></iframe><EMBED src=x>", "<template src=x></template><basefont src=x>"),
        ("<object data=x>other</object>", "<span data=x>other</span>"),
        ("<img src=x>", '<img referrerpolicy="no-referrer" src=x>'),
    ],
)
def test_what_no_policy_forbids_is_made_inert_wherever_it_stands(html: str, made: str) -> None:
    assert shown(html).document.endswith(made)


@pytest.mark.parametrize("start", ["<a ", "<A\n", "<a/", "<area ", "<svg><a "])
def test_links_say_first_how_they_open(start: str) -> None:
    """Of two attributes with one name the first counts."""
    document = shown(f"{start}target=_top rel=opener href=http://x/>x</a>").document
    assert document.index('rel="noopener noreferrer"') < document.index("rel=opener")
    assert document.index('target="_blank"') < document.index("target=_top")


def test_the_policy_forbids_everything_but_styles_and_the_mails_own_images() -> None:
    for images, sources in ((False, "data:"), (True, "data: http: https:")):
        rules = dict(rule.partition(" ")[::2] for rule in shown("x", images=images).policy.split("; "))
        assert rules == {
            "sandbox": "allow-popups allow-popups-to-escape-sandbox",
            "default-src": "'none'",
            "style-src": "'unsafe-inline'",
            "img-src": sources,
            "form-action": "'none'",
            "base-uri": "'none'",
            "frame-ancestors": "'self'",
        }


@pytest.mark.parametrize(
    "html",
    [
        '<img src="cid:logo@a.test">',
        "<img src=cid:logo@a.test>",
        "<td background='CID:logo%40a.test'>",
        '<img src="cid:logo&#64;a.test">',
        "<p style='background:url(cid:logo@a.test)'>",
    ],
)
def test_the_mails_own_images_stand_in_the_page(html: str) -> None:
    found = preview(read(related(html)))
    assert found is not None and found.missing == 0
    assert f"data:image/gif;base64,{base64.b64encode(PIXEL).decode()}" in found.document


def test_an_image_that_is_not_there_or_none_stays_a_name_and_is_counted() -> None:
    for message in (related("<img src='cid:other@a.test'>"), related("<img src='cid:logo@a.test'>", "text/html")):
        found = preview(read(message))
        assert found is not None and found.missing == 1 and "data:" not in found.document


def test_an_image_named_a_thousand_times_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_INLINED", 1000)
    found = preview(read(related("<img src='cid:logo@a.test'>" * 1000)))
    assert found is not None and len(found.document) < 100_000 and 0 < found.document.count("data:") < 1000
    assert found.missing == 1000 - found.document.count("data:")


def test_the_document_type_stays_in_front() -> None:
    document = shown("<!DOCTYPE html><html><head></head>").document
    assert document.startswith("<!DOCTYPE html><meta name=") and document.endswith("<html><head></head>")


OWN = "<style>@media (prefers-color-scheme: dark){p{color:red}} @media (PREFERS-color-scheme:light){p{color:blue}}</style>"


def test_a_mails_own_rules_for_dark_hold_whatever_the_viewer_has() -> None:
    light, dark = shown(OWN), shown(OWN, dark=True)
    assert light.has_dark_rules and dark.has_dark_rules
    assert "@media (max-width:0px){p{color:red}} @media (min-width:0px){p{color:blue}}" in light.document
    assert "@media (min-width:0px){p{color:red}} @media (max-width:0px){p{color:blue}}" in dark.document
    assert "color-scheme:light!important" in light.document and "color-scheme:dark!important" in dark.document


def test_a_mail_that_says_nothing_of_dark_is_inverted() -> None:
    dark = shown("<p style='color:#111'>x", dark=True)
    assert not dark.has_dark_rules and "invert(1)" in dark.document
    assert "invert(1)" not in shown("<p>x").document and "invert(1)" not in shown(OWN, dark=True).document


@pytest.mark.parametrize(
    "html",
    [
        '<meta name="color-scheme" content="light dark">',
        '<meta name="supported-color-schemes" content="light dark">',
        "<style>:root{color-scheme: light dark}</style>",
    ],
)
def test_a_mail_that_names_dark_as_its_own_is_not_inverted(html: str) -> None:
    assert shown(html).has_dark_rules


def test_what_lies_elsewhere_is_counted() -> None:
    html = (
        '<img src="https://x.test/a.png"><td background=//x.test/b><p style="background:url( \'http://x.test/c\' )">'
        '<style>@import "https://x.test/d"</style><a href="https://x.test/">no image</a><img src="data:image/gif,">'
    )
    assert shown(html).remote == 4
