"""Tags are those that a browser's tokenizer sees, in html5lib's words, and offsets are where they stand."""

from collections.abc import Iterator

from html5lib._tokenizer import HTMLTokenizer
from html5lib.constants import tokenTypes
from hypothesis import example, given
from hypothesis import strategies as st

from mailferry.sandbox.checks.markup import Comment, Doctype, EndTag, Tag, tokens

PIECES = st.sampled_from(
    """
    <a href="x y">|<A HREF='x'>|<a href=x>|<a href = x >|<a/href=x/>|<p class=a class=b>|<img src=x alt>|<b "c" d=e>|<i =x>
    |<a title="a > b">|<a title=a"b>|<br/>|<br / >|</a>|</A x=y>|</ odd>|</>|<>|< a>|<3|<|>|"|'|=|/|-|text|é|\n|\t|<a|<a b
    |<a b="|<a b='|<!-- c -->|<!---->|<!-->|<!--->|<!-- c --!>|<!--|<!-- a -- b -->|<!doctype html>|<!DOCTYPE x "y">|<!x>
    |<![if !mso]>|<![endif]>|<?php x ?>|<style>|</style>|<style>a{}</style>|<style><!-- a{} --></style>|</sTyle >|</styles>
    |<title>|</title>|<textarea>|</textarea>|<script>|</script>|<svg>|</svg>|<plaintext>|<h1>|<x:y z:w=v>|<table\n\nwidth=3>
    """.strip().split("|")
).map(lambda piece: piece.strip(" ") if piece.strip() else piece)
DOCUMENTS = st.lists(PIECES, max_size=14).map("".join)


def strange(document: str) -> Iterator[tuple[object, ...]]:
    """What html5lib's tokenizer says, told by its tree builder's rules which elements hold text."""
    tokenizer = HTMLTokenizer(document)
    states = dict.fromkeys(["style", "xmp", "iframe", "noembed", "noframes"], tokenizer.rawtextState)
    states |= {"title": tokenizer.rcdataState, "textarea": tokenizer.rcdataState, "script": tokenizer.scriptDataState}
    for token in tokenizer:
        if token["type"] == tokenTypes["StartTag"]:
            pairs = token["data"].items() if hasattr(token["data"], "items") else reversed(token["data"])
            yield "start", token["name"], dict(pairs)
            tokenizer.state = states.get(token["name"], tokenizer.state)
            if token["name"] == "plaintext":
                return
        elif token["type"] == tokenTypes["EndTag"]:
            yield "end", token["name"]
        elif token["type"] == tokenTypes["Comment"]:
            yield ("comment",)
        elif token["type"] == tokenTypes["Doctype"]:
            yield ("doctype",)


def ours(document: str) -> Iterator[tuple[object, ...]]:
    for token in tokens(document):
        match token:
            case Tag():
                yield "start", token.name, {name: each.value for name, each in token.attributes.items()}
            case EndTag():
                yield "end", token.name
            case Comment():
                yield ("comment",)
            case Doctype():
                yield ("doctype",)


@given(DOCUMENTS)
@example("<style>a<b></style><i>")
@example('<p title="never closed><b>')
@example("<!-- never closed <b>")
@example("</")
@example("<!")
def test_as_a_browser_reads_it(document: str) -> None:
    assert list(ours(document)) == list(strange(document))


@given(DOCUMENTS)
def test_offsets_are_where_things_stand(document: str) -> None:
    last = -1
    for token in tokens(document):
        assert last <= token.at < token.end
        last = token.end
        assert document[token.at] == "<"
        if isinstance(token, Tag):
            assert document[token.at + 1 :].lower().startswith(token.name)
            for attribute in token.attributes.values():
                assert document.startswith(attribute.value, attribute.at)
            if token.content:
                assert token.end == token.content[1]
                rest = document[token.end :]
                assert rest == "" or rest.lower().startswith(f"</{token.name}")
