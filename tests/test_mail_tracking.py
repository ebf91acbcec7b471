"""Edits of a text: a browser's parser sees the same document but for what was edited, and every other octet stays."""

import re
from typing import Any

import html5lib
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailferry.mail import tracking
from mailferry.mail.html_scan import scan
from mailferry.mail.tracking import Edit, What, Wishes

BASE = "https://t.test/t/"
ALL = Wishes(opens=True, clicks=True)
PIXEL = b'<img src="https://t.test/t/o/x.gif" width="1" height="1" alt="" />'


def written(edit: Edit) -> bytes:
    match edit.what:
        case What.CLICK:
            return f"{BASE}c/{edit.url.encode().hex()}".encode()
        case What.PIXEL:
            return PIXEL
        case What.SPENT:
            return b""
        case _:
            return b"https://t.test/t/u/y"


def edited(document: str | bytes, wishes: Wishes = ALL, charset: str = "utf-8") -> bytes:
    octets = document.encode() if isinstance(document, str) else document
    return tracking.fill(octets, tracking.html_edits(octets, charset, wishes, BASE), written)


def clicks(document: str) -> list[str]:
    edits = tracking.html_edits(document.encode(), "utf-8", Wishes(clicks=True), BASE)
    return [edit.url for edit in edits if edit.what is What.CLICK]


# --- against a browser's parser -------------------------------------------------------------------------------------

#: Of an active formatting element that is open at the end a parser puts a copy around what is added there.
_FORMATTING = {"a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"}


def seen(document: bytes) -> list[Any]:
    """The document as a browser's parser has it, our pixel left out and our links as what they lead to."""
    parser = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("etree"), namespaceHTMLElements=False)
    tree = parser.parse(document, transport_encoding="utf-8", useChardet=False)
    out: list[Any] = []
    walk(tree, out)
    return out


def walk(element: Any, out: list[Any]) -> None:
    if callable(element.tag):
        say(out, ("comment", element.text))
    elif not (element.tag == "img" and element.get("src") == "https://t.test/t/o/x.gif"):
        spent = ("ses:tags", "ses:no-track") if element.tag.rpartition("}")[2] in ("a", "area") else ()
        attributes = {name: target(name, value) for name, value in element.attrib.items() if name not in spent}
        begin = len(out)
        out.append(("start", element.tag, sorted(map(repr, attributes.items()))))
        text(out, element.text)
        for child in element:
            walk(child, out)
        if len(out) == begin + 1 and element.tag in _FORMATTING:
            out.pop()  # nothing in it: perhaps the copy
        else:
            out.append(("end", element.tag))
    text(out, element.tail)


def say(out: list[Any], what: Any) -> None:
    out.append(what)


def text(out: list[Any], found: str | None) -> None:
    """Without white space, which belongs to the body or to nothing, as something stands before it; that no octet is lost
    is for another test to say."""
    found = "".join((found or "").split())
    if found and out and out[-1][0] == "text":
        out[-1] = ("text", out[-1][1] + found)
    elif found:
        out.append(("text", found))


def target(name: Any, value: str) -> str:
    if name == "href" and value.startswith(f"{BASE}c/"):
        return bytes.fromhex(value.removeprefix(f"{BASE}c/")).decode()
    return tracking.target(value) or value if name == "href" else value


PIECES = st.sampled_from(
    """
    <a href="https://shop.test/a?x=1&amp;y=2">|<A HREF='http://shop.test/b&copy=1'>|<a href=https://shop.test/c>|</a>
    |<a class=x href="https://shop.test/d" href="https://shop.test/second">|<area href="https://shop.test/area">
    |<a data-no-track href="https://shop.test/no">|<a href="mailto:a@b.test">|<a href="#top">|<a href="/relative">
    |<a href="&#104;ttps://shop.test/entity">|<a href = "https://shop.test/spaces" >|<a/href="https://shop.test/slash"/>
    |<a title="a > b" href="https://shop.test/gt">|<a href="  https://shop.test/trim ">|<a href="">|<a href>
    |<!-- <a href="https://shop.test/comment"> -->|<!--[if mso]><a href="https://shop.test/mso">x</a><![endif]-->
    |<![if !mso]>|<![endif]>|<!-->|<!--->|<!doctype html>|<?php echo '<a href="https://shop.test/php">' ?>|</ odd>|</>|<
    |<a ses:tags="a:b;c:d" href="https://shop.test/tags">|<area href=https://shop.test/t ses:tags=a:b SES:no-track>
    |<a/ses:no-track/ses:tags='x'href="https://shop.test/glued"title="t">|<a title ses:tags="x" ="y">|<p ses:tags="kept">
    |<style><a href="https://shop.test/style"></style>|<script>"<a href='https://shop.test/script'>"</script>
    |<title><a href="https://shop.test/title"></title>|<textarea></body><a href="https://shop.test/area"></textarea>
    |<body>|</body>|<html>|</html>|<head>|</head>|<p>|</p>|<b>|</b>|<div>|</div>|<br>|text|&amp;|é|\n|\t|"|'|>|=|<3
    |<svg>|</svg>|<![CDATA[ <a href="https://shop.test/cdata"> ]]>|<style>|<script><!--|-->|<math>|</math>|<xmp>|</xmp>
    |<iframe>|</iframe>|<noscript>|</noscript>|<template>|</template>|<a|href="https://shop.test/torn"|<a href="https://x.test
    """.strip().split("|")
).map(lambda piece: piece.strip(" ") if piece.strip() else piece)
DOCUMENTS = st.lists(PIECES, max_size=14).map("".join)
SOUND = (
    "<!DOCTYPE html><html><head><title>x</title><style><!-- a{} --></style></head><body><p>one <b>two</p>"
    '<table><tr><td><a href="https://shop.test/?a=1&amp;b=2">x</a></td></tr></table></body></html>\n'
)


