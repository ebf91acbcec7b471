"""Accessibility: each rule met and not met, colours computed as CSS has them, and HTML of any kind read as a page."""

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.sandbox.checks import accessibility, page, styles

GOOD = (
    "<!DOCTYPE html><html lang='en'><head><title>Hello</title></head><body><h1>Hello</h1><h2>There</h2>"
    "<table role='presentation'><tr><td>Some text <a href='https://a.test/'>about our prices</a></td></tr></table>"
    "<img src=a.png alt='A cat'><img src=space.gif alt=''></body></html>"
)


def told(html: str) -> list[str]:
    return [
        f"{each.rule} {each.grade} {each.line}: {each.sentence}"
        for each in accessibility.check(html)
        if each.grade != "pass"
    ]


def test_a_good_mail_passes_everything() -> None:
    assert told(GOOD) == []
    assert [each.rule for each in accessibility.check(GOOD)] == ["language", "title", "alt", "contrast"]


def but(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


BAD = {
    but(
        " lang='en'", ""
    ): "language problem 0: No language is named (<html lang>), so screen readers guess how to speak it.",
    but("'en'", "'english language'"): "language problem 0: lang='english language' is no language.",
    but("<title>Hello</title>", "<title> </title>"): (
        "title warning 0: The document has no title; where a mail is opened in a browser, it is what is read first."
    ),
    but(
        "<img src=a.png alt='A cat'>", "\n\n<img src=a.png>"
    ): "alt problem 3: A picture has no alternative text: 'a.png'.",
    but("A cat", "cat.png"): "alt warning 1: An alternative text is a file's name: 'cat.png'.",
    but("about our prices", "<img src=x alt=''>"): "link-text problem 1: A link has no text: 'https://a.test/'.",
    but("about our prices", "Click <b>here</b> »"): (
        "link-text warning 1: A link says 'Click here »', which tells nothing where links are read as a list."
    ),
    but("about our prices", "https://a.test/" + "x" * 40): (
        "link-text note 1: A link's text is a long URL, which is read letter by letter: 'https://a.test/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'."
    ),
    but("h2>", "h3>"): "headings warning 1: An h3 follows an h1: a level is left out ('There').",
    but("There", " "): "headings warning 1: A heading (h2) is empty.",
    but("<h1>Hello</h1><h2>There</h2>", "word " * 151): (
        "headings note 0: A long text has no headings, by which screen readers move."
    ),
    but(" role='presentation'", ""): (
        'table-role warning 1: A layout table lacks role="presentation", so its rows and columns are read out.'
    ),
    but("<tr><td>", "<tr><th>x</th></tr><tr><td>"): (
        "table-role warning 1: A table with headings is marked as layout, so its cells lose their meaning."
    ),
    but("There", "<marquee>x</marquee>"): "moving problem 1: A text moves by itself (<marquee>).",
    but("<td>", "<td style='color:#999'>"): (
        "contrast problem 1: 'Some text' is #999999 on #ffffff: a contrast of 2.8:1, where 4.5:1 is the least."
    ),
}


@pytest.mark.parametrize("html", BAD, ids=lambda html: BAD[html][:30])
def test_what_is_wrong_is_said_and_nothing_else(html: str) -> None:
    assert told(html) == [BAD[html]]


def test_what_is_no_fault_is_not_told() -> None:
    for html in (
        but("<img src=a.png alt='A cat'>", "<img src=a.png aria-hidden=true>"),
        but("about our prices", "<img src=x alt='Our prices'>"),
        but("<a href", "<a aria-label='Our prices' href"),
        but(" role='presentation'><tr><td>", "><tr><th>Price</th></tr><tr><td>"),
        but("<td>", "<td style='display:none;color:#fff'>"),
        but("<td>", "<td style='color:#999;background:url(x.png)'>").replace("<a ", "<a style='color:#fff' "),
    ):
        assert told(html) == [], html


def test_findings_of_a_rule_are_bounded() -> None:
    found = told(but("<img src=a.png alt='A cat'>", "<img>" * 40))
    assert len(found) == accessibility.MOST + 1 and found[-1] == "alt problem 0: There are 30 more of this kind."


COLOURS = {
    "<p style='color:red'>x": ("#ff0000", "#ffffff", 16.0, False),
    "<p style='color:rgb(0 0 255 / 50%)'>x": ("#8080ff", "#ffffff", 16.0, False),
    "<p style='color:hsl(240 100% 50%)'>x": ("#0000ff", "#ffffff", 16.0, False),
    "<p style='color:lab(50% 40 59)'>x": ("#000000", "#ffffff", 16.0, False),
    "<p style='color:rgba(0,0,0,.5)'>x": ("#808080", "#ffffff", 16.0, False),
    "<body bgcolor=000080 text=white><p>x": ("#ffffff", "#000080", 16.0, False),
    "<td bgcolor='#eee'><font color=#333 size=5>x": ("#333333", "#eeeeee", 24.0, False),
    "<div style='background:#000 none'><p style='background:transparent;color:#fff'>x": (
        "#ffffff",
        "#000000",
        16.0,
        False,
    ),
    "<style>.a{color:#111}p{color:#222}#i{color:#333}</style><p class='b a' id=i>x": (
        "#333333",
        "#ffffff",
        16.0,
        False,
    ),
    "<style>.a{color:#111}p{color:#222}</style><p class='b a'>x": ("#111111", "#ffffff", 16.0, False),
    "<style>p{color:#111}p{color:#222}</style><p style='color:#444'>x": ("#444444", "#ffffff", 16.0, False),
    "<style><!-- h1, p { color : #111 } @media (max-width:1px){p{color:#222}} div p{color:#333}--></style><p>x": (
        "#111111",
        "#ffffff",
        16.0,
        False,
    ),
    "<a href=x>x</a>": ("#0000ee", "#ffffff", 16.0, False),
    "<h1>x": ("#000000", "#ffffff", 32.0, True),
    "<p style='font:bold 18pt/1.2 Arial'>x": ("#000000", "#ffffff", 24.0, True),
    "<div style='font-size:20px'><p style='font-size:150%'><b>x": ("#000000", "#ffffff", 30.0, True),
    "<div style='font-size:2em'><b style='font-weight:normal'>x": ("#000000", "#ffffff", 32.0, False),
    "<p style='background-color:#123456; background-image:none'>x": ("#000000", "#123456", 16.0, False),
}


@pytest.mark.parametrize("html", COLOURS)
def test_colours_and_sizes_are_computed(html: str) -> None:
    (text,) = styles.texts(page.read(html).root)
    style = text.style
    assert style.background is not None
    found = (
        styles.hexadecimal(style.colour),
        styles.hexadecimal(style.background),
        round(style.size, 2),
        style.is_bold,
    )
    assert found == COLOURS[html]


def test_what_is_hidden_or_lies_on_a_picture_is_known() -> None:
    for html in (
        "<p style='display:none'>x",
        "<p style='visibility:hidden'>x",
        "<p style='font-size:0'>x",
        "<p hidden>x",
    ):
        assert list(styles.texts(page.read(html).root)) == []
    for html in (
        "<p style='background:url(a.png)'>x",
        "<td background=a.png>x",
        "<p style='background:linear-gradient(red,blue)'>x",
    ):
        assert [each.style.background for each in styles.texts(page.read(html).root)] == [None], html


def test_contrast_is_that_of_the_guidelines() -> None:
    # The examples that everybody gives: 21 for black on white, 4.54 for #767676, 4.48 for #777.
    def grey(level: int) -> styles.Colour:
        return (level / 255, level / 255, level / 255)

    assert round(styles.contrast(styles.BLACK, styles.WHITE), 2) == 21
    assert round(styles.contrast(grey(0x76), styles.WHITE), 2) == 4.54
    assert round(styles.contrast(styles.WHITE, grey(0x77)), 2) == 4.48


# --- the page ---------------------------------------------------------------------------------------------------------


def shown(element: page.Element) -> str:
    out = []
    for child in element.children:
        if isinstance(child, str):
            out.append(child)
        else:
            attributes = "".join(f" {name}={value!r}" for name, value in sorted(child.attributes.items()))
            out.append(f"<{child.name}{attributes}>{shown(child)}</{child.name}>")
    return "".join(out)


#: Where the words of html5lib and of the page are compared: no tables, whose stray text a browser moves in front of them.
DOCUMENTS = [
    "<p>a<p>b<b>c</b> &amp; &eacute; d<br>e",
    "<ul><li>a<li>b</ul>c",
    "<table><tbody><tr><td>a<td>b<tr><td>c</table>d",
    "a<!-- b --> c <!----> d <!--> e --!> f",
    "<a href=x title='a>b' data-x=\"y'z\" checked>t</a>",
    "<style>p{}</style>a<script>if (a<b) '</p>'</script>b<title>t&lt;</title>",
    "a < b <3 c</ d>e<? f ?>g<!doctype html>h<![if !mso]>i<![endif]>j",
    "<IMG SRC=a ALT='x'/>y<input/>z<p/>w",
    "<p>a</div>b</p>c",
    "<a href=1>x<a href=2>y",
    "a<a href='unclosed>b",
    "<textarea><b>a</textarea>b",
    "a</>b<plaintext>c<b>d",
    "a<a href='?x=1&copy=2&amp;y'>b</a",
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_page_has_the_elements_and_words_that_html5lib_finds(document: str) -> None:
    reference = html5lib.parse(f"<body>{document}", namespaceHTMLElements=False)
    body = reference.find("body")
    mine = page.read(document).root
    theirs = [
        (each.tag, dict(each.attrib))
        for each in body.iter()
        if isinstance(each.tag, str) and each.tag not in ("body", "tbody")
    ]
    assert [(each.name, each.attributes) for each in mine.walk() if each.name not in ("", "tbody")] == theirs
    texts = [
        text
        for each in body.iter()
        for text in ([each.text] if isinstance(each.tag, str) else []) + [each.tail]
        if text
    ]
    words = "".join([child for each in mine.walk() for child in each.children if isinstance(child, str)])
    assert sorted(words.split()) == sorted(" ".join(texts).split()) or "".join(sorted(words)) == "".join(
        sorted("".join(texts))
    )


def test_a_page_says_where_its_elements_stand_and_what_was_cut() -> None:
    found = page.read("a\n<b>\n\n<i x='\n'>c")
    assert [(each.name, each.line) for each in found.root.walk()] == [("", 1), ("b", 2), ("i", 4)]
    assert not found.is_cut
    for bomb in ("<b>" * 50_001, "</b>" * 300_002, "x" * 1_000_001):
        cut = page.read(bomb)
        assert cut.is_cut and sum(1 for _ in cut.root.walk()) <= page.MAX_ELEMENTS + 1


def test_hostile_pages_are_checked() -> None:
    for bomb in (
        "<table><tr><th>" * 5_000,
        "<a href=x><h1><img>" * 5_000,
        "<p style='" + "color:#aaa;" * 5_000 + "'>x",
        "<div hidden>" * 300 + "x",
    ):
        accessibility.check(bomb)


@given(st.text("<>/='\" \n!-abtdp&;#x1{}:%", max_size=80) | st.text(max_size=60))
def test_any_text_is_a_page(text: str) -> None:
    accessibility.check(text)
    accessibility.check(f"<style>{text}</style><p style='{text}' class=a>x")
