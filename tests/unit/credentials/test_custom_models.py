"""A model of one's own is called as its row says, and by its owner alone."""

import pytest
from pydantic import SecretStr

from gateway.core.credential import Credential
from gateway.core.errors import CredentialUnusableError, ModelNotFoundError
from gateway.core.identity import ANONYMOUS, Principal
from gateway.core.tasks import Tasks
from gateway.credentials.custom_models import CustomModels
from gateway.credentials.lookup_cache import LookupCache
from gateway.credentials.own_endpoints import OwnEndpoints
from gateway.credentials.supabase_profiles import Subjects
from gateway.stores.profiles import ModelRow
from tests.plugins.shelf import Shelf
from tests.unit.credentials.conftest import call_of, provider_of

ALICE = Principal("u1", "supabase_cookie")
CUSTOM = provider_of("custom", base_url="models:", auth={"required": False})
ROW = ModelRow("https://llm.example.org/v1/", "my/model", SecretStr("canary-of-a-row-01"), 4096)


def models_of(tasks: Tasks, row: ModelRow = ROW) -> CustomModels:
    """A table in which the user u1 has the row r1."""
    shelf = Shelf({("u1", "r1"): row})
    return CustomModels(LookupCache("models", shelf.look_up, tasks), Subjects(""), OwnEndpoints())


async def test_a_row_says_address_name_and_credential(tasks: Tasks) -> None:
    """The id of the row takes none of their endpoints."""
    found = await models_of(tasks).find(call_of(CUSTOM, "r1"), ALICE)

    assert found.credential == Credential("models:r1", SecretStr("canary-of-a-row-01"))
    assert models_of(tasks).are_for(ALICE)
    assert not models_of(tasks).are_for(ANONYMOUS)
    assert found.call.model == "my/model"
    provider = found.call.provider
    assert (provider.base_url, provider.is_custom) == ("https://llm.example.org/v1", False)
    model = provider.find_model("my/model")
    assert model is not None
    assert model.context == 4096


async def test_a_row_without_a_key_is_called_without(tasks: Tasks) -> None:
    """A server of one's own may want none."""
    row = ModelRow(ROW.base_url, ROW.model_id, None, None)

    found = await models_of(tasks, row).find(call_of(CUSTOM, "r1"), ALICE)

    assert found.credential is None


@pytest.mark.parametrize(
    ("principal", "row_id"),
    [
        (Principal("u2", "supabase_cookie"), "r1"),
        (Principal("u1", "gateway_key"), "r1"),
        (ANONYMOUS, "r1"),
        (ALICE, "r2"),
        (ALICE, "r1\n"),
        (ALICE, "' OR 1=1"),
        (ALICE, "x" * 1000),
    ],
)
async def test_what_is_not_the_callers_is_not_there(
    tasks: Tasks, principal: Principal, row_id: str
) -> None:
    """Whose it is, is not said (E16)."""
    with pytest.raises(ModelNotFoundError) as refused:
        await models_of(tasks).find(call_of(CUSTOM, row_id), principal)

    assert (refused.value.status, refused.value.param) == (404, "customModelId")


@pytest.mark.parametrize(
    "row",
    [
        ModelRow("http://127.0.0.1:11434/v1", "m", None, None),
        ModelRow("", "m", None, None),
        ModelRow(ROW.base_url, "", None, None),
        ModelRow(ROW.base_url, "a\nb", None, None),
        ModelRow(ROW.base_url, "m", SecretStr("canary\r\nX: 1"), None),
    ],
)
async def test_a_row_that_cannot_be_used_is_refused(tasks: Tasks, row: ModelRow) -> None:
    """Before anything is connected to (H02)."""
    with pytest.raises(CredentialUnusableError) as refused:
        await models_of(tasks, row).find(call_of(CUSTOM, "r1"), ALICE)

    assert "canary" not in refused.value.public
