"""Whose request may be under way: what all webhooks share, so that one customer's slow receivers leave room for the others'.

Nobody can tell beforehand whose receivers let us wait. So an account may have as many places as are left free, at least one
while there are any: one alone takes half of them, a second one half of what is left, and the more there are the closer they
come to equal shares, since each place that is given back goes to the next account in turn that has fewer than are free.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Account:
    running: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Places:
    """So many of them in all. Belongs to one event loop."""

    def __init__(self, number: int) -> None:
        self._free = number
        #: Those that have places or wait for some; who was served last stands last.
        self._accounts: dict[int, _Account] = {}

    @asynccontextmanager
    async def one(self, account_id: int) -> AsyncIterator[None]:
        """Waits for the account's turn, and for the caller's among those who wait for the same account."""
        await self._take(account_id)
        try:
            yield
        finally:
            self._give_back(account_id)

    async def _take(self, account_id: int) -> None:
        account = self._accounts.setdefault(account_id, _Account())
        if not account.waiting and self._may(account):
            self._begin(account)
            return
        waiter = asyncio.get_running_loop().create_future()
        account.waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                account.waiting.remove(waiter)
                self._drop_idle(account_id)
                self._admit()
            else:  # granted and cancelled at the same moment
                self._give_back(account_id)
            raise

    def _give_back(self, account_id: int) -> None:
        self._accounts[account_id].running -= 1
        self._free += 1
        self._drop_idle(account_id)
        self._admit()

    def _admit(self) -> None:
        """Each place to the first in turn that may have it; a place more that is free may let another one in."""
        while chosen := next((each for each, one in self._accounts.items() if one.waiting and self._may(one)), None):
            account = self._accounts.pop(chosen)
            self._accounts[chosen] = account
            waiter = account.waiting.popleft()
            if waiter.cancelled():  # and not gone yet: it comes back here when it has
                account.waiting.appendleft(waiter)
                return
            waiter.set_result(None)
            self._begin(account)

    def _may(self, account: _Account) -> bool:
        return account.running < self._free or (self._free > 0 and not account.running)

    def _begin(self, account: _Account) -> None:
        account.running += 1
        self._free -= 1

    def _drop_idle(self, account_id: int) -> None:
        account = self._accounts[account_id]
        if not account.running and not account.waiting:
            del self._accounts[account_id]
