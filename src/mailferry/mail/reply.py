"""What an SMTP reply means for a recipient: RFC 5321 4.2 (codes), RFC 3463 (enhanced codes), and experience.

`classify` turns an `Answer` into an outcome, into one of Mailtrap's bounce categories, and into the decision whether the
address goes on the suppression list. The words are judged by the table in reply_rules.py. A good address that is
suppressed by mistake is mail lost without anybody noticing, so all doubt is decided against suppressing.
"""

import re
from dataclasses import dataclass
from typing import Literal

from mailferry.mail.reply_rules import HARD_RULES, SOFT_RULES, Rule

Outcome = Literal["delivered", "later", "failed"]

LONGEST = 1000  # characters of a reply that are kept; receivers are free to talk on (RFC 5321 4.5.3.1.5)

# Controls, bidirectional and line separators: what could forge a second line in a log or confuse a terminal.
_UNPRINTABLE = re.compile("[\x00-\x20\x7f-\xa0\u2028-\u202e\u2066-\u2069\ufeff]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
# An enhanced code in the words of servers that do not put it in front ("(#5.1.1)"), never a piece of an IP address.
_ENHANCED = re.compile(r"(?:^|[\s#(\[])([45]\.\d{1,3}\.\d{1,3})(?![.\d])")


@dataclass(frozen=True, slots=True)
class Answer:
    """What was heard about one recipient, or why nothing was heard."""

    code: int  # the reply code as heard; 0 = none was heard (DNS, connect, TLS, timeout, lost connection, our refusal)
    enhanced: str = ""  # "5.1.1"; with code 0 one of our own that says how permanent it is: 4.x.x again, 5.x.x give up
    text: str = ""  # one line, see `clean`
    stage: str = ""  # "dns" "connect" "tls" "ehlo" "auth" "mail" "rcpt" "data" "dot" "prepare" "simulator"
    transport: str = ""  # "mx" "relay" "simulator"
    host: str = ""
    ip: str = ""
    tls: str = ""  # "TLSv1.3"
    local_ip: str = ""
    ms: int = 0  # milliseconds from the first packet to the answer


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    category: str  # Mailtrap's word for a bounce, "" when delivered
    suppress: bool


_DELIVERED = Verdict("delivered", "", False)

#: The stage of an answer that says: the address is on a suppression list. Nothing was tried, and nothing bounced.
SUPPRESSED = "suppressed"

#: The stages of an attempt in which the host has not heard of any mail yet.
BEFORE_MAIL = frozenset(("dns", "connect", "tls", "ehlo", "auth"))
# Answers before the first recipient was named cannot be about one.
_BEFORE_RECIPIENT = BEFORE_MAIL | {"mail", "prepare"}
_ABOUT_RECIPIENT = frozenset(("rcpt", "data", "dot"))


def classify(answer: Answer) -> Verdict:
    """Outcome by the code's class; category by words, enhanced code and stage; see the module for `suppress`."""
    if 200 <= answer.code <= 299:
        return _DELIVERED
    if answer.code == 0:
        permanent = answer.enhanced.startswith("5")
        return Verdict("failed" if permanent else "later", _unheard(answer), False)
    if 500 <= answer.code <= 599:
        category = _category(answer)
        return Verdict("failed", category, _suppresses(answer, category))
    if 400 <= answer.code <= 499:
        return Verdict("later", _category(answer), False)
    # 354 after the final dot, 1xx, 999: no server should say this here. Nothing is settled by it.
    return Verdict("later", "other", False)


def clean(text: str | bytes) -> str:
    """One line of at most 1000 characters without control characters; octets that are not UTF-8 read as Latin-1."""
    if isinstance(text, bytes):
        text = _decode(text)
    if text.isprintable():
        return text.strip()[:LONGEST].rstrip()
    # Cut first, with room for what goes: a reply of megabytes costs no more than a long one.
    text = _UNPRINTABLE.sub(" ", text[: 4 * LONGEST])
    return _SURROGATE.sub("\ufffd", text).strip()[:LONGEST].rstrip()


def rule_for(answer: Answer) -> Rule | None:
    """The rule that decides the category of a 4xx or 5xx reply; None when its words and codes told nothing."""
    text = " ".join(answer.text.lower().split())
    enhanced = answer.enhanced
    if not enhanced:
        found = _ENHANCED.search(text)
        # One of another class than the code is not about this reply ("450 ... was 5.7.1 before").
        if found is not None and found[1][0] == str(answer.code)[0]:
            enhanced = found[1]
    if enhanced:
        # Gmail repeats the code at each of its lines, so in the middle of phrases.
        text = text.replace(enhanced + " ", "")
    detail = enhanced[1:] + "."
    for rule in SOFT_RULES if answer.code < 500 else HARD_RULES:
        if detail.startswith(rule.enhanced) and (rule.words is None or rule.words.search(text) is not None):
            return rule
    return None


def _decode(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _category(answer: Answer) -> str:
    """The rule's category, seen from the stage; a default where no rule fits."""
    if answer.stage == "auth" and answer.code >= 500:
        return "relayfail"
    rule = rule_for(answer)
    if rule is None:
        return _default(answer)
    # Before a recipient was named, "unknown" and "full" speak of the sender or of us.
    if rule.category in ("badrecipient", "overquota") and answer.stage in _BEFORE_RECIPIENT:
        return "badsender" if answer.stage == "mail" else "serverpolicy"
    return rule.category


def _default(answer: Answer) -> str:
    if answer.code < 500:
        return "transientfail"
    # All that a server knows of us before MAIL is our address.
    return "block" if answer.stage in ("connect", "ehlo") else "generalfail"


def _suppresses(answer: Answer, category: str) -> bool:
    if category in ("badrecipient", "overquota"):
        return answer.stage not in _BEFORE_RECIPIENT
    # A host that did not answer at all says nothing about one of its mailboxes.
    return category == "timeout" and answer.stage in _ABOUT_RECIPIENT


# By enhanced code without its class, for what the net or we ourselves said in place of a server.
_UNHEARD = {
    "1.2": "dnsFail",
    "1.10": "dnsFail",  # null MX (RFC 7505): learned from DNS, and it changes there
    "4.1": "timeout",
    "4.3": "dnsFail",
    "4.4": "dnsFail",
    "4.7": "timeout",
    "6.3": "content",
    "6.7": "content",
    "7.5": "serverfail",
}
_UNHEARD_STAGES = {"dns": "dnsFail", "tls": "serverfail", "prepare": "content"}


def _unheard(answer: Answer) -> str:
    category = _UNHEARD.get(answer.enhanced[2:]) or _UNHEARD_STAGES.get(answer.stage)
    if category is not None:
        return category
    return {"4": "transientfail", "5": "generalfail"}.get(answer.enhanced[:1], "other")
