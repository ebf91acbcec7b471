"""Faults on purpose by SMTP: what the verdict of an inbox (sandbox/faults.py) means for a conversation."""

import asyncio
from collections.abc import Sequence

from mailferry.endpoints.smtp.replies import HANG_UP, Reply
from mailferry.mail import header, words
from mailferry.resources.inboxes import Inbox
from mailferry.sandbox.faults import Action, FaultPlayer, Seen, Stage


class SmtpFaults:
    def __init__(self, player: FaultPlayer) -> None:
        self._player = player

    async def at(
        self, inbox: Inbox, stage: Stage, sender: str, recipients: Sequence[str] = (), message: bytes = b""
    ) -> Reply | None:
        """The reply that refuses, after the delays that were asked for; None: it goes on."""
        if not inbox.faults or stage not in self._player.stages(inbox.faults):
            return None
        subject = _subject(message) if message else ""
        verdict = self._player.play(inbox.id, inbox.faults, Seen(stage, sender, recipients, subject))
        if verdict.seconds:
            await asyncio.sleep(verdict.seconds)
        rule = verdict.rule
        if rule is None:
            return None
        return HANG_UP if rule.action is Action.DISCONNECT else Reply(rule.code, rule.enhanced, rule.text)


def _subject(message: bytes) -> str:
    try:
        values = header.values(header.read_head(message), b"subject")
    except header.BadHeader:
        return ""
    return words.decode(values[0]).strip() if values else ""
