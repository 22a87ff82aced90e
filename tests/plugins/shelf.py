"""A store that is a dictionary, for what asks stores: it counts, waits and fails when told to.

The rule here: what is on it is what a store would answer; what is not, is not there.
"""

import asyncio
from collections.abc import Collection
from typing import Generic, TypeVar

from gateway.stores.errors import StoreDownError

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class Shelf(Generic[KeyT, ValueT]):
    """Answers by what they are about; `look_up` is what is asked."""

    def __init__(self, answers: dict[KeyT, ValueT] | None = None) -> None:
        self.answers = answers or {}
        self.questions: list[list[KeyT]] = []
        self.is_down = False
        self.gate = asyncio.Event()  # closed, it lets nobody have an answer that was read
        self.gate.set()
        self.has_read = asyncio.Event()

    async def look_up(self, keys: Collection[KeyT]) -> dict[KeyT, ValueT]:
        """What is there, as it is now; and what is not asked for beside it."""
        self.questions.append(list(keys))
        if self.is_down:
            await asyncio.sleep(0)
            raise StoreDownError("gateway.db: out of order")
        read = dict(self.answers)
        self.has_read.set()
        await self.gate.wait()
        return {key: read[key] for key in keys if key in read}