@given(DOCUMENTS)
@example(SOUND)
@example('<svg><style><!-- </style><a href="https://shop.test/x">y</a> --></svg>')
@example('<p><a href="https://shop.test/open">never closed')
@example('<a href="https://shop.test/"x>y</a>')
@example('<a title ses:tags="x" ="y"><a title ses:tags="x"="y"><a title ses:no-track="" / ="y">z</a>')
def test_a_browser_sees_the_same_but_for_links_and_pixel(document: str) -> None:
    octets = document.encode()
    assert seen(edited(document)) == seen(octets)


@pytest.mark.parametrize("number", ["9" * 5000, "0" * 5000], ids=["nines", "zeros"])
def test_a_number_that_python_would_not_read_stands_for_no_character(number: str) -> None:
    hrefs = scan(b'<a href="https://shop.test/&#%b;">x</a>' % number.encode()).hrefs
    assert [href.value for href in hrefs] == ["https://shop.test/\ufffd"]


@given(DOCUMENTS)
def test_undoing_the_edits_gives_back_every_octet(document: str) -> None:
    octets = document.encode()
    edits = tracking.html_edits(octets, "utf-8", ALL, BASE)
    result = tracking.fill(octets, edits, written)
    shift, restored = 0, result
    for edit in edits:
        new = written(edit)
        at = edit.start + shift
        assert result[at : at + len(new)] == new
        shift += len(new) - (edit.end - edit.start)
    for edit in reversed(edits):
        shift -= len(written(edit)) - (edit.end - edit.start)
        at = edit.start + shift
        restored = restored[:at] + octets[edit.start : edit.end] + restored[at + len(written(edit)) :]
    assert restored == octets
    assert sum(edit.what is What.PIXEL for edit in edits) <= 1


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_nothing_makes_it_fail(document: str | bytes) -> None:
    octets = document.encode("utf-8", "replace") if isinstance(document, str) else document
    page = scan(octets)
    assert scan(octets, links=False).end == page.end
    assert all(octets[href.start : href.end] for href in page.hrefs)
    edited(octets)


# --- which links ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("https://shop.test/a?x=1&amp;y=2#z", "https://shop.test/a?x=1&y=2#z"),
        ("https://shop.test/?a=1&copy=2&lt=3", "https://shop.test/?a=1&copy=2&lt=3"),
        ("https://shop.test/&copy;", "https://shop.test/%C2%A9"),
        ("HTTPS://Shop.Test/A", "HTTPS://Shop.Test/A"),
        (" \n https://shop.test/a\n b ", "https://shop.test/a%20b"),
        ("https://müller.test/ü?ü#ü", "https://xn--mller-kva.test/%C3%BC?%C3%BC#%C3%BC"),
        ("https://shop.test", "https://shop.test"),
        ("https://user:pass@shop.test:8443/", "https://user:pass@shop.test:8443/"),
        ("https://shop.test/%E2%82%AC", "https://shop.test/%E2%82%AC"),
    ],
)
def test_where_a_link_leads(href: str, url: str) -> None:
    assert clicks(f'<a href="{href}">x</a>') == [url]


@pytest.mark.parametrize(
    "tag",
    [
        '<a href="mailto:a@b.test">', '<a href="tel:+491">', '<a href="#x">', '<a href="/x">', '<a href="//shop.test/">',
        '<a href="javascript:alert(1)">', '<a href="https:///x">', '<a href="https://">', '<a href="http:\\\\shop.test">',
        '<a href="ftp://shop.test/">', '<link href="https://shop.test/">', '<base href="https://shop.test/">',
        '<a data-href="https://shop.test/">', '<a xlink:href="https://shop.test/">', '<a href="__unsubscribe_url__">',
        '<a href="http://__unsubscribe_url__">', '<a href="https://shop.test/?u=__unsubscribe_url__">',
        '<a data-mt-no-track href="https://shop.test/">', '<a href="https://shop.test/" DATA-NO-TRACK="">',
        '<a ses:no-track href="https://shop.test/">', f'<a href="{BASE}u/abc">', f'<a href="https://shop.test/{"x" * 4000}">',
        '<a href="https://shop.test/', '<!--[if mso]><a href="https://shop.test/"><![endif]-->',
    ],
)  # fmt: skip
def test_what_is_left_alone(tag: str) -> None:
    assert clicks(tag) == []


