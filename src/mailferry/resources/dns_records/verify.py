"""Asks the DNS for a sending domain's records, and says of each what was found and what would be right.

What counts is the effect: a key is right when the selector's name answers with it, over a CNAME or not, so that a
domain may change from one form to the other at any time.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

from mailferry.mail import dkim
from mailferry.net.dns import Lookup, Status, Type
from mailferry.resources.dns_records import judge
from mailferry.resources.dns_records.wanted import (
    BouncesReachUs,
    KeyIsPublished,
    LinksReachUs,
    PolicyIsPublished,
    Record,
    ReturnPathIsOurs,
    SigningKey,
    SpfAllowsUs,
)

#: Mailtrap's words. softfail: receivers will be suspicious; network_error: the DNS did not answer, nothing is known.
State = Literal["pass", "fail", "missing", "unchecked", "softfail", "network_error"]


class Resolver(Protocol):
    """The part of net/dns.py's resolver that is used here."""

    async def query(self, name: str, rtype: Type, *, fresh: bool = False) -> Lookup: ...
    async def addresses(self, host: str) -> tuple[Status, tuple[str, ...]]: ...


@dataclass(frozen=True, slots=True)
class RecordStatus:
    """``sentence`` is for people: what was found, and unless the record passes, what would be right."""

    record: Record
    status: State
    sentence: str


@dataclass(frozen=True, slots=True)
class _Finding:
    status: State
    sentence: str


def unchecked(records: Sequence[Record]) -> list[RecordStatus]:
    """The statuses of records that nobody has asked for yet."""
    return [RecordStatus(record, "unchecked", "Not looked up yet.") for record in records]


def verified(statuses: Sequence[RecordStatus]) -> bool:
    """True when every required record passes."""
    return all(found.status == "pass" for found in statuses if found.record.required)


def conclusive(statuses: Sequence[RecordStatus]) -> bool:
    """False when a required record could not be asked for: a domain must not lose its verification by a DNS outage."""
    return all(found.status != "network_error" for found in statuses if found.record.required)


def published_selectors(statuses: Sequence[RecordStatus], before: Collection[str] = ()) -> set[str]:
    """Selectors whose keys may be signed with: those that pass, and of ``before`` those that could not be asked for."""
    return {
        found.record.proof.key.selector
        for found in statuses
        if isinstance(found.record.proof, KeyIsPublished)
        and (found.status == "pass" or (found.status == "network_error" and found.record.proof.key.selector in before))
    }


async def verify(resolver: Resolver, records: Sequence[Record]) -> list[RecordStatus]:
    """Look all records up at once, past the resolver's cache: somebody has just published them and is waiting."""
    findings = await asyncio.gather(*(_check(resolver, record) for record in records))
    return [
        RecordStatus(record, finding.status, finding.sentence)
        for record, finding in zip(records, findings, strict=True)
    ]


async def _check(resolver: Resolver, record: Record) -> _Finding:
    match record.proof:
        case BouncesReachUs(hostname):
            return await _check_mx(resolver, record.domain, hostname)
        case SpfAllowsUs(hostname):
            return await _check_spf(resolver, record.domain, hostname)
        case ReturnPathIsOurs(hostname, alias):
            return await _check_return_path(resolver, record.domain, hostname, alias)
        case KeyIsPublished():
            return await _check_key(resolver, record, record.proof)
        case PolicyIsPublished(domain):
            return await _check_policy(resolver, domain, record.value)
        case LinksReachUs(target):
            return await _check_links(resolver, record.domain, target)
        case _:
            assert_never(record.proof)


# --- the return path --------------------------------------------------------------------------------------------------


async def _check_mx(resolver: Resolver, name: str, hostname: str) -> _Finding:
    wanted = f"MX 10 {hostname}"
    answer = await resolver.query(name, "MX", fresh=True)
    if answer.status != "ok":
        return _absent(answer, name, "MX", wanted)
    hosts = sorted((int(preference), host) for preference, host in (value.split(" ", 1) for value in answer.values))
    best = [host for preference, host in hosts if preference == hosts[0][0]]
    if best == [hostname]:
        return _Finding("pass", f"The MX record of {name} is {hostname}.")
    shown = ", ".join(f"{preference} {host}" for preference, host in hosts)
    if any(host == hostname for _, host in hosts):
        return _Finding(
            "softfail",
            f"{name} has the MX records {shown}, so bounces may go past {hostname}. Leave only {wanted}.",
        )
    return _Finding("fail", f"{name} has the MX record {shown}; it should be {wanted}.")


