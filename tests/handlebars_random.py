"""Random Handlebars templates and data: mostly right, full of corners, about names that mostly exist."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

NAMES = ["a", "b", "c", "xs", "o", "s", "n", "z"]
ODD_NAMES = [
    *["this", "length", "foo bar", "0", "1", "constructor", "__proto__", "toString", "toHTML", "index", "key"],
    *["if", "lookup", "athis", "x", "k"],
]
KEYS = [*NAMES, *ODD_NAMES, "10", "2", "01"]
SCALARS = [
    *[None, True, False, 0, 1, 2, -1, 1.5, 10.0, 0.1, -0.0, 1e21, 1e-7, 123456789012345678],
    *["", "x", "0", "1", "2", "a", "p", "q", " 1 ", "1,2", "0x10", "true", "a b", "[object Object]"],
    *["<b>&\"'`=", "é", "😀y", "line\ntwo\n"],
]
LITERALS = [
    *['"a"', "'b'", '"p"', "'q'", '""', "'length'", '"foo bar"', '"x\\"y"'],
    *["1", "0", "-1", "1.5", "0.10", "007", "1e3", "12345678901234567890", "true", "false", "null", "undefined"],
]
CONTEXTS = [
    *["this", ".", "..", "../..", "[]", "@this", "@.", "@..", "@partial-block", "@_parent"],
    *["@root", "@index", "@key", "@first", "@last", "@../index", "@../key", "@../../index"],
]
STARTS = ["../", "./", "this.", "this/", "@root.", "@root/", "../../", "../this.", "@", "@../", "@_parent."]
SPACE = [*[""] * 4, " ", "\n", "  ", "\t", "\r\n", " \n ", "\n  ", "\u00a0", "\ufeff", "\x1c", "\x85", "\r"]
PIECES = ["x", "y", " ", "\n", "\n ", "<i>", "  \n", "\r\n", "é"]
ODD_TEXT = [
    *["\\", "\\\\", "\\\\\\", "{", "}", "}}", "{ {", "-", "\\{{a}}", "\\\\{{a}}", "\\{{{a}}}"],
    *["\\{{a\\{{b}} {{c}}", "a\\{{b}}\n  {{! c}}\n"],
]
COMMENTS = [
    *["{{! c }}", "{{!}}", "{{~! c ~}}", "{{!---}}", "{{!--}}", "{{~!-- x --~}}"],
    *["{{!-- c }} --}}", "{{!-- {{a}} --}}"],
]
NOISE = [*"{}~#/^>&!.@|=()[]\"' \n*-\\", "else", "as |", "{{", "}}", "\0"]


class Maker:
    """Makes templates, partials and data by the choices of one `Random`."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._depth = 0

    # --- data

    def data(self) -> Any:
        if self._chance(0.05):
            return self.value()
        common = {name: self.value(1) for name in NAMES if self._chance(0.8)}
        return common | {self._pick(KEYS): self.value(1) for _ in range(self._below(3))}

    def value(self, depth: int = 0) -> Any:
        kind = self._random.random()
        if depth > 3 or kind < 0.5:
            return self._pick(SCALARS)
        if kind < 0.7:
            return [self.value(depth + 1) for _ in range(self._below(4))]
        return {self._pick(KEYS): self.value(depth + 1) for _ in range(self._below(5))}

    # --- templates

    def template(self) -> str:
        text = self._body() + self._body()
        return self._damaged(text) if self._chance(0.1) else text

    def partials(self) -> dict[str, str]:
        return {name: self._body() for name in ("p", "q", "r", "undefined", "a b") if self._chance(0.6)}

    def _damaged(self, text: str) -> str:
        start, end = sorted((self._below(len(text) + 1), self._below(len(text) + 1)))
        return text[:start] + (self._pick(NOISE) + text[start:] if self._chance(0.5) else text[end:])

    def _body(self) -> str:
        makers = [self._tag] * 35 + [self._text] * 30 + [self._block] * 20 + [self._partial] * 7 + [self._comment] * 8
        if self._depth >= 4:
            makers = [self._tag, self._text]
        return "".join(self._pick(makers)() for _ in range(1 + self._below(3)))

    def _text(self) -> str:
        kind = self._random.random()
        if kind < 0.5:
            return self._pick(SPACE)
        if kind < 0.9:
            return "".join(self._pick(PIECES) for _ in range(self._below(5)))
        return self._pick(ODD_TEXT)

    def _comment(self) -> str:
        return self._pick(COMMENTS)

    def _tag(self) -> str:
        kind = self._random.random()
        if kind < 0.1:
            inside = self._pick(["x", "k", "v"])
        elif kind < 0.25:
            inside = f"lookup {self._param()} {self._param()}"
        else:
            inside = self._path_or_literal() + self._arguments(0.12, 0.03)
        if self._chance(0.3):
            return f"{{{{{self._tilde()}{{{self._gap()}{inside}{self._gap()}}}{self._tilde()}}}}}"
        return self._open(self._pick(["", "", "", "&"])) + self._gap() + inside + self._gap() + self._close()

    def _block(self) -> str:
        self._depth += 1
        makers = [self._helper_block] * 55 + [self._section] * 25 + [self._inline_partial] * 10
        made = self._pick(makers + [self._raw_block] * 3 + [self._partial_block] * 7)()
        self._depth -= 1
        return made

    def _helper_block(self) -> str:
        helper = self._pick(["if", "if", "unless", "each", "each", "each", "with", "with"])
        head = f"{helper} {self._param()}" if self._chance(0.97) else helper + self._arguments(0.5, 0.2)
        if helper in ("if", "unless") and self._chance(0.2):
            head += f" includeZero={self._param()}"
        return self._with_end("#", head, helper)

    def _section(self) -> str:
        name = self._path() if self._chance(0.93) else self._pick(LITERALS)
        return self._with_end(self._pick(["#", "#", "^"]), name + self._arguments(0.05, 0.03), name)

    def _with_end(self, sign: str, head: str, name: str) -> str:
        text = self._open(sign) + head + self._block_params(0.2) + self._close() + self._body()
        while sign == "#" and self._chance(0.15):
            helper = self._pick(["if", "unless", "each", "with", ""])
            link = f"{helper} {self._param()}" if helper else self._path()
            text += f"{self._open('')}{self._gap()}else {link}{self._block_params(0.2)}{self._close()}{self._body()}"
        if self._chance(0.3):
            text += self._pick(["{{else}}", "{{^}}", "{{~else~}}", "{{else~}}", "{{ else }}", "{{~^}}"]) + self._body()
        return text + self._open("/") + name + self._close()

    def _raw_block(self) -> str:
        head = self._pick(["if a", "a", "each xs", "raw", "o", "with o"])
        inside = self._pick(["{{a}}", " \n {{b}} \n", "", "{{{{b}}}} {{{{/b}}}}", "x"])
        return f"{{{{{{{{{head}}}}}}}}}{inside}{{{{{{{{/{head.split()[0]}}}}}}}}}"

    def _inline_partial(self) -> str:
        name = self._param() if self._chance(0.05) else self._pick(['"p"', '"p"', '"q"', '"r"', "'a b'"])
        if self._chance(0.04):
            return f"{{{{* inline {name}}}}}"
        decorator = "inline" if self._chance(0.98) else "foo"
        head = f"{decorator} {name}{self._block_params(0.02)}"
        return f"{self._open('#*')}{head}{self._close()}{self._body()}{self._open('/')}{decorator}{self._close()}"

    def _partial(self) -> str:
        name = self._pick(["p", "q", "r", "p", "q", "r", "nope", "'p'"])
        if self._chance(0.25):
            name = self._pick(["@partial-block", "undefined", '"a b"', "[a b]", "1", ".", self._call()])
        tag = self._open(">") + self._gap() + name + self._arguments(0.3, 0.25) + self._close()
        return self._text() + tag + self._text()

    def _partial_block(self) -> str:
        name = self._pick(["p", "q", "r", "nope", "@partial-block"])
        head = self._open("#>") + self._gap() + name + self._arguments(0.2, 0.15) + self._close()
        return head + self._body() + self._open("/") + name + self._close()

    # --- what stands in tags

    def _name(self) -> str:
        if self._chance(0.75):
            return self._pick(NAMES)
        name = self._pick(ODD_NAMES)
        return f"[{name}]" if " " in name or name.isdigit() or self._chance(0.2) else name

    def _path(self) -> str:
        if self._chance(0.1):
            return self._pick(CONTEXTS)
        path = (self._pick(STARTS) if self._chance(0.2) else "") + self._name()
        while self._chance(0.25):
            path += self._pick("./..") + self._name()
        return path

    def _path_or_literal(self) -> str:
        return self._pick(LITERALS) if self._chance(0.08) else self._path()

    def _param(self) -> str:
        kind = self._random.random()
        if kind < 0.6 or self._depth > 3:
            return self._path()
        return self._pick(LITERALS) if kind < 0.85 else self._call()

    def _call(self) -> str:
        self._depth += 1
        helper = self._pick(["lookup", "lookup", "lookup", "lookup", "log", "if", ""])
        if helper == "lookup" and self._chance(0.9):
            inside = f"lookup {self._param()} {self._param()}"
        else:
            inside = (helper or self._path_or_literal()) + self._arguments(0.5, 0.2)
        self._depth -= 1
        return f"({inside})"

    def _arguments(self, params: float, pairs: float) -> str:
        text = ""
        while self._chance(params):
            text += f" {self._param()}"
            params *= 0.4
        while self._chance(pairs):
            text += f" {self._name()}{self._pick(['=', '=', ' = '])}{self._param()}"
        return text

    def _block_params(self, chance: float) -> str:
        if not self._chance(chance):
            return ""
        names = [self._pick(["x", "k", "a", "index", "v", "athis", "if"]) for _ in range(1 + self._below(3))]
        return f" as |{' '.join(names)}|"

    def _open(self, sign: str) -> str:
        return f"{{{{{self._tilde()}{sign}"

    def _close(self) -> str:
        return self._tilde() + "}}"

    def _tilde(self) -> str:
        return "~" if self._chance(0.08) else ""

    def _gap(self) -> str:
        return self._pick([*[""] * 8, " ", "\n"])

    # --- choices

    def _pick(self, choices: Sequence[Any]) -> Any:
        return choices[self._below(len(choices))]

    def _below(self, bound: int) -> int:
        return self._random.randrange(bound)

    def _chance(self, chance: float) -> bool:
        return self._random.random() < chance
