"""The operator's credentials: the environment, files, the registry.

The rule here: they are there from the start, and nothing is waited for.
"""

from collections.abc import Mapping

from gateway.core.credential import Credential
from gateway.core.identity import Principal
from gateway.credentials.source import Found
from gateway.plugins.keys import Call


class OperatorSource:
    """What the registry found when it was read."""

    def __init__(self, credentials: Mapping[str, Credential]) -> None:
        self._credentials = credentials

    async def find(self, call: Call, principal: Principal) -> Found | None:  # noqa: ARG002 - it is anybody's
        """The provider's credential, whoever calls."""
        credential = self._credentials.get(call.provider.name)
        return None if credential is None else Found(credential, call)

    async def fields_of(self, principal: Principal) -> frozenset[str]:  # noqa: ARG002 - it is nobody's own
        """None: what the operator has, the registry says."""
        return frozenset()
