"""What receivers mean by the words of their refusals: an ordered table for `reply.classify` (RFC 5321 4.2, RFC 3463).

Servers agree on little: Yahoo gives no enhanced code, Exchange says 5.4.1 for an unknown user, Gmail says 5.7.1 for
reputation, content and syntax alike, 552 means a full mailbox or a big message or (Yahoo) no mailbox at all. So words
go before enhanced codes, and the first rule that fits decides. The order keeps good addresses from being suppressed:
what a refusal says about the sender (lists, authentication, limits, content) is looked for before what it says about
the recipient, and an enhanced code alone convinces only where the words said nothing.

Words are regular expressions, searched for in the lower-case text without its repeated enhanced codes. `enhanced`
names subject and detail ("7.1" is 4.7.1 and 5.7.1, "7" all of x.7.x). `only` keeps a rule to 4xx or to 5xx.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    category: str
    words: re.Pattern[str] | None
    enhanced: tuple[str, ...]  # ".7.1." is compared with the start of ".7.1." or ".7.133."
    only: str


def _rule(category: str, *words: str, enhanced: str = "", only: str = "45") -> Rule:
    pattern = re.compile("|".join(words)) if words else None
    return Rule(category, pattern, tuple(f".{code}." for code in enhanced.split()) or ("",), only)


# Answers that mean something else than they seem to say, by those who give them.
_PROVIDERS = (
    _rule("content", r"rfc ?[25]8?[23]22", r"sizelimit"),  # Gmail says 5.7.1 to the first, Exchange "restricted"
    _rule("serverpolicy", r"policy that prohibited"),  # Google Workspace, a rule of the recipient's or the sender's
    _rule("verifyfail", r"ipv6 sending guidelines"),
    _rule("spam_gmail", r"gsmtp", r"google\.com", enhanced="7.1 7.26 7.28"),
    _rule("spam_gmail", r"(?:suspicious|unsolicited|reputation|unusual rate).*(?:gsmtp|google\.com)"),
    _rule("spam", r"\[[a-z]{2}\d\d\] message rejected"),  # iCloud
    _rule("block", r"\[bl\d\d\]", r"permanently deferred"),  # Yahoo, and the next three
    _rule("spam", r"\[ph\d\d\]"),
    _rule("serverpolicy", r"\[tss?\d\d\]", r"unexpected volume or user complaints"),
    _rule("verifyfail", r"policy reasons", enhanced="7.9"),  # a DMARC failure
    _rule("badrecipient", r"access denied", enhanced="4.1", only="5"),  # Exchange Online asks its directory at the edge
    _rule("badrecipient", r"recip(?:ient)?notfound", only="5"),
    _rule("serverpolicy", r"resolver\.rst", r"transport\.rules"),
    _rule("relayfail", r"tenantattribution", r"client was not authenticated"),
    _rule("overquota", r"quotaexceeded", r"mapiexceptionshutoff"),
    _rule("generalfail", r"may not exist, they may be blacklisted"),  # cPanel guesses; a guess must not suppress
    _rule("block", r"\baup#", r"_is_blocked", r"ofr_?\d*_?10[1-4]", r"lpn\d+_405"),  # Spectrum, AT&T, Orange, La Poste
    _rule("spam", r"ofr_?\d*_?506", r"\bdt:spm", r"spam or virus"),  # Orange, NetEase, T-Online
    _rule("serverfail", r"no valid recipients"),  # DATA after refused recipients: not the reason
)

# Come again. Mimecast's "temporarily unavailable" is how it greylists.
_AGAIN = (
    _rule("greylisting", r"gr[ae]y-? ?list", r"postgrey", r"resources are temporarily unavailable", only="4"),
    _rule("greylisting", r"come back", r"(?:try|retry) (?:again )?(?:in|after) \d+ ?(?:s|m)", only="4"),
)

# About who we are, and whether that could be proven.
_IDENTITY = (
    _rule("verifyfail", r"\bspf\b", r"\bdkim\b", r"\bdmarc\b", r"sender policy framework", r"sender ?id\b"),
    _rule("verifyfail", r"unauthenticated", r"authentication (?:level|check|result)", r"\bnot authenticated"),
    _rule("verifyfail", r"\bptr\b", r"\brdns\b", r"reverse[ -](?:dns|host|lookup)", r"cannot find your"),
    _rule("verifyfail", r"sender verif", r"verify (?:the )?sender", r"verification failed for"),
)

# Lists and reputation.
_LISTS = (
    _rule("block", r"spamhaus", r"spamcop", r"\bsorbs\b", r"barracuda", r"uceprotect", r"invaluement", r"mailspike"),
    _rule("block", r"abusix", r"senderscore", r"backscatterer", r"ipcheck\.proofpoint", r"dnsbl"),
    _rule("block", r"\brbl\b", r"(?:black|block|deny|ban) ?-?list", r"block listed", r"reputation", r"banned"),
    _rule("block", r"block(?:ed)? for (?:spam|abuse)", r"traffic not accepted", r"blocked sender", r"you are blocked"),
    _rule("block", r"(?:\bip\b|network|(?:your|sending) (?:\w+ ?)?(?:server|host|mta)).{0,60}(?:block|denied|reject)"),
    _rule("block", r"(?:access|mail|messages?|connections?) from .{0,60}(?:blocked|denied|refused|not a)"),
    _rule("block", r"no smtp service", r"client host rejected", r"connection (?:rejected|refused) by", r"tosa@"),
    _rule("verifyfail", r"\b(?:helo|ehlo)\b", r"fully[ -]qualified"),
)

# About the way in and the sender's address.
_SENDER = (
    _rule("relayfail", r"relay(?:ing)?\b.{0,20}(?:denied|not (?:permitted|allowed)|prohibited|disabled|rejected)"),
    _rule("relayfail", r"(?:to|not|cannot|won't) relay", r"rcpthosts", r"not a relay"),
    _rule("relayfail", r"authentication (?:is )?required", r"must authenticate", r"smtp auth", r"authenticate first"),
    _rule("badsender", r"identities failed the check"),  # Amazon SES as a relay
    _rule("badsender", r"sender\b.{0,70}(?:reject|denied|invalid|unknown|not |n.t |must)", r"domain of sender"),
    _rule(
        "badsender", r"(?:denied|invalid|unknown|bad|fake|unverified) (?:envelope |outbound |mail )?(?:sender|from\b)"
    ),
    _rule("badsender", r"(?:mail from|from address|return.?path|bounce address)\b.{0,60}(?:reject|denied|invalid|not)"),
    _rule("serverpolicy", r"\b(?:your|sending|sender's) (?:account|subscription|organization|plan)\b"),
)

# Limits: of a message first, then on us, then of the server, then of the mailbox; all of them "exceed" something.
_LIMITS = (
    _rule("content", enhanced="2.3 3.4"),
    _rule("content", r"message\b.{0,40}(?:too (?:big|large|long)|size)", r"(?:maximum|max) size", r"too (?:large|big)"),
    _rule("serverpolicy", r"\b(?:sending|daily|hourly|outbound|rate|messages?|recipients?) (?:\w+ )?(?:quota|limit)"),
    _rule("serverpolicy", r"\btoo (?:many(?! hops)|much|quickly|fast|frequent)", r"rate[ -]?limit", r"throttl"),
    _rule("serverpolicy", r"slow down", r"concurren", r"frequency", r"(?:connection|session) limit", r"at a rate that"),
    _rule("serverpolicy", r"per (?:connection|session|hour|day|minute)", r"excessive", r"harvest"),
    _rule("serverpolicy", r"exceed\w*.{0,40}(?:connections|e-?mails|messages|recipients|rate)\b"),
    _rule("serverfail", r"insufficient system", r"system (?:storage|resource)", r"disk full", r"no space left"),
    _rule("overquota", r"(?:mail ?box|inbox|maildir|folder|account|user|recipient)\b.{0,60}(?:\bfull\b|quota|exceed)"),
    _rule("overquota", r"over ?-?quota", r"over (?:\w+ ){0,2}quota", r"quota (?:\w+ ){0,2}(?:exceed|full|reach)"),
    _rule("overquota", r"exceed\w* (?:\w+ ){0,3}(?:quota|allocation|storage)", r"mailbox size limit", r"blocks limit"),
    _rule("overquota", r"out of (?:storage|disk|space)", r"(?:insufficient|not enough|no) (?:\w+ )?(?:space|storage)"),
    _rule("overquota", r"postfach.*voll", r"bo[iî]te.*pleine", r"buz[oó]n.*llen", r"casella.*piena", r"caixa.*cheia"),
)

# "No such user" where the enhanced code agrees, before "spam" in an address or a help page can hide it.
_AGREED = (_rule("badrecipient", r"unknown", r"not exist", r"n.t exist", r"no such", enhanced="1.1 1.10", only="5"),)

# About the message.
_CONTENT = (
    _rule("content", r"virus", r"malware", r"infected", r"attachment", r"potential security issue", r"executable"),
    _rule("content", r"content (?:denied|rejected|filter|examin|polic|restrict)", r"(?:bad|prohibited) content"),
    _rule("content", r"malformed", r"header.{0,40}(?:missing|invalid|duplicate)", r"(?:missing|invalid) .{0,12}header"),
    _rule("content", r"bare (?:lf|cr|newline)", r"lines? (?:is |are )?(?:too long|longer)", r"smtputf8", r"8 ?-?bit"),
    _rule("content", r"\bsurbl", r"\buribl", r"(?:url|link)s?\b.{0,40}(?:block|listed|reject|bad)", r"phish"),
    _rule("spam", r"spam", r"\bjunk\b", r"unsolicited", r"\bu[bc]e\b", r"bulk (?:e?-?mail)", r"suspicio"),
)

_WHO = r"(?:user|mail ?box|recipient|account|addressee|address|alias|rcpt|customer|subscriber|mailing list)"
_GONE = (
    r"(?:unknown|not (?:be )?(?:found|known|exist|valid|recognized|local|listed|active|here|available)|n.t exist|"
    r"no longer|invalid|non-?existent|inactive|de-?activated|disabled|terminated|closed|deleted|discontinued|expired|"
    r"undeliverable|unavailable|suspended|frozen)"
)
_NO = r"(?:unknown|invalid|no such|non-?existent|bad|inactive|disabled|unrecognized|undeliverable|incorrect)"
# About the domain, then about the mailbox.
_RECIPIENT = (
    _rule("dnsFail", r"\b(?:domain|host)\b.{0,60}(?:not found|n.t exist|not exist|unknown|has no|does not accept)"),
    _rule("dnsFail", r"(?:no such|unknown) (?:domain|host)", r"\bdns (?:query|lookup|error|fail|time)", r"nxdomain"),
    _rule("dnsFail", r"unable to (?:route|resolve)", r"unresolvable", r"name server", r"null ?mx", r"find .* domain"),
    _rule("transientfail", r"(?:mail ?box|account|recipient|user)\b.{0,40}(?:temporar|busy|locked)", only="4"),
    _rule("badrecipient", r"unverified address", r"user unknown", r"unknown user", r"n.t exist", only="4"),
    _rule("badrecipient", _WHO + r"s?\b.{0,60}\b" + _GONE, only="5"),
    _rule("badrecipient", _NO + r" (?:\w+ )?" + _WHO, r"unrouteable", r"not our customer", only="5"),
    _rule("badrecipient", r"\bno (?:\w+ )?(?:mailbox|user|account|recipient)\b", r"n.t have an? .*account", only="5"),
    _rule("badrecipient", r"recipient address rejected\W*$", r"^\W*address rejected", only="5"),
    _rule("badrecipient", r"has moved", r"no longer (?:at|with|work|employ)", r"recipient table", only="5"),
    _rule("badrecipient", r"not a (?:known|valid) (?:recipient|user|mailbox|address)", only="5"),
    _rule("badrecipient", r"empf(?:ä|ae?|.{1,2})nger .{0,20}unbekannt", r"benutzer .{0,20}unbekannt", only="5"),
    _rule("badrecipient", r"(?:utilisateur|adresse) inconnue?", r"destinataire invalide", r"utente sconosc", only="5"),
    _rule("badrecipient", r"usuario (?:desconoc|inexist|no exist)", r"usuário (?:desconhec|inexist|não)", only="5"),
)

# About the server, and what is left.
_SERVER = (
    # Our own slowness or the line's must not pass for a mailbox that times out: that would suppress it.
    _rule("serverfail", r"(?:waiting|data|client|command|input|idle|session)\b.{0,40}time-?d? ?-?out", only="5"),
    _rule("serverfail", r"time-?d? ?-?out\b.{0,40}(?:waiting|data|client|command|input|read|receiv)", only="5"),
    _rule("timeout", r"time-?d? ?-?out", r"message expired", r"delivery time", r"message (?:is )?too old"),
    _rule("serverfail", r"\bloops?\b", r"too many hops", r"hop count", r"internal (?:server )?error", r"system error"),
    _rule("serverfail", r"configuration (?:error|problem)", r"lookup (?:failure|error)", r"local (?:error|problem)"),
    _rule("serverfail", r"bad sequence", r"not implemented", r"unrecognized command", r"\btls .{0,30}(?:fail|error)"),
    _rule("transientfail", r"server (?:is )?(?:too )?busy", only="4"),
    _rule("transientfail", r"try (?:again )?later", r"temporar", enhanced="2 3 4 5", only="4"),
    _rule("greylisting", r"try", r"later", r"temporar", r"wait", enhanced="7.1", only="4"),
    _rule("serverpolicy", r"tls", r"encrypt", r"administrative", r"polic(?:y|ies)", r"prohibited"),
    _rule("serverpolicy", r"not (?:allowed|permitted|accept|authorized)", r"restrict", r"rejected by", r"only accept"),
    _rule("badsender", enhanced="1.7 1.8"),
    _rule("serverpolicy", r"access denied"),
)

# Nothing that the words told. x.1.0, x.2.0 and x.5.0 say nothing themselves.
_CODES = (
    _rule("badrecipient", enhanced="1.1 1.3 1.4 1.6 1.10 2.1 7.17", only="5"),
    _rule("badrecipient", enhanced="1.1", only="4"),
    _rule("dnsFail", enhanced="1.2 7.18"),
    _rule("overquota", enhanced="2.2"),
    _rule("timeout", enhanced="4.7 4.300 4.316 4.317"),
    _rule("timeout", enhanced="4.1 4.2", only="4"),
    _rule("serverfail", enhanced="4.1 4.2 4.6 4.12 4.14", only="5"),
    _rule("serverpolicy", enhanced="4.5 5.3"),
    _rule("dnsFail", enhanced="4"),
    _rule("serverfail", enhanced="2.4 3 5.1 5.2 5.4 5.5"),
    _rule("content", enhanced="6 7.7"),
    _rule("relayfail", enhanced="7.8"),
    _rule("badsender", enhanced="7.27"),
    _rule("verifyfail", enhanced="7.9 7.20 7.21 7.22 7.23 7.24 7.25 7.26 7.29 7.509 7.515"),
    _rule("block", enhanced="7.501 7.502 7.503 7.511 7.606 7.705 7.708"),
    _rule("serverpolicy", enhanced="7"),
)

_ALL = _PROVIDERS + _AGAIN + _IDENTITY + _LISTS + _SENDER + _LIMITS + _AGREED + _CONTENT + _RECIPIENT + _SERVER + _CODES
SOFT_RULES = tuple(rule for rule in _ALL if "4" in rule.only)
HARD_RULES = tuple(rule for rule in _ALL if "5" in rule.only)