async def _check_spf(resolver: Resolver, name: str, hostname: str) -> _Finding:
    wanted = f'TXT "v=spf1 a:{hostname} ~all"'
    answer = await resolver.query(name, "TXT", fresh=True)
    if answer.status != "ok":
        return _absent(answer, name, "TXT", wanted)
    found = judge.spf_records(answer.values)
    if not found:
        return _Finding("missing", f"{name} has no SPF record among its TXT records. Publish {wanted}.")
    if len(found) > 1:  # RFC 7208 4.5: permerror
        return _Finding("fail", f"{name} has {len(found)} SPF records, which makes all void. Leave one: {wanted}.")
    result = await _spf_result(resolver, name, hostname, found[0])
    if result == "pass":
        return _Finding("pass", f'SPF at {name} allows {hostname}: "{found[0]}".')
    if result == "everyone":
        return _Finding("softfail", f'SPF at {name} allows everybody: "{found[0]}". It should be {wanted}.')
    shown = f'SPF at {name} does not allow {hostname}: "{found[0]}". Add a:{hostname} before its "all".'
    return _Finding("fail" if result == "fail" else "softfail", shown)


async def _spf_result(resolver: Resolver, name: str, hostname: str, record: str) -> judge.SpfResult:
    """The usual record decides by itself; only unusual ones cost further questions."""
    result = judge.spf_result(record, hostname)
    if result == "pass":
        return result
    mail, (_, addresses) = await asyncio.gather(resolver.query(name, "MX"), resolver.addresses(hostname))
    hosts = [value.rpartition(" ")[2] for value in mail.values]
    return judge.spf_result(record, hostname, mail_hosts=hosts, addresses=addresses)


async def _check_return_path(resolver: Resolver, name: str, hostname: str, alias: str) -> _Finding:
    wanted = f"CNAME {alias}"
    answer = await resolver.query(name, "CNAME", fresh=True)
    if answer.status in ("servfail", "timeout"):
        return _absent(answer, name, "CNAME", wanted)
    if answer.values == (alias,):
        return await _check_bounce_alias(resolver, name, alias)
    mail, spf = await asyncio.gather(_check_mx(resolver, name, hostname), _check_spf(resolver, name, hostname))
    if mail.status == spf.status == "pass":
        return _Finding("pass", f"{mail.sentence} {spf.sentence}")
    if answer.values:
        return _Finding("fail", f"{name} is a CNAME to {answer.values[0]}; it should be a {wanted}.")
    if mail.status == spf.status == "missing":
        return _Finding("missing", f"There is no record at {name}. Publish {wanted}.")
    if "network_error" in (mail.status, spf.status):
        return mail if mail.status == "network_error" else spf
    own = f"Its own records do not do instead: {mail.sentence} {spf.sentence}"
    return _Finding("fail", f"{name} should be a {wanted}. {own}")


async def _check_bounce_alias(resolver: Resolver, name: str, alias: str) -> _Finding:
    """What stands at the alias is the operator's business (several servers, say), as long as something does."""
    mail, texts = await asyncio.gather(resolver.query(name, "MX", fresh=True), resolver.query(name, "TXT", fresh=True))
    for answer, rtype in ((mail, "MX"), (texts, "TXT")):
        if answer.status in ("servfail", "timeout"):
            return _absent(answer, name, rtype, "")
    lacking = [what for what, there in (("MX", mail.values), ("SPF", judge.spf_records(texts.values))) if not there]
    if lacking:
        shown = f"{name} is a CNAME to {alias}, as it should be, but {alias} has no {' and no '.join(lacking)} record"
        return _Finding("fail", f"{shown}: the operator must publish what `mailferry dns export` prints.")
    return _Finding("pass", f"{name} is a CNAME to {alias}.")


# --- keys, policy, links ----------------------------------------------------------------------------------------------


async def _check_key(resolver: Resolver, record: Record, proof: KeyIsPublished) -> _Finding:
    name, key = record.domain, proof.key
    wanted = f"{record.type} {_short(record.value)}"
    answer = await resolver.query(name, "TXT", fresh=True)
    if answer.status != "ok":
        return _absent(answer, name, "TXT", wanted)
    if len(answer.values) > 1:  # RFC 6376 3.6.2.2: the results are undefined
        return _Finding(
            "fail", f"{name} has {len(answer.values)} TXT records; verifiers take any. Leave only {wanted}."
        )
    text = answer.values[0]
    if dkim.matches(text, key.algorithm, key.public.encode("ascii")):
        over = f" (over {answer.chain[-1]})" if answer.chain else ""
        return _Finding("pass", f"{name} has the right key{over}.")
    return _Finding("fail", f'{name} {_key_problem(text, key)}: "{_short(text)}". It should be {wanted}.')


