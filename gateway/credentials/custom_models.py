"""Callers' own models: address, name and credential from a row of a table.

The rule here: a row is looked up by its id and its owner together, so somebody else's row is never
found.
"""

import re

from gateway.config.provider_blocks import Model
from gateway.core.credential import Credential
from gateway.core.errors import ModelNotFoundError
from gateway.core.identity import Principal
from gateway.credentials.lookup_cache import LookupCache
from gateway.credentials.own_endpoints import OwnEndpoints, check_model_name
from gateway.credentials.source import Found, check_usable, moved_to
from gateway.credentials.supabase_profiles import Subjects
from gateway.plugins.keys import Call
from gateway.stores.profiles import ModelPlace, ModelRow

_ID = re.compile(r"[\x21-\x7e]{1,128}")


class CustomModels:
    """The provider `custom`."""

    def __init__(
        self,
        cache: LookupCache[ModelPlace, ModelRow],
        subjects: Subjects,
        endpoints: OwnEndpoints,
    ) -> None:
        self._cache = cache
        self._subjects = subjects
        self._endpoints = endpoints

    def are_for(self, principal: Principal) -> bool:
        """Whether a caller may have models of their own."""
        return self._subjects.subject_of(principal) is not None

    async def find(self, call: Call, principal: Principal) -> Found:
        """The call and its credential, from the row whose id is the call's model.

        ModelNotFoundError if the caller has no such row; CredentialUnusableError if it cannot be
        used for a request.
        """
        row_id = call.model
        user = self._subjects.subject_of(principal)
        row = None
        if user is not None and _ID.fullmatch(row_id):
            row = await self._cache.find((user, row_id))
        if row is None:
            raise ModelNotFoundError(
                "There is no model of yours with this id. Please look at your models in the "
                "settings.",
                param="customModelId",
            )
        label = call.provider.label
        name = check_model_name(row.model_id, label)
        context = row.context_length if (row.context_length or 0) > 0 else None
        provider = self._endpoints.provider_at(
            call.provider, row.base_url, (Model(id=name, context=context),)
        )
        credential = None
        if row.api_key is not None:
            credential = Credential(f"models:{row_id}", row.api_key)
            check_usable(credential, label)
        return Found(credential, moved_to(call, provider, name))
