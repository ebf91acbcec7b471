"""A name server over UDP and TCP that answers out of a dict, and misbehaves where it is told to.

    async with FakeDNS({"example.test": {"MX": "10 mx.example.test", "TXT": ["v=spf1 -all"]}}) as dns:
        Resolver([dns.address], clock=...)

Names are written in lower case without the final dot. Values are in presentation form; a TXT value is plain text and is
cut into strings of 255 octets. CNAMEs are followed within the zone. A name with neither records nor names below it is
NXDOMAIN. An answer over UDP that is larger than the question's EDNS payload allows is cut off, as by a real server.
`zone`, `trouble`, `ttl` and `negative_ttl` may be changed while it runs.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal, Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Records = Mapping[str, str | Sequence[str]]
Trouble = Literal["servfail", "refused", "timeout", "truncate", "garbage", "chain-by-question"]
"""truncate: cut off over UDP, whole over TCP. chain-by-question: gives a CNAME, but not what it points to."""


class FakeDNS:
    def __init__(self, zone: Mapping[str, Records] | None = None, *, ttl: int = 60, negative_ttl: int = 30) -> None:
        self.zone: dict[str, Records] = dict(zone or {})
        self.trouble: dict[str, Trouble] = {}  # by name, or "name TYPE"
        self.ttl = ttl
        self.negative_ttl = negative_ttl
        self.asked: list[tuple[str, str, Literal["udp", "tcp"]]] = []
        self.delay = 0.0  # seconds before each answer
        self.payloads: list[int] = []  # what EDNS said, 0 without it
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def count(self, name: str, rtype: str) -> int:
        return sum(1 for asked_name, asked_type, _ in self.asked if (asked_name, asked_type) == (name, rtype))

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for _ in range(20):  # the port that TCP got may be taken for UDP
            self._server = await asyncio.start_server(self._serve_tcp, "127.0.0.1", 0)
            self.port = self._server.sockets[0].getsockname()[1]
            try:
                self._udp, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=("127.0.0.1", self.port)
                )
            except OSError:
                self._server.close()
                continue
            return self
        raise RuntimeError("no port is free for both UDP and TCP")

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        self._server.close()
        for writer in self._writers:
            writer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def spawn(self, wire: bytes, transport: asyncio.DatagramTransport, peer: object) -> None:
        async def reply() -> None:
            if (answer := await self._answer(wire, "udp")) is not None:
                transport.sendto(answer, peer)

        task = asyncio.create_task(reply())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while head := await reader.read(2):
                wire = await reader.readexactly(int.from_bytes(head, "big"))
                if (answer := await self._answer(wire, "tcp")) is not None:
                    writer.write(len(answer).to_bytes(2, "big") + answer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, wire: bytes, over: Literal["udp", "tcp"]) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        rtype = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, rtype, over))
        self.payloads.append(query.payload if query.edns >= 0 else 0)
        trouble = self.trouble.get(f"{name} {rtype}") or self.trouble.get(name)
        if self.delay:
            await asyncio.sleep(self.delay)
        if trouble == "timeout":
            return None
        if trouble == "garbage":
            return wire[:2] + b"\x84\x00 not a message"
        response = dns.message.make_response(query, recursion_available=True)
        if trouble in ("servfail", "refused"):
            response.set_rcode(dns.rcode.SERVFAIL if trouble == "servfail" else dns.rcode.REFUSED)
        elif trouble == "truncate" and over == "udp":
            response.flags |= dns.flags.TC
        else:
            self._fill(response, name, rtype, follow=trouble != "chain-by-question")
        if over == "tcp":
            return response.to_wire(max_size=65535)
        try:
            return response.to_wire(max_size=query.payload if query.edns >= 0 else 512)
        except dns.exception.TooBig:
            for section in (response.answer, response.authority):
                section.clear()
            response.flags |= dns.flags.TC
            return response.to_wire()

    def _fill(self, response: dns.message.Message, name: str, rtype: str, *, follow: bool) -> None:
        for _ in range(20):
            records = self.zone.get(name)
            if records is None:
                below = any(other.endswith(f".{name}") for other in self.zone)
                response.set_rcode(dns.rcode.NOERROR if below else dns.rcode.NXDOMAIN)
                return self._add_soa(response, name)
            if rtype in records:
                response.answer.append(self._rrset(name, rtype, records[rtype]))
                return None
            if "CNAME" not in records:
                return self._add_soa(response, name)
            response.answer.append(self._rrset(name, "CNAME", records["CNAME"]))
            if not follow:
                return None
            target = records["CNAME"]
            name = (target if isinstance(target, str) else target[0]).lower().removesuffix(".")
        return None  # a circle: the chain as far as it was followed

    def _add_soa(self, response: dns.message.Message, name: str) -> None:
        soa = f"ns.invalid. hostmaster.invalid. 1 3600 600 86400 {self.negative_ttl}"
        response.authority.append(dns.rrset.from_text(name + ".", self.negative_ttl, "IN", "SOA", soa))

    def _rrset(self, name: str, rtype: str, values: str | Sequence[str]) -> dns.rrset.RRset:
        texts = [values] if isinstance(values, str) else values
        if rtype == "TXT":
            texts = [_txt(text) for text in texts]
        elif rtype in ("MX", "CNAME", "PTR", "NS"):
            texts = [text if text.endswith(".") else text + "." for text in texts]
        return dns.rrset.from_text_list(name + ".", self.ttl, "IN", rtype, texts)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: FakeDNS) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._server.spawn(data, self._transport, addr)  # type: ignore[arg-type]  # a datagram protocol has no other


def _txt(text: str) -> str:
    octets = text.encode()
    pieces = [octets[start : start + 255] for start in range(0, len(octets), 255)] or [b""]
    return " ".join('"' + "".join(_escape(octet) for octet in piece) + '"' for piece in pieces)


def _escape(octet: int) -> str:
    return chr(octet) if 32 <= octet < 127 and octet not in b'"\\' else f"\\{octet:03d}"
