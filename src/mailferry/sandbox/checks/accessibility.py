"""Whether a mail can be read by everybody: with a screen reader, without pictures, in bright sunlight (WCAG 2.2). Pure.

What a program can see of it. That an alternative text says what its picture shows, only people can tell.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from mailferry.sandbox.checks import page, styles
from mailferry.sandbox.checks.finding import Finding, Grade
from mailferry.sandbox.checks.page import Element

LOOKED_AT = 3000
"""Elements that one rule looks at."""
MOST = 10
"""Findings of one rule; how many more there are is said in the last."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_FILE_NAME = re.compile(r"[^\s]+\.(?:png|jpe?g|gif|webp|svg|bmp)", re.IGNORECASE)
_VAGUE = frozenset(
    {
        "click here",
        "here",
        "read more",
        "more",
        "learn more",
        "link",
        "this link",
        "click",
        "this",
        "go",
        "see more",
        "view",
    }
    | {"hier", "mehr", "hier klicken", "ici", "cliquez ici", "en savoir plus", "aquí", "haga clic aquí", "clicca qui"}
)
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_LARGE, _LARGE_BOLD = 24.0, 18.66  # CSS pixels: 18 and 14 points
_LEAST, _LEAST_LARGE = 4.5, 3.0


def check(html: str) -> list[Finding]:
    """Takes seconds for the largest HTML that is looked at, so a server leaves it to a thread."""
    document = page.read(html)
    root = document.root
    found: list[Finding] = []
    for rule in (_language, _title, _images, _links, _headings, _tables, _moving, _contrast):
        found += _bounded(rule(root))
    if document.is_cut:
        found.append(Finding("size", "note", "The HTML is too large: the rest of it was not looked at."))
    return found


def _bounded(findings: Iterable[Finding]) -> list[Finding]:
    found = list(findings)
    if len(found) <= MOST:
        return found
    more = Finding(
        found[0].rule, found[MOST].grade, f"There are {len(found) - MOST} more of this kind.", found[0].source
    )
    return [*found[:MOST], more]


def _said(text: str, most: int = 50) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= most else f"{text[: most - 3]}...")


def _finding(rule: str, grade: Grade, sentence: str, source: str, element: Element | None = None) -> Finding:
    return Finding(rule, grade, sentence, f"WCAG 2.2 {source}", element.line if element else 0)


def _language(root: Element) -> Iterator[Finding]:
    languages = [each.attributes["lang"].strip() for each in root.find("html", "body") if "lang" in each.attributes]
    if not languages or not languages[0]:
        sentence = "No language is named (<html lang>), so screen readers guess how to speak it."
        yield _finding("language", "problem", sentence, "3.1.1")
    elif not _LANGUAGE.fullmatch(languages[0]):
        yield _finding("language", "problem", f"lang={languages[0][:30]!r} is no language.", "3.1.1")
    else:
        yield _finding("language", "pass", f"The language is {languages[0]}.", "3.1.1")


def _title(root: Element) -> Iterator[Finding]:
    if any(each.text().strip() for each in root.find("title")):
        yield _finding("title", "pass", "The document has a title.", "2.4.2")
    else:
        sentence = "The document has no title; where a mail is opened in a browser, it is what is read first."
        yield _finding("title", "warning", sentence, "2.4.2")


def _is_hidden(element: Element) -> bool:
    return any(
        each.attributes.get("aria-hidden") == "true" or "hidden" in each.attributes
        for each in (element, *element.ancestors())
    )


def _images(root: Element) -> Iterator[Finding]:
    images = [each for each in islice(root.find("img", "area"), LOOKED_AT) if not _is_hidden(each)]
    if images and all("alt" in each.attributes for each in images):
        yield _finding("alt", "pass", "All pictures have an alternative text.", "1.1.1")
    for each in images:
        alt = each.attributes.get("alt")
        if alt is None:
            source = each.attributes.get("src", "")[-60:]
            yield _finding("alt", "problem", f"A picture has no alternative text: {source!r}.", "1.1.1", each)
        elif _FILE_NAME.fullmatch(alt.strip()):
            yield _finding("alt", "warning", f"An alternative text is a file's name: {_said(alt)}.", "1.1.1", each)
        elif len(alt) > 250:
            sentence = (
                f"An alternative text has {len(alt)} characters; screen readers do not stop in one: {_said(alt)}."
            )
            yield _finding("alt", "note", sentence, "1.1.1", each)


