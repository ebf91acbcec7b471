"""What a receiver could prove of a message's sender: SPF, DKIM and DMARC of its From, asked of the DNS.

A message that was caught has not come over the Internet: of SPF only the record can be judged, and that there is no
signature yet is no fault where whoever delivers signs.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from mailferry.mail import dkim_verify
from mailferry.mail.address import split
from mailferry.mail.dkim_verify import Signature
from mailferry.mail.reading import Reading
from mailferry.net.dns import Lookup, Type
from mailferry.resources.dns_records import judge
from mailferry.sandbox.checks.finding import Finding, Grade


class Resolver(Protocol):
    async def query(self, name: str, rtype: Type, *, fresh: bool = False) -> Lookup: ...


def sender_domain(reading: Reading) -> str:
    """The domain of the first address in From; empty where there is none. Thousands of addresses take a second."""
    senders = reading.mailboxes("From")
    return split(senders[0].address)[1].lower() if senders else ""


async def check(raw: bytes, domain: str, resolver: Resolver) -> list[Finding]:
    """Three findings or more: of SPF, of each signature, of DMARC. Questions are asked at once."""
    if not domain:
        return [Finding("dmarc", "problem", "From names no domain that could be asked about.", "RFC 9989")]
    signatures = await asyncio.to_thread(dkim_verify.signatures, raw)
    spf, dkim, policy = await asyncio.gather(
        _spf(domain, resolver), _dkim(raw, domain, signatures, resolver), _policy(domain, resolver)
    )
    return [spf, *dkim[0], _dmarc(domain, policy, dkim[1])]


def _unknown(rule: str, answer: Lookup, name: str) -> Finding | None:
    if answer.status not in ("servfail", "timeout"):
        return None
    why = "did not answer in time" if answer.status == "timeout" else "answered with an error"
    return Finding(rule, "warning", f"The DNS {why} for {name}: nothing is known.")


async def _spf(domain: str, resolver: Resolver) -> Finding:
    answer = await resolver.query(domain, "TXT")
    if unknown := _unknown("spf", answer, domain):
        return unknown
    records = judge.spf_records(answer.values)
    grade: Grade = "problem"
    if not records:
        grade, sentence = "warning", f"{domain} has no SPF record."
    elif len(records) > 1:
        sentence = f"{domain} has {len(records)} SPF records, which makes all void."
    elif "+all" in (terms := records[0].lower().split()) or "all" in terms:
        sentence = f'The SPF record of {domain} lets everybody send: "{_short(records[0])}".'
    elif not any(term.lstrip("~-?") == "all" or term.startswith("redirect=") for term in terms):
        grade, sentence = "warning", f'The SPF record of {domain} does not say what others are: "{_short(records[0])}".'
    else:
        grade, sentence = "pass", f'{domain} has an SPF record: "{_short(records[0])}".'
    return Finding("spf", grade, sentence, "RFC 7208")


async def _dkim(
    raw: bytes, domain: str, signatures: Sequence[Signature], resolver: Resolver
) -> tuple[list[Finding], bool]:
    """The findings, and whether a signature holds that is of the From's domain."""
    if not signatures:
        sentence = "The message is not signed. That is as it should be where it is signed when it leaves."
        return [Finding("dkim", "note", sentence, "RFC 6376")], False
    judged = await asyncio.gather(*[_signature(raw, each, resolver) for each in signatures])
    aligned = any(
        finding.grade == "pass" and _is_aligned(each.domain, domain)
        for each, finding in zip(signatures, judged, strict=True)
    )
    return list(judged), aligned


async def _signature(raw: bytes, signature: Signature, resolver: Resolver) -> Finding:
    texts: tuple[str, ...] = ()
    if not signature.problem:
        answer = await resolver.query(signature.key_name, "TXT")
        if unknown := _unknown("dkim", answer, signature.key_name):
            return unknown
        texts = answer.values
    whose = f"The signature of {signature.domain}" if signature.domain else "A DKIM-Signature"
    if problem := await asyncio.to_thread(dkim_verify.judge, raw, signature, texts):
        return Finding("dkim", "problem", f"{whose} does not hold: {problem}.", "RFC 6376")
    return Finding("dkim", "pass", f"{whose} holds ({signature.algorithm}, selector {signature.selector}).", "RFC 6376")


def _is_aligned(one: str, other: str) -> bool:
    """Relaxed alignment, as far as it can be told without asking for organizational domains: one is within the other."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


async def _policy(domain: str, resolver: Resolver) -> tuple[str, judge.Dmarc | None, Finding | None]:
    """The name whose policy counts, the policy, and what else there is to say instead of one."""
    for name in (domain, *judge.dmarc_parents(domain)):
        answer = await resolver.query(f"_dmarc.{name}", "TXT")
        if unknown := _unknown("dmarc", answer, f"_dmarc.{name}"):
            return name, None, unknown
        records = judge.dmarc_records(answer.values)
        if len(records) > 1:
            sentence = f"_dmarc.{name} has {len(records)} DMARC records, so receivers ignore all of them."
            return name, None, Finding("dmarc", "problem", sentence, "RFC 9989 4.10")
        if records:
            return name, judge.read_dmarc(records[0]), None
    return domain, None, None


def _dmarc(domain: str, found: tuple[str, judge.Dmarc | None, Finding | None], aligned: bool) -> Finding:
    name, dmarc, instead = found
    if instead:
        return instead
    if dmarc is None:
        sentence = f"{domain} has no DMARC policy; Gmail and Yahoo ask for one in mail to many."
        return Finding("dmarc", "warning", sentence, "RFC 9989")
    if dmarc.problem:
        return Finding("dmarc", "problem", f"The DMARC record of {name} is void: {dmarc.problem}.", "RFC 9989")
    met = "a signature that holds meets it" if aligned else "no signature of this message meets it yet"
    return Finding("dmarc", "pass", f"The DMARC policy of {name} is p={dmarc.policy}; {met}.", "RFC 9989")


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}..."
