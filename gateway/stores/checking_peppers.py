"""Whether a pepper is the one that keys were hashed with.

The rule here: with another pepper under the same version every key would be unknown, one by one
and for ever. The first pepper of a version that a key needs is the right one.
"""

from collections.abc import Collection
from contextlib import suppress

from gateway.core.clock import system_clock
from gateway.stores.errors import StoreDownError, StoreError
from gateway.stores.keys import KeyStore
from gateway.stores.peppers import Peppers


async def check_peppers(store: KeyStore, peppers: Peppers, versions: Collection[int]) -> None:
    """Raise StoreError where a key that works was hashed with another pepper of these versions.

    The check of one that no such key needs, or that was used by a gateway without checks, is kept
    for the next time.
    """
    known = await store.fetch_pepper_checks()
    own = {version: peppers.checks[version] for version in versions}
    new = {version: check for version, check in own.items() if known.get(version) != check}
    changed = new.keys() & known.keys()
    if changed:  # only then, since it takes a second with a million keys
        wrong = await store.find_working_peppers(changed, int(system_clock()))
        if wrong:
            shown = ", ".join(map(str, sorted(wrong)))
            raise StoreError(
                f"{peppers.source} has another pepper as version {shown} than stored "
                "keys were hashed with; put that back and give the other a version of its own, or "
                "those keys are lost."
            )
    if new:
        with suppress(StoreDownError):  # a full disk stops no start; the next one does it
            await store.save_pepper_checks(new)
