"""The judge of templates: handlebars.js from npm, in one Node process that lives as long as it is asked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from .npm import JUDGES

#: Frames of JavaScript's own stack: a template that calls itself without end is refused, and soon.
STACK = "--stack-size=800"


@dataclass(frozen=True, slots=True)
class Answer:
    """The text that handlebars.js gives, or None and why it refuses."""

    text: str | None = None
    refused: str = ""


def missing() -> str:
    """Why handlebars.js cannot be used here; empty when it can."""
    return JUDGES.missing("handlebars.js")


class HandlebarsJs:
    """A context manager around the process."""

    def __enter__(self) -> HandlebarsJs:
        command = ["node", STACK, str(JUDGES.source / "render.cjs"), str(JUDGES.folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def render(
        self,
        template: str,
        data: Any,
        *,
        partials: Mapping[str, str] | None = None,
        escape: bool = True,
        strict: bool = False,
    ) -> Answer:
        """What handlebars.js makes of a template and data that JSON can say."""
        return self._ask(template=template, data=data, partials=partials or {}, escape=escape, strict=strict)

    def compiles(self, template: str) -> bool:
        """Whether handlebars.js takes it for a template at all."""
        return self._ask(template=template).text is not None

    def _ask(self, **question: Any) -> Answer:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        return Answer(**json.loads(self._process.stdout.readline()))
