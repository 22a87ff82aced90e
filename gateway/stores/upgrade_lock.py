"""One process at a time makes or upgrades an SQLite file.

The rule here: the lock is on the directory, is the kernel's, and goes with the process. SQLite's
own would do for the tables, but not for the step before: a new file is given its write-ahead log
outside of any transaction, and whoever meets that is told at once that it is locked.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from gateway.config.stores import DatabaseAddress
from gateway.stores.errors import StoreDownError

MAKING_S: Final = 30.0  # for all that start at once, with a slow disk
LOOK_S: Final = 0.02


@asynccontextmanager
async def making(address: DatabaseAddress, *, wait_s: float = MAKING_S) -> AsyncIterator[None]:
    """Have the file to oneself among those who make one; StoreDownError when that takes too long.

    A server has a lock of its own for this, so nothing is waited for there.
    """
    if address.file is None:
        yield
        return
    descriptor = _open_directory(address.file)
    try:
        if descriptor is not None:
            await _lock(descriptor, address, wait_s)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_directory(file: Path) -> int | None:
    try:
        return os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # not there, or not ours to read: opening the file says so, in its own words
        return None


async def _lock(descriptor: int, address: DatabaseAddress, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            # The kernel tells nobody in a loop of events that a lock is free.
            while not _try_lock(descriptor):  # noqa: ASYNC110 - see above
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise StoreDownError(
            f"{address.shown}: another process has been making or upgrading it for {wait_s:g} s."
        ) from None


def _try_lock(descriptor: int) -> bool:
    """Whether there is nobody to wait for."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without such locks: what SQLite has by itself has to do
        return True
    return True
