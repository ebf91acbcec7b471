"""Logs: one structured event a line, JSON or for a terminal, on standard error. Secrets never reach them."""

import contextlib
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

#: A value under such a name is never printed, whoever logs it.
SECRET_NAMES = frozenset(
    {"password", "token", "secret", "authorization", "api_token", "private_key", "credentials", "cookie"}
)


def configure(style: str, level: str) -> None:
    """``style`` is json, console or auto (a terminal decides). Called once, before anything logs."""
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _hide_secrets,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer() if not console else structlog.dev.set_exc_info,
            _on_a_terminal() if console else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    # Libraries speak through the standard library: what they warn of is ours to show.
    logging.basicConfig(stream=sys.stderr, level=max(number, logging.WARNING), format="%(name)s: %(message)s")


class _StandardError:
    """A line that it does not take (a full disk, a closed pipe) is lost, and nothing else: who logs it must go on."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return sys.stderr.write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def _on_a_terminal() -> structlog.dev.ConsoleRenderer:
    # The other formatters show local variables: tokens, passwords and the text of mail.
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


def _hide_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event:
        if name in SECRET_NAMES:
            event[name] = "***"
    return event
