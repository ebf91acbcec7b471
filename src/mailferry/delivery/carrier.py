"""Carries one job: chooses the transport, names the return path, and hands the transport what prepares the bytes.

This is where the balancer will sit; today the choice is by address (the simulator's) or by setting.
"""

from collections.abc import Callable

from mailferry.delivery.job import Job
from mailferry.delivery.prepare import Preparer, Read, refusal
from mailferry.delivery.transports.simulator import Simulator
from mailferry.delivery.transports.transport import Parcel, Peer, Prepared, Transport
from mailferry.mail import returnpath
from mailferry.mail.reply import Answer
from mailferry.resources import domains
from mailferry.resources.domains import DomainBook


class Carrier:
    def __init__(
        self,
        preparer: Preparer,
        book: DomainBook,
        transport: Transport,
        simulator: Simulator,
        clock: Callable[[], int],
        *,
        return_path_key: tuple[int, bytes],
    ) -> None:
        self._preparer = preparer
        self._book = book
        self._transport = transport
        self._simulator = simulator
        self._clock = clock
        self._key_id, self._key = return_path_key

    async def carry(self, job: Job, read: Read, may_commit: Callable[[], bool]) -> Answer:
        """One attempt. ``read`` is asked for the stored bytes when a host is there to take them; what it raises comes out."""
        domain = await self._book.by_id(job.domain_id)
        if domain is None:
            return refusal("4.3.5", "the sending domain is gone")
        simulated = self._simulator.is_simulated(job.address)
        if domain.state == domains.DEMO and not simulated:
            return refusal("5.7.1", "the demo domain writes to its simulator only")

        async def prepare(peer: Peer) -> Prepared | Answer:
            job.begun = True
            return await self._preparer.prepare(job, read, peer)

        mark = returnpath.make(job.recipient_id, self._clock(), self._key_id, self._key)
        sender, needs_tls = f"{mark}@{job.terms.return_path or domain.return_path_host}", job.terms.needs_tls
        parcel = Parcel(sender, job.address, job.destination, prepare, may_commit, needs_tls)
        transport: Transport = self._simulator if simulated else self._transport
        return await transport.deliver(parcel)

    async def close(self) -> None:
        await self._transport.close()
        await self._simulator.close()
