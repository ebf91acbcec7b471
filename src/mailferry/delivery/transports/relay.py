"""Delivery over one smarthost that takes mail for every domain: port 25 is closed, or another service delivers."""

import random
import ssl
from collections.abc import Callable
from dataclasses import replace

from mailferry.delivery.transports.pool import Pool
from mailferry.delivery.transports.tour import Dialer, Tour
from mailferry.delivery.transports.transport import Parcel
from mailferry.mail.reply import BEFORE_MAIL, Answer
from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard
from mailferry.net.smtp import Approach, Credentials, Timeouts, TlsMode, opportunistic_context


class Relay:
    """`host` is a name or an address.

    TLS "required" (STARTTLS) and "implicit" verify the host's certificate by `context`, by default with the system's
    authorities; "opportunistic" verifies nothing.
    """

    name = "relay"

    def __init__(
        self,
        host: str,
        port: int,
        *,
        resolver: Resolver,
        guard: Guard,
        clock: Callable[[], int],
        rng: random.Random,
        helo: str,
        tls: TlsMode = "required",
        context: ssl.SSLContext | None = None,
        credentials: Credentials | None = None,
        local_ip: str = "",
        timeouts: Timeouts | None = None,
        pool: Pool | None = None,
    ) -> None:
        if context is None and tls != "none":
            context = opportunistic_context() if tls == "opportunistic" else ssl.create_default_context()
        approach = Approach(
            helo=helo,
            transport=self.name,
            tls=tls,
            context=context,
            credentials=credentials,
            local_ip=local_ip,
            timeouts=timeouts or Timeouts(),
        )
        self._host = host
        self._dialer = Dialer(approach, port, resolver=resolver, guard=guard, clock=clock, rng=rng)
        self._pool = pool or Pool()

    async def deliver(self, parcel: Parcel) -> Answer:
        """One attempt at the relay, whatever the parcel's domain."""
        answer = await self._pool.carry(self._host, lambda: Tour(self._dialer, lambda: [[self._host]], parcel), parcel)
        return _not_the_recipient_s(answer) if answer.stage in BEFORE_MAIL else answer

    async def close(self) -> None:
        """Ends the connections that are kept."""
        await self._pool.close()


def _not_the_recipient_s(answer: Answer) -> Answer:
    """What a relay says before MAIL is about us: a wrong password, a closed account, a name that is gone.

    The operator puts it right, so the queue waits instead of bouncing (Postfix: smtp_sasl_auth_soft_bounce).
    """
    if answer.code < 500 and not answer.enhanced.startswith("5"):
        return answer
    text = f"{answer.code} {answer.enhanced} {answer.text}" if answer.code else answer.text
    enhanced = f"4{answer.enhanced[1:]}" if answer.enhanced else "4.7.0"
    return replace(answer, code=0, enhanced=enhanced, text=text.replace("  ", " "))
