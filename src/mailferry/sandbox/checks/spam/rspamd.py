"""A client of rspamd's HTTP protocol (https://docs.rspamd.com/developers/protocol/, POST /checkv2)."""

import json
import math
from typing import Any

from mailferry.net.http import HttpClient
from mailferry.net.http_call import parse_url
from mailferry.sandbox.checks.spam.verdict import (
    DATA_ERROR,
    PROTOCOL,
    TEMPORARY,
    UNAVAILABLE,
    Symbol,
    Verdict,
    failed,
)

ENGINE = "rspamd"
SECONDS = 20.0
LARGEST = 10 * 1024 * 1024
"""Octets of a message. rspamd takes 50 MB by default; what looks like spam is in the first of them."""
_LONGEST_ANSWER = 1024 * 1024
_MOST_SYMBOLS = 500


class Rspamd:
    """`url` is of a normal worker (port 11333 by default) or of a controller. What goes wrong is a verdict that says so."""

    def __init__(self, url: str, http: HttpClient, *, seconds: float = SECONDS) -> None:
        self._url = parse_url(url.rstrip("/") + "/checkv2")
        self._http = http
        self._seconds = seconds

    async def judge(self, raw: bytes) -> Verdict:
        if len(raw) > LARGEST:
            return failed(ENGINE, DATA_ERROR, f"the message is larger than {LARGEST} octets, and is not looked at")
        reply = await self._http.call("POST", self._url, {}, body=raw, seconds=self._seconds, octets=_LONGEST_ANSWER)
        name = f"rspamd at {self._url.authority}"
        if not reply.status:
            return failed(ENGINE, TEMPORARY if reply.reached else UNAVAILABLE, f"{name}: {reply.error}")
        if reply.status != 200:
            return failed(ENGINE, PROTOCOL, f"{name} answers with status {reply.status}")
        return read(reply.body, name)


def read(body: bytes, name: str) -> Verdict:
    """The verdict of an answer. `name` is said where it is none."""
    try:
        answer = json.loads(body)
        score, threshold = _number(answer["score"]), _number(answer["required_score"])
        symbols = tuple(_symbol(key, each) for key, each in list(answer["symbols"].items())[:_MOST_SYMBOLS])
        action = str(answer.get("action", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return failed(ENGINE, PROTOCOL, f"{name} does not answer as rspamd does")
    # required_score is that of its action "reject"; what it would mark or rewrite is spam to its reader already.
    is_spam = action in ("reject", "add header", "rewrite subject") or score >= threshold
    return Verdict(ENGINE, "checkv2", score, threshold, is_spam, symbols)


def _symbol(key: str, each: dict[str, Any]) -> Symbol:
    options = [str(option) for option in each.get("options") or []][:5]
    told = f" [{', '.join(options)}]" if options else ""
    return Symbol(_number(each["score"]), key[:100], (str(each.get("description") or "") + told)[:500].strip())


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)
