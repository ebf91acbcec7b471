"""A caching stub resolver (RFC 1034, 1035, 2308), and how mail finds its hosts by it (RFC 5321 5.1, RFC 7505).

Written on dnspython's messages; its own resolver is not used because it hides the CNAME chain of a negative answer and
the time for which such an answer may be kept.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import dns.asyncquery
import dns.exception
import dns.inet
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.TXT
import dns.rdtypes.nsbase
import dns.resolver

Type = Literal["A", "AAAA", "TXT", "CNAME", "MX", "PTR"]
Status = Literal["ok", "nodata", "nxdomain", "servfail", "timeout"]

CACHE_ENTRIES = 20_000
"""About 20 MB when full. A sender to more domains than this in an hour asks some of them twice."""
LONGEST_TTL = 3600
"""Seconds. A domain that moves its mail is followed within the hour, whatever TTL it forgot to lower."""
LONGEST_NEGATIVE_TTL = 300
"""Seconds. Someone is often waiting for the record that was missing: a domain's set-up, a recipient's new MX."""
PAYLOAD = 1232
"""Octets of a UDP answer that no path fragments (DNS Flag Day 2020); larger answers come over TCP."""
TRIES = 2
"""Times that the list of name servers is gone through; a lost datagram is asked for once more."""
LONGEST_CHAIN = 8
"""CNAMEs followed by questions of our own, where a name server does not follow them itself."""

# Labels of letters, digits, hyphens, and underscores, which some mail hosts have. The last one is no number, not even one
# that C libraries read as an address (0x7f.1): those names are addresses (RFC 3696 2), and so is what has a colon.
_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*(?!(?:[0-9]+|0x[0-9a-f]*)\Z)[a-z0-9_-]{1,63}")
_CUT_OFF = 0x82  # QR and TC in the third octet, RFC 1035 4.1.1


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the DNS said to one question: values in presentation form, names in lower case without the final dot."""

    status: Status
    values: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()  # CNAME targets that were followed, in order
    ttl: int = 0  # seconds


@dataclass(frozen=True, slots=True)
class MailHosts:
    """Where a domain's mail goes: (preference, host), best first. `implicit`: the domain itself stands in for an MX."""

    status: Literal["ok", "null", "none", "nxdomain", "servfail", "timeout"]
    hosts: tuple[tuple[int, str], ...] = ()
    implicit: bool = False


@dataclass(frozen=True, slots=True)
class _Kept:
    lookup: Lookup
    until: int  # by the resolver's clock

    def is_fresh(self, now: int) -> bool:
        return now < self.until


