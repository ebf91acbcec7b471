"""Cuts a template into tokens, exactly as the lexer of handlebars.js does, in time linear in its length."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import NamedTuple, NoReturn

from mailferry.mail.handlebars.errors import Source
from mailferry.mail.handlebars.values import WHITESPACE

MAX_TOKENS = 50_000
"""A tag has three or more. Bounds the memory of a compiled template (some 20 MiB at worst)."""

_SPACE = f"[{WHITESPACE}]"
_NAME = rf"[^{WHITESPACE}!\"#%-,./;->@\[-^`{{-~]++"
_AFTER_NAME = rf"(?=[=~}}/.)|{WHITESPACE}])"
_AFTER_WORD = rf"(?=[~}}){WHITESPACE}])"

# The rules inside a tag in the order in which they are tried: the first that matches counts, not the longest.
_RULES = {
    "OPEN_SEXPR": r"\(",
    "CLOSE_SEXPR": r"\)",
    "OPEN_RAW_BLOCK": r"\{\{\{\{",
    "CLOSE_RAW_BLOCK": r"\}\}\}\}",
    "OPEN_PARTIAL": r"\{\{~?>",
    "OPEN_PARTIAL_BLOCK": r"\{\{~?#>",
    "OPEN_BLOCK": r"\{\{~?#\*?",
    "OPEN_ENDBLOCK": r"\{\{~?/",
    "INVERSE": rf"\{{\{{~?(?:\^{_SPACE}*+|{_SPACE}*+else{_SPACE}*+)~?\}}\}}",
    "OPEN_INVERSE": r"\{\{~?\^",
    "OPEN_INVERSE_CHAIN": rf"\{{\{{~?{_SPACE}*+else(?![A-Za-z0-9_])",
    "OPEN_UNESCAPED": r"\{\{~?\{",
    "COMMENT": r"\{\{~?!",
    "OPEN": r"\{\{~?[&*]?",
    "EQUALS": r"=",
    "ID": rf"\.\.|\.{_AFTER_NAME}",
    "SEP": r"[/.]",
    "CLOSE_UNESCAPED": r"\}~?\}\}",
    "CLOSE": r"~?\}\}",
    "STRING": "[\"']",
    "DATA": r"@",
    "BOOLEAN": rf"(?:true|false){_AFTER_WORD}",
    "UNDEFINED": rf"undefined{_AFTER_WORD}",
    "NULL": rf"null{_AFTER_WORD}",
    "NUMBER": rf"-?[0-9]++(?:\.[0-9]++)?{_AFTER_WORD}",
    "OPEN_BLOCK_PARAMS": rf"as{_SPACE}++\|",
    "CLOSE_BLOCK_PARAMS": r"\|",
    "NAME": rf"{_NAME}{_AFTER_NAME}",
    "SEGMENT": r"\[",
}
_IN_TAG = re.compile(rf"{_SPACE}*+(?:{'|'.join(f'(?P<{kind}>{rule})' for kind, rule in _RULES.items())})")
_LONG_COMMENT_END = re.compile(r"--~?\}\}")
# After \{{ the text goes on to the next {{, with the backslashes that belong to it.
_ESCAPED_END = re.compile(r"\\{0,2}\{\{")
_RAW_END = re.compile(rf"\{{\{{\{{\{{/({_NAME})\}}\}}\}}\}}")
_ENDS_TAG = frozenset(("CLOSE", "CLOSE_UNESCAPED", "INVERSE", "COMMENT"))
_BACKSLASHED = re.compile(r"\\([\\\]])")


class Token(NamedTuple):
    kind: str
    text: str
    at: int


def tokens(source: Source) -> Iterator[Token]:
    """The tokens in order, the last of kind "EOF"; raises TemplateError at text that begins no token."""
    for count, token in enumerate(_Cutter(source).cut()):
        if count >= MAX_TOKENS:
            raise source.error("this template has too many tags", token.at)
        yield token


class _Cutter:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._at = 0

    def cut(self) -> Iterator[Token]:
        while self._at < len(self._text):
            start = self._text.find("{{", self._at)
            if start < 0:
                yield self._content(self._at, len(self._text))
                break
            piece = self._content(self._at, start)
            escaped = piece.text.endswith("\\") and not piece.text.endswith("\\\\")
            if piece.text.endswith("\\"):
                piece = piece._replace(text=piece.text[:-1])
            if piece.text:
                yield piece
            if escaped:
                end = _ESCAPED_END.search(self._text, start + 2)
                yield self._content(start, end.start() if end else len(self._text))
            elif (yield from self._tag()):
                yield from self._raw()
        yield Token("EOF", "", len(self._text))

    def _content(self, start: int, end: int) -> Token:
        """Text up to `end`, where the cutting goes on."""
        nul = self._text.find("\0", start, end)
        if nul >= 0:
            raise self._source.error("a NUL character cannot stand in a template", nul)
        self._at = end
        return Token("CONTENT", self._text[start:end], start)

    def _tag(self) -> Generator[Token, None, bool]:
        """The tokens of one tag; true when the text after it is that of a raw block."""
        opened = self._at
        while True:
            found = _IN_TAG.match(self._text, self._at)
            if not found:
                self._stop(opened)
            kind = found.lastgroup
            assert kind is not None
            at = found.start(kind)
            self._at = found.end()
            if kind == "COMMENT":
                yield self._comment(at)
            elif kind == "STRING":
                quote = found[kind]
                yield Token(kind, self._quoted(quote, at).replace(f"\\{quote}", quote), at)
            elif kind == "SEGMENT":
                yield Token("ID", _BACKSLASHED.sub(r"\1", f"[{self._quoted(']', at)}]"), at)
            else:
                yield Token("ID" if kind == "NAME" else kind, found[kind], at)
            if kind in _ENDS_TAG or kind == "CLOSE_RAW_BLOCK":
                return kind == "CLOSE_RAW_BLOCK"

    def _quoted(self, closing: str, at: int) -> str:
        """The inside of quotes or brackets. A closing one after a backslash ends it only if no other does."""
        start = self._at
        end = last = self._text.find(closing, start)
        while end > start and self._text[end - 1] == "\\":
            last = end
            end = self._text.find(closing, end + 1)
        end = last if end < 0 else end
        if end < 0:
            raise self._source.error(f"this {self._text[at]} is never closed", at)
        self._at = end + 1
        return self._text[start:end]

    def _comment(self, at: int) -> Token:
        body = self._at
        if self._text.startswith("--", body):
            # {{!--}} is whole: the dashes that open it may close it.
            found = _LONG_COMMENT_END.search(self._text, body)
            end = found.end() if found else 0
        else:
            end = self._text.find("}}", body) + 2
        if end < body:
            raise self._source.error("this comment is never closed", at)
        self._at = end
        return Token("COMMENT", self._text[at:end], at)

    def _raw(self) -> Iterator[Token]:
        """The text of a raw block and its end. Raw blocks in it count, whatever their names."""
        depth = 1
        while self._at < len(self._text):
            start = self._at
            if end := _RAW_END.match(self._text, start):
                depth -= 1
                self._at = end.end()
                if not depth:
                    yield Token("END_RAW_BLOCK", end[1], start)
                    return
                yield Token("CONTENT", end[0], start)
            elif self._text.startswith("{{{{", start) and self._text[start + 4 : start + 5] not in ("", "/"):
                depth += 1
                yield self._content(start, start + 4)
            else:
                stop = self._text.find("{{{{", start + 1)
                if stop < 0:
                    raise self._source.error("this raw block is never closed", start)
                yield self._content(start, stop)

    def _stop(self, opened: int) -> NoReturn:
        rest = self._text[self._at :].lstrip(WHITESPACE)
        if "}}" not in rest:
            raise self._source.error("this tag is never closed", opened)
        raise self._source.error(f"unexpected {rest[0]!r} in a tag", len(self._text) - len(rest))