def _links(root: Element) -> Iterator[Finding]:
    for each in islice(root.find("a"), LOOKED_AT):
        if "href" not in each.attributes or _is_hidden(each):
            continue
        words = " ".join(
            (
                each.attributes.get("aria-label") or each.text(alt=True, most=500) or each.attributes.get("title", "")
            ).split()
        )
        if not words and not each.attributes.get("title", "").strip():
            sentence = f"A link has no text: {each.attributes['href'][:60]!r}."
            yield _finding("link-text", "problem", sentence, "2.4.4", each)
        elif words.lower().strip(" .!>»›→") in _VAGUE:
            sentence = f"A link says {_said(words)}, which tells nothing where links are read as a list."
            yield _finding("link-text", "warning", sentence, "2.4.4", each)
        elif re.match(r"https?://\S{40,}", words):
            sentence = f"A link's text is a long URL, which is read letter by letter: {_said(words)}."
            yield _finding("link-text", "note", sentence, "2.4.4", each)


def _headings(root: Element) -> Iterator[Finding]:
    before = 0
    for each in islice(root.find(*_HEADINGS), LOOKED_AT):
        if _is_hidden(each):
            continue
        level = int(each.name[1])
        if not each.text(alt=True, most=500).strip():
            yield _finding("headings", "warning", f"A heading ({each.name}) is empty.", "2.4.6", each)
            continue
        if before and level > before + 1:
            sentence = f"An {each.name} follows an h{before}: a level is left out ({_said(each.text(most=500))})."
            yield _finding("headings", "warning", sentence, "1.3.1", each)
        before = level
    if not before and len(root.text().split()) > 150:
        yield _finding("headings", "note", "A long text has no headings, by which screen readers move.", "1.3.1")


def _tables(root: Element) -> Iterator[Finding]:
    # Of a table within a table the headings are its own.
    with_headings = {id(_table_around(each)) for each in islice(root.find("th", "caption"), LOOKED_AT)}
    for each in islice(root.find("table"), LOOKED_AT):
        is_layout = each.attributes.get("role", "").strip().lower() in ("presentation", "none")
        has_headings = id(each) in with_headings
        if is_layout and has_headings:
            sentence = "A table with headings is marked as layout, so its cells lose their meaning."
            yield _finding("table-role", "warning", sentence, "1.3.1", each)
        elif not is_layout and not has_headings and not _is_hidden(each):
            sentence = 'A layout table lacks role="presentation", so its rows and columns are read out.'
            yield _finding("table-role", "warning", sentence, "1.3.1", each)


def _table_around(element: Element) -> Element | None:
    return next((each for each in element.ancestors() if each.name == "table"), None)


def _moving(root: Element) -> Iterator[Finding]:
    for each in root.find("marquee", "blink"):
        yield _finding("moving", "problem", f"A text moves by itself (<{each.name}>).", "2.2.2", each)


def _contrast(root: Element) -> Iterator[Finding]:
    """One finding for each pair of colours, at its first text."""
    told: dict[tuple[str, str, bool], Finding] = {}
    judged = False
    for each in styles.texts(root):
        style = each.style
        if style.background is None:
            continue
        judged = True
        is_large = style.size >= _LARGE or (style.is_bold and style.size >= _LARGE_BOLD)
        least = _LEAST_LARGE if is_large else _LEAST
        ratio = styles.contrast(style.colour, style.background)
        key = (styles.hexadecimal(style.colour), styles.hexadecimal(style.background), is_large)
        if ratio < least and key not in told:
            # Rounded down: what is just below must not look as if it were enough.
            shown = f"{int(ratio * 10) / 10:g}:1"
            sentence = (
                f"{_said(each.text)} is {key[0]} on {key[1]}: a contrast of {shown}, where {least:g}:1 is the least."
            )
            told[key] = _finding("contrast", "problem" if ratio < 3 else "warning", sentence, "1.4.3", each.element)
    if judged and not told:
        yield _finding("contrast", "pass", "All texts whose colours are known have contrast enough.", "1.4.3")
    yield from told.values()
