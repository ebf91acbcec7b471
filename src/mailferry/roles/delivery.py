"""What delivers: the worker with its signers, its transport and its tracker; and the simulator's readers."""

import asyncio
import os
import ssl
from random import Random
from typing import Any

import structlog

from mailferry.config import Config, parse_host_port, parse_listen
from mailferry.delivery.carrier import Carrier
from mailferry.delivery.claim import Claimer
from mailferry.delivery.job import HandoffBudget
from mailferry.delivery.prepare import Preparer
from mailferry.delivery.settle import Settler
from mailferry.delivery.signing import Signers
from mailferry.delivery.tracking import Tracker
from mailferry.delivery.transports.mx import Mx
from mailferry.delivery.transports.pool import Pool
from mailferry.delivery.transports.relay import Relay
from mailferry.delivery.transports.simulator import Simulator
from mailferry.delivery.transports.transport import Transport
from mailferry.delivery.worker import Worker
from mailferry.ending import Ending
from mailferry.feedback.hits import Hits
from mailferry.feedback.simulated import Simulated
from mailferry.house import House, ticks
from mailferry.journal.ids import Ids
from mailferry.listening import Listening, own_hosts
from mailferry.mail import links
from mailferry.net import smtp as smtp_client
from mailferry.net.guard import Guard
from mailferry.resources.tracking_opt_outs import OptOutBook

log = structlog.get_logger(__name__)

#: Seconds that running attempts get when the process ends (see ending.py).
GRACE = 3.5


class Delivery:
    """Builds the worker for one house. ``listening`` says under which names we are reached."""

    def __init__(self, house: House, ending: Ending, listening: Listening, guard: Guard, simulator: Simulator) -> None:
        self._house = house
        self._config = house.config
        self._ending = ending
        self._listening = listening
        self._guard = guard
        self._simulator = simulator

    def budget(self) -> HandoffBudget:
        """What may be handed over from memory."""
        return HandoffBudget(self._config["delivery.handoff_messages"], self._config["delivery.handoff_memory"])

    async def start(self, hits: Hits, budget: HandoffBudget) -> Worker:
        house, config = self._house, self._config
        simulated = Simulated(
            hits, house.database, house.clock, link_keys=house.link_keys, return_path_key=house.return_path_key
        )
        self._simulator.react = simulated.react
        self._ending.part("simulator", simulated.close)
        processes = config["delivery.signers"]
        signers = Signers(_cores() if processes < 0 else processes)
        await signers.start()
        self._ending.part("signers", signers.close)
        preparer = Preparer(
            house.book,
            house.sealer,
            signers,
            house.clock,
            hostname=house.hostname,
            tracker=self._tracker(),
            opt_outs=OptOutBook(house.database, ticks),
        )
        carrier = Carrier(
            preparer,
            house.book,
            self._transport(),
            self._simulator,
            house.clock,
            return_path_key=house.return_path_key,
        )
        self._ending.part("connections", carrier.close)
        first_retry_ms = config["delivery.retry_seconds"] * 1000
        settler = Settler(
            house.database,
            Ids(house.clock),
            house.clock,
            Random(),  # noqa: S311  # jitter
            first_retry_ms=first_retry_ms,
            grown=house.clock.grown,
        )
        worker = Worker(
            house.database,
            house.content,
            Claimer(house.clock, boot=house.boot, hourly=config["limits.new_domain_hourly"]),
            carrier,
            settler,
            house.clock,
            boot=house.boot,
            budget=budget,
            connections=config["delivery.connections"],
        )
        running = asyncio.create_task(worker.run())

        async def close() -> None:
            await worker.close(GRACE)
            await running

        self._ending.part("worker", close)
        return worker

    def _tracker(self) -> Tracker:
        house, config = self._house, self._config
        url = config["tracking.url"] or config["server.public_url"]
        if not url:
            log.warning(
                "mail_not_tracked",
                reason="readers have no address for links; mail to the simulator is tracked all the same",
                needed="[tracking] url or [server] public_url",
            )
        number = max(house.link_keys)
        return Tracker(
            links.Key(number, house.link_keys[number]),
            url=url,
            local=_local_url(config),
            scheme_of=self._listening.scheme_of,
            simulated=self._simulator.is_simulated,
        )

    def _transport(self) -> Transport:
        house, config = self._house, self._config
        common: dict[str, Any] = {
            "resolver": house.resolver,
            "guard": self._guard,
            "clock": ticks,
            "rng": Random(),  # noqa: S311  # hosts of equal preference are shuffled
            "helo": house.hostname,
            "local_ip": config["delivery.local_address"],
            "pool": Pool(connections=config["delivery.connections"], attempts=config["delivery.attempts"]),
        }
        if config["delivery.transport"] == "mx":
            return Mx(port=config["delivery.smtp_port"], own_hosts=own_hosts(house), **common)
        host, port = parse_host_port(config["relay.host"])
        user = config["relay.username"]
        return Relay(
            host,
            port,
            tls=config["relay.tls"],
            context=_relay_context(config),
            credentials=smtp_client.Credentials(user, config["relay.password"]) if user else None,
            **common,
        )


def _local_url(config: Config) -> str:
    """Where this machine reaches itself: good for what never leaves it."""
    for setting, scheme in (("http.listen", "http"), ("http.tls_listen", "https")):
        for text in config[setting]:
            port = parse_listen(text)[1]
            return f"{scheme}://localhost:{port}"
    return ""


def _relay_context(config: Config) -> ssl.SSLContext | None:
    """None leaves it to the transport: the system's authorities, or nothing checked."""
    ca_file = config["relay.ca_file"]
    try:
        return ssl.create_default_context(cafile=ca_file) if ca_file else None
    except OSError as error:
        raise config.wrong("relay.ca_file", f"{ca_file} holds no certificates: {error.strerror or error}") from error


def _cores() -> int:
    return len(os.sched_getaffinity(0))