@pytest.mark.parametrize(
    ("tag", "left", "tags"),
    [
        ('<a ses:tags="a:b; c:d" href="https://x.test/">', '<a href="{0}">', "a:b; c:d"),
        ('<a href="https://x.test/" SES:TAGS=a:b>', '<a href="{0}">', "a:b"),
        ('<a href="https://x.test/"ses:tags="a&amp;b:c"title="t">', '<a href="{0}"title="t">', "a&b:c"),
        ('<a ses:tags="ü:b" href="https://x.test/">', '<a href="{0}">', ""),
        (f'<a ses:tags="a:{"b" * 4000}" href="https://x.test/">', '<a href="{0}">', ""),
        ('<a class="c" ses:no-track ses:tags="a:b" href="https://x.test/">', '<a class="c" href="https://x.test/">', None),
    ],
)  # fmt: skip
def test_amazon_s_attributes_say_how_clicks_are_told_apart_and_go(tag: str, left: str, tags: str | None) -> None:
    edits = tracking.html_edits(tag.encode(), "utf-8", Wishes(clicks=True), BASE)
    assert [edit.tags for edit in edits if edit.what is What.CLICK] == ([] if tags is None else [tags])
    assert edited(tag, Wishes(clicks=True)).decode() == left.format(f"{BASE}c/{b'https://x.test/'.hex()}")


def test_the_pixel_stands_where_amazon_s_placeholder_wants_it() -> None:
    document = '<p>{{ses:openTracker}}<a href="https://x.test/{{ses:openTracker}}">x</a></p></body>'
    left = document.replace("{{ses:openTracker}}", "").encode()
    assert edited(document) == left.replace(b"<p>", b"<p>" + PIXEL)
    assert edited(document, Wishes(clicks=True)).count(b"{{ses:openTracker}}") == 1, (
        "nothing is opened that nobody follows"
    )


def test_tags_of_a_link_are_names_with_values() -> None:
    assert tracking.link_tags("a:b; a:c ;d:e:f;g;:h;i:") == {"a": ["b", "c"], "d": ["e:f"]}
    assert tracking.link_tags("") == {}


def test_a_query_in_another_charset_is_left_to_the_browser() -> None:
    document = '<a href="https://shop.test/?q=é">x</a><a href="https://shop.test/?q=e">x</a>'.encode("latin-1")
    edits = tracking.html_edits(document, "iso-8859-1", Wishes(clicks=True), BASE)
    assert [edit.url for edit in edits] == ["https://shop.test/?q=e"]


@pytest.mark.parametrize(
    ("charset", "holds"),
    [("utf-8", True), ("iso-8859-15", True), ("windows-1252", True), ("shift_jis", True), ("gb18030", True),
     ("big5", True), ("euc-jp", True), ("koi8-r", True), ("utf-16", False), ("utf-16le", False), ("utf-7", False),
     ("iso-2022-jp", False), ("hz", False), ("cp037", False), ("rot13", False), ("x-none", False)],
)  # fmt: skip
def test_charsets_in_which_markup_can_be_found(charset: str, holds: bool) -> None:
    assert tracking.holds_ascii(charset) is holds


# --- where things go ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("<body>a</body></html>", "<body>a*</body></html>"),
        ("<body>a</BODY ></html>", "<body>a*</BODY ></html>"),
        ("a</body>b</body>", "a</body>b*</body>"),
        ("just text\r\n", "just text*\r\n"),
        ("<!-- </body> -->a", "<!-- </body> -->a*"),
        ("</body><!-- </body> -->", "*</body><!-- </body> -->"),
        ("", "*"),
    ],
)
def test_the_pixel_stands_at_the_end_of_the_body(document: str, expected: str) -> None:
    assert edited(document, Wishes(opens=True)).decode() == expected.replace("*", PIXEL.decode())


@pytest.mark.parametrize("document", ["a<!-- b", "<style>a", "<textarea>a", "a<b", "<plaintext>a"])
def test_no_pixel_where_it_would_be_text(document: str) -> None:
    assert edited(document, Wishes(opens=True)).decode() == document


@pytest.mark.parametrize(
    "text", ["__unsubscribe_url__", "http://__unsubscribe_url__", "https://__tracking_opt_out_url__"]
)
def test_placeholders_are_replaced_wherever_they_stand(text: str) -> None:
    document = f"<!--[if mso]><v:rect href='{text}'><![endif]-->{text}".encode()
    result = edited(document, Wishes())
    assert result == document.replace(text.encode(), b"https://t.test/t/u/y")
    plain = tracking.fill(text.encode(), tracking.text_edits(text.encode(), footer=False), written)
    assert plain == b"https://t.test/t/u/y"


@given(st.integers(0, 120), st.sampled_from([tracking.UNSUBSCRIBE, tracking.OPT_OUT]))
def test_a_placeholder_is_found_across_a_soft_line_break(before: int, placeholder: bytes) -> None:
    from mailferry.mail.transfer import quoted_printable

    encoded = quoted_printable(b"x" * before + placeholder + b"y" * 60 + b"\r\n")
    assert tracking.may_hold_placeholder(encoded)
    assert not tracking.may_hold_placeholder(re.sub(rb"[_=]", b"-", encoded))