class Resolver:
    """Asks recursive name servers, and remembers answers for as long as their TTLs allow.

    `nameservers` are `ip:port`, `[ip]:port` or `ip`; empty means those of the system. `clock` gives milliseconds that
    only go forward.
    `timeout`: seconds for one question, all name servers and tries together. Belongs to the loop that first uses it.
    """

    def __init__(self, nameservers: Sequence[str], *, clock: Callable[[], int], timeout: float = 5.0) -> None:
        self._servers = [_server(text) for text in nameservers] or _system_servers()
        self._clock = clock
        self._timeout = timeout
        self._cache: OrderedDict[tuple[str, Type], _Kept] = OrderedDict()
        self._asking: dict[tuple[str, Type], asyncio.Task[Lookup]] = {}

    async def query(self, name: str, rtype: Type, *, fresh: bool = False) -> Lookup:
        """The records of `name`, CNAMEs followed (for CNAME: the CNAME itself). `fresh`: ask even if remembered."""
        key = _key(name, rtype)
        if not fresh and (kept := self._remembered(key)) is not None:
            return kept
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # One caller that is cancelled must not take the answer away from the others that wait for it.
        return await asyncio.shield(task)

    async def addresses(self, host: str) -> tuple[Status, tuple[str, ...]]:
        """A host's IPv6 and IPv4 addresses, in that order; the status is "ok" when there is at least one."""
        six, four = self._remembered(_key(host, "AAAA")), self._remembered(_key(host, "A"))
        if six is None or four is None:  # gather() makes tasks, ten times the price of two remembered answers
            answers = await asyncio.gather(self.query(host, "AAAA"), self.query(host, "A"))
            six, four = answers[0], answers[1]
        if found := six.values + four.values:
            return "ok", found
        statuses: tuple[Status, ...] = ("servfail", "timeout", "nxdomain")
        return next((status for status in statuses if status in (six.status, four.status)), "nodata"), ()

    async def mail_hosts(self, domain: str) -> MailHosts:
        """The hosts that take a domain's mail, by preference."""
        answer = await self.query(domain, "MX")
        if answer.status == "ok":
            return _explicit(answer.values)
        if answer.status != "nodata":
            return MailHosts(answer.status)
        # RFC 5321 5.1: no MX record, and only then, makes the domain its own mail host.
        status, _ = await self.addresses(domain)
        if status == "ok":
            return MailHosts("ok", ((0, domain),), implicit=True)
        return MailHosts("none" if status == "nodata" else status)

    async def close(self) -> None:
        """Ends what is still being asked."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _remembered(self, key: tuple[str, Type]) -> Lookup | None:
        if (kept := self._cache.get(key)) is None or not kept.is_fresh(self._clock()):
            return None
        self._cache.move_to_end(key)
        return kept.lookup

    async def _ask(self, key: tuple[str, Type]) -> Lookup:
        name, rtype = key
        try:
            async with asyncio.timeout(self._timeout):
                lookup = await self._follow(name, rtype)
        except TimeoutError:
            lookup = Lookup("timeout")
        self._keep(key, lookup)
        return lookup

    def _keep(self, key: tuple[str, Type], lookup: Lookup) -> None:
        # RFC 2308 7 would allow failures to be kept for a while; the queue's own back-off does that job already.
        if lookup.ttl <= 0 or lookup.status in ("servfail", "timeout"):
            self._cache.pop(key, None)
            return
        now = self._clock()
        self._cache[key] = _Kept(lookup, now + lookup.ttl * 1000)
        self._cache.move_to_end(key)
        if len(self._cache) > CACHE_ENTRIES:
            self._cache.popitem(last=False)

    async def _follow(self, name: str, rtype: Type) -> Lookup:
        """Asks, and asks on where an answer ends in a CNAME whose target the server left out."""
        chain: tuple[str, ...] = ()
        ttl = LONGEST_TTL
        while len(chain) <= LONGEST_CHAIN:
            found = await self._exchange(chain[-1] if chain else name, rtype)
            chain += found.chain
            ttl = min(ttl, found.ttl)
            if found.status != "nodata" or not found.chain:
                return Lookup(found.status, found.values, chain, ttl)
        return Lookup("servfail", chain=chain)  # a circle, or as good as one

    async def _exchange(self, name: str, rtype: Type) -> Lookup:
        """One question to the name servers in turn, until one of them answers it."""
        try:
            question = dns.message.make_query(_name(name), rtype, use_edns=0, payload=PAYLOAD)
        except (dns.exception.DNSException, UnicodeError):
            return Lookup("nxdomain", ttl=LONGEST_NEGATIVE_TTL)  # no such name can exist
        patience = self._timeout / (TRIES * len(self._servers))
        failure: Status = "timeout"
        for ip, port in self._servers * TRIES:
            try:
                async with asyncio.timeout(patience):
                    found = _read(await _exchange_with(ip, port, question), rtype)
            except TimeoutError:
                continue
            except (OSError, EOFError, dns.exception.DNSException):
                # Connection refused and the like, or a message that cannot be read: the next may do better.
                found = Lookup("servfail")
            if found.status != "servfail":
                return found
            failure = "servfail"
        return Lookup(failure)


async def _exchange_with(ip: str, port: int, question: dns.message.Message) -> dns.message.Message:
    """UDP first, TCP when the answer was cut off (RFC 7766 5). The caller limits the time."""
    loop = asyncio.get_running_loop()
    # A socket a question: its random port is what a forger has to guess (RFC 5452 9.2). It is connected, so that the
    # kernel drops what others send and tells us when nobody listens; dnspython's own exchange would wait in vain.
    transport, datagram = await loop.create_datagram_endpoint(lambda: _Datagram(question), remote_addr=(ip, port))
    try:
        transport.sendto(question.to_wire())
        if (response := await datagram.response) is not None:
            return response
    finally:
        transport.close()
    return await dns.asyncquery.tcp(question, ip, port=port)


class _Datagram(asyncio.DatagramProtocol):
    """Waits for the response to one question: the message, or None when it was cut off."""

    def __init__(self, question: dns.message.Message) -> None:
        self._question = question
        self._id = question.id.to_bytes(2, "big")
        self.response: asyncio.Future[dns.message.Message | None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if len(data) >= 12 and data[:2] == self._id and data[2] & _CUT_OFF == _CUT_OFF:
            self._done(None)  # not parsed: some servers cut in the middle of a record
            return
        try:
            message = dns.message.from_wire(data)
        except (dns.exception.DNSException, ValueError):
            return  # noise or a forger's guess; the true answer may still come
        if self._question.is_response(message):
            self._done(message)

    def error_received(self, exc: Exception) -> None:
        if not self.response.done():
            self.response.set_exception(exc)

    def _done(self, message: dns.message.Message | None) -> None:
        if not self.response.done():
            self.response.set_result(message)


def _read(response: dns.message.Message, rtype: Type) -> Lookup:
    """What a response says. "nodata" with a chain may only mean that the server did not follow it to its end."""
    rcode = response.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) or not isinstance(response, dns.message.QueryMessage):
        return Lookup("servfail")
    result = response.resolve_chaining()
    chain = tuple(_text(rrset[0].target) for rrset in result.cnames)
    if result.answer is not None:
        values = tuple(_value(rdata) for rdata in result.answer)
        return Lookup("ok", values, chain, min(result.minimum_ttl, LONGEST_TTL))
    ttl = min(result.minimum_ttl, LONGEST_NEGATIVE_TTL)
    if rcode == dns.rcode.NXDOMAIN:
        return Lookup("nxdomain", (), chain, ttl)
    return Lookup("nodata", (), chain, ttl)


@lru_cache(maxsize=4096)  # it is asked for each message, and a few domains get most of the mail
def _explicit(values: tuple[str, ...]) -> MailHosts:
    """MX values by preference. RFC 7505 3: "." alone: the domain takes no mail; beside others it is no host.

    RFC 5321 5.1: an MX names a domain. An address that stands there is no host, whatever its owner meant by it.
    """
    pairs = [(int(preference), host) for preference, host in (value.split(" ", 1) for value in values)]
    named = [pair for pair in pairs if pair[1] != "."]
    hosts = tuple(sorted(pair for pair in named if _HOST.fullmatch(pair[1])))
    if hosts:
        return MailHosts("ok", hosts)
    return MailHosts("none" if named else "null")


def _value(rdata: dns.rdata.Rdata) -> str:
    if isinstance(rdata, dns.rdtypes.ANY.TXT.TXT):
        # RFC 7208 3.3, RFC 6376 3.6.2.2: the strings of one record belong together without a gap.
        return b"".join(rdata.strings).decode("utf-8", "replace")
    if isinstance(rdata, dns.rdtypes.ANY.MX.MX):
        return f"{rdata.preference} {_text(rdata.exchange)}"
    if isinstance(rdata, dns.rdtypes.nsbase.NSBase):
        return _text(rdata.target)
    return rdata.to_text()


def _key(name: str, rtype: Type) -> tuple[str, Type]:
    return name.lower().removesuffix("."), rtype


def _name(name: str) -> dns.name.Name:
    name.encode("ascii")  # dnspython would apply IDNA 2003 by itself; callers have applied IDNA 2008
    return dns.name.from_text(name)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _server(text: str) -> tuple[str, int]:
    if dns.inet.is_address(text):
        return text, 53
    ip, _, port = text.rpartition(":")
    ip = ip.removeprefix("[").removesuffix("]")
    if not dns.inet.is_address(ip) or not port.isdigit():
        raise ValueError(f"{text!r} is no name server: write IP:PORT")
    return ip, int(port)


def _system_servers() -> list[tuple[str, int]]:
    try:
        servers = dns.resolver.Resolver().nameservers
    except dns.resolver.NoResolverConfiguration:
        servers = []
    # resolv.conf(5): without a nameserver line, the one on this machine.
    return [(str(server), 53) for server in servers] or [("127.0.0.1", 53)]
