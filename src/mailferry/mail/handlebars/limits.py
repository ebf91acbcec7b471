"""How much a rendering may take, and the meter that watches it."""

from __future__ import annotations

from dataclasses import dataclass

from mailferry.mail.handlebars.errors import Fault, OutputTooLong, TooManySteps


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one rendering.

    `steps` counts tags, the names in them and list items: 250,000 take less than a second. `depth` counts blocks and
    partials inside each other, `output` is in octets of UTF-8.
    """

    steps: int = 250_000
    depth: int = 100
    output: int = 10 * 1024 * 1024


class Meter:
    """What is left of the limits during one rendering."""

    __slots__ = ("limits", "room", "steps")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.steps = limits.steps
        # Characters while it renders, since each is an octet at least; the octets are counted once, at the end.
        self.room = limits.output

    def spend(self, steps: int) -> None:
        """Take steps for work that is no statement of its own; raises Fault when there are none left."""
        self.steps -= steps
        if self.steps < 0:
            raise self.no_steps()

    def need(self, characters: int) -> None:
        """Raises Fault when so many characters could not be written any more, before anybody makes them."""
        if characters > self.room:
            raise self.no_room()

    def write(self, characters: int) -> None:
        """Take room for characters of the output; raises Fault when there is none left."""
        self.room -= characters
        if self.room < 0:
            raise self.no_room()

    def no_steps(self) -> Fault:
        return Fault(f"this takes more than {self.limits.steps:,} steps", TooManySteps)

    def no_room(self) -> Fault:
        return Fault(f"the result is longer than {self.limits.output:,} octets", OutputTooLong)
