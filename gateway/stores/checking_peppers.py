"""Whether a pepper is the one that keys were hashed with.

The rule here: with a different pepper under the same version no key would ever be recognised. The
first pepper that a version's keys were made with is the right one.
"""

from collections.abc import Collection
from contextlib import suppress

from gateway.core.clock import system_clock
from gateway.stores.errors import StoreDownError, StoreError
from gateway.stores.keys import KeyStore
from gateway.stores.peppers import Peppers


async def check_peppers(store: KeyStore, peppers: Peppers, versions: Collection[int]) -> None:
    """Raise StoreError if a working key was hashed with another pepper of these versions.

    If no working key needs a version, or there is no check of it yet, its check is saved for the
    next time.
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
        with suppress(StoreDownError):  # a full disk must not stop the start; the next one saves it
            await store.save_pepper_checks(new)
