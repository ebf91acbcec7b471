"""What can go wrong with a template, each with the place in its source."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE_END = re.compile(r"\r\n?|\n")


class HandlebarsError(ValueError):
    """A template that cannot be used; `message` says why, `line` and `column` (from 1, in characters) say where.

    `template` is the name of the partial in which it happened, empty for the template itself.
    """

    def __init__(self, message: str, line: int, column: int, template: str = "") -> None:
        where = f"line {line}, column {column}"
        super().__init__(f"{template}, {where}: {message}" if template else f"{where}: {message}")
        self.message = message
        self.line = line
        self.column = column
        self.template = template


class TemplateError(HandlebarsError):
    """The source is no template: it breaks the grammar, or is larger than a template may be."""


class RenderError(HandlebarsError):
    """The template cannot be rendered with this data. `steps`: what was spent until then."""

    steps: int = 0


class MissingVariable(RenderError):
    """A strict rendering prints something that the data does not have; `path` is its name as the template writes it."""

    def __init__(self, message: str, line: int, column: int, template: str = "", *, path: str = "") -> None:
        super().__init__(message, line, column, template)
        self.path = path


class LimitExceeded(RenderError):
    """A rendering that was stopped because it took too much."""


class TooManySteps(LimitExceeded):
    """More steps than allowed: a loop over too much, or loops in loops."""


class TooDeep(LimitExceeded):
    """Blocks and partials inside each other, deeper than allowed: usually a partial that calls itself without end."""


class OutputTooLong(LimitExceeded):
    """More text than allowed."""


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a template and the name under which errors speak of it."""

    text: str
    name: str = ""

    def where(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of a character."""
        line, start = 1, 0
        for end in _LINE_END.finditer(self.text, 0, offset):
            line, start = line + 1, end.end()
        return line, offset - start + 1

    def error(self, message: str, offset: int) -> TemplateError:
        """What is wrong with this source at a character."""
        return TemplateError(message, *self.where(offset), self.name)


class Fault(Exception):
    """A rendering that fails, on its way up: the program in which it happened adds the place."""

    def __init__(self, message: str, kind: type[RenderError] = RenderError, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.path = path
        self.place: tuple[Source, int] | None = None

    def error(self, source: Source) -> RenderError:
        """The error for the caller; `source` stands in when no program knew the place."""
        source, offset = self.place or (source, 0)
        line, column = source.where(offset)
        if self.kind is MissingVariable:
            return MissingVariable(self.message, line, column, source.name, path=self.path)
        return self.kind(self.message, line, column, source.name)
