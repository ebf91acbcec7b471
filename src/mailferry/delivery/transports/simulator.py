"""Recipients whose fate is known beforehand, to try out what a program does with each: nothing leaves this machine.

They live at `simulator.<demo domain>` and, for programs that use Amazon's, at `simulator.amazonses.com`; nowhere else
does such a name mean anything.
"""

from collections.abc import Callable
from dataclasses import replace

from mailferry.delivery.transports.transport import Parcel, Peer, Prepared
from mailferry.mail.reply import SUPPRESSED, Answer, clean
from mailferry.resources import suppressions

AMAZON = "simulator.amazonses.com"

# What each local part is answered: code, enhanced code, text.
FATES = {
    "success": (250, "2.1.5", "taken by the simulator"),
    "bounce": (550, "5.1.1", "user unknown (simulated)"),
    "softbounce": (452, "4.2.2", "mailbox full (simulated)"),
    # These are delivered first, and then something comes back.
    "complaint": (250, "2.1.5", "taken by the simulator"),
    "open": (250, "2.1.5", "taken by the simulator"),
    "click": (250, "2.1.5", "taken by the simulator"),
    "unsubscribe": (250, "2.1.5", "taken by the simulator"),
    "ooto": (250, "2.1.5", "taken by the simulator"),
    # Never tried: the event says what that of a suppressed recipient says.
    "suppressionlist": (550, "5.1.1", suppressions.why_rejected(suppressions.HARD_BOUNCE)),
}
#: Of these something comes back after the delivery.
REACTIONS = frozenset(("complaint", "open", "click", "unsubscribe"))

_ABILITIES = Peer(eight_bit=True, utf8=True, size=0)
_LEASE_LOST = Answer(0, "4.4.2", "lease lost: the recipient is in other hands now")


class Simulator:
    """Answers as the recipient's name says. A label is allowed: `bounce+order-7@...`."""

    name = "simulator"

    def __init__(self, demo_domain: str) -> None:
        #: Told of a delivery whose recipient does something with the mail: its fate, the parcel, the message.
        self.react: Callable[[str, Parcel, Prepared], None] = lambda fate, parcel, prepared: None
        self._domains = frozenset((f"simulator.{demo_domain.lower()}", AMAZON))

    def is_simulated(self, address: str) -> bool:
        """Whether mail to this address is for the simulator."""
        _, at, domain = address.rpartition("@")
        return at == "@" and domain.lower() in self._domains

    async def deliver(self, parcel: Parcel) -> Answer:
        """The message is prepared as for any host, so that a signing key that fails shows here too."""
        prepared = await parcel.prepare(_ABILITIES)
        if isinstance(prepared, Answer):
            return self._as_ours(prepared, prepared.stage or "prepare")
        if not parcel.may_commit():
            return self._as_ours(_LEASE_LOST, "simulator")
        answer, word = _fate(parcel.recipient)
        if word in REACTIONS:
            self.react(word, parcel, prepared)
        return self._as_ours(answer, answer.stage or "simulator")

    async def close(self) -> None:
        """Nothing is kept."""

    def _as_ours(self, answer: Answer, stage: str) -> Answer:
        return replace(answer, text=clean(answer.text), stage=stage, transport=self.name)


def _fate(recipient: str) -> tuple[Answer, str]:
    local, _, domain = recipient.rpartition("@")
    word = local.partition("+")[0].lower()
    if known := FATES.get(word):
        return Answer(*known, stage=SUPPRESSED if word == "suppressionlist" else "", host=domain), word
    text = f"the simulator does not know {local!r}, only {', '.join(FATES)}"
    return Answer(550, "5.1.1", text, host=domain), word
