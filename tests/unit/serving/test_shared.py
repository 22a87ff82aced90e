"""What the supervisor opens for all workers."""

import pytest

from gateway.config.settings import AdminSpec, ServerSpec, Settings
from gateway.server.sockets import ListenError
from gateway.serving.shared import open_shared


async def test_the_board_has_a_place_for_each_worker() -> None:
    """And the admin listener is bound before any of them is started."""
    settings = Settings(server=ServerSpec(workers=3), admin=AdminSpec(port=0))
    shared = await open_shared(settings)

    assert shared.board.places == 3
    port = shared.admin[0].getsockname()[1]
    with pytest.raises(ListenError, match=str(port)):
        await open_shared(Settings(admin=AdminSpec(port=port)))

    shared.close()
    assert shared.admin[0].fileno() < 0


async def test_without_an_admin_listener_there_is_a_board_alone() -> None:
    """It is switched off."""
    shared = await open_shared(Settings(admin=AdminSpec(enabled=False)))

    assert list(shared.admin) == []
    shared.close()