def _key_problem(text: str, key: SigningKey) -> str:
    found = dkim.parse_record(text)
    published = "".join(text.partition("p=")[2].partition(";")[0].split())
    if published and published != key.public and key.public.startswith(published):
        return f"has only the first {len(published)} of {len(key.public)} characters of the key"
    if found is None:
        return "has a TXT record that is no DKIM key"
    if found.revoked:
        return "has a revoked key (its p= is empty)"
    if found.algorithm != key.algorithm:
        return f"has a key for {found.algorithm} instead of {key.algorithm}"
    if not found.usable:
        return "has a key whose h= or s= forbids its use here"
    return "has another key"


async def _check_policy(resolver: Resolver, domain: str, advice: str) -> _Finding:
    """RFC 9989 4.10.1: the domain's own record, else that of its organizational domain."""
    wanted = f'TXT "{advice}"'
    name = f"_dmarc.{domain}"
    answer = await resolver.query(name, "TXT", fresh=True)
    if answer.status in ("servfail", "timeout"):
        return _absent(answer, name, "TXT", wanted)
    found = judge.dmarc_records(answer.values)
    if len(found) > 1:
        return _Finding("fail", f"{name} has {len(found)} DMARC records, so receivers ignore all of them. Leave one.")
    if found:
        dmarc = judge.read_dmarc(found[0])
        if dmarc.problem:
            return _Finding("fail", f'The DMARC record "{found[0]}" is void: {dmarc.problem}. It could be {wanted}.')
        remark = f" ({dmarc.remark})" if dmarc.remark else ""
        return _Finding("pass", f"{name} has a DMARC policy: p={dmarc.policy}{remark}.")
    if inherited := await _inherited_policy(resolver, domain):
        return inherited
    if answer.values:
        shown = f'{name} has a TXT record that is no DMARC record: "{_short(answer.values[0])}".'
        return _Finding("fail", f"{shown} Publish {wanted}.")
    return _absent(answer, name, "TXT", wanted)


async def _inherited_policy(resolver: Resolver, domain: str) -> _Finding | None:
    """RFC 9989 4.10.2: the shortest parent with a record, unless a longer one says that it ends there."""
    parents = judge.dmarc_parents(domain)
    answers = await asyncio.gather(*(resolver.query(f"_dmarc.{parent}", "TXT", fresh=True) for parent in parents))
    covering = None
    for parent, answer in zip(parents, answers, strict=True):
        if answer.status in ("servfail", "timeout"):
            return _absent(answer, f"_dmarc.{parent}", "TXT", "")
        found = judge.dmarc_records(answer.values)
        dmarc = judge.read_dmarc(found[0]) if len(found) == 1 else None
        if dmarc is None:
            continue
        if dmarc.psd != "y":
            covering = (parent, dmarc)
        if dmarc.psd != "u":
            break
    if covering is None or covering[1].problem:
        return None
    parent, dmarc = covering
    return _Finding("pass", f"{domain} is covered by the DMARC policy of {parent}: p={dmarc.policy}.")


async def _check_links(resolver: Resolver, name: str, target: str) -> _Finding:
    answer = await resolver.query(name, "CNAME", fresh=True)
    if answer.status != "ok":
        return _absent(answer, name, "CNAME", f"CNAME {target}")
    if answer.values[0] == target:
        return _Finding("pass", f"{name} is a CNAME to {target}.")
    return _Finding("fail", f"{name} is a CNAME to {answer.values[0]}; it should be a CNAME to {target}.")


# --- sentences --------------------------------------------------------------------------------------------------------


def _absent(answer: Lookup, name: str, rtype: str, wanted: str) -> _Finding:
    """Of an answer without values: nobody answered, nothing is there, or a CNAME leads to nothing."""
    if answer.status == "timeout":
        return _Finding("network_error", f"No name server answered for {name} in time. Try again later.")
    if answer.status == "servfail":
        return _Finding("network_error", f"The name servers of {name} answer with an error. Try again later.")
    if answer.chain:
        return _Finding("fail", f"{name} is a CNAME to {answer.chain[-1]}, but there is no {rtype} record.")
    return _Finding("missing", f"There is no {rtype} record at {name}. Publish {wanted}.")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:60]}...{text[-12:]}"
