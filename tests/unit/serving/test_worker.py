"""One of several workers, from inside."""

import multiprocessing
import socket

from gateway.config.load import Registry
from gateway.config.settings import AdminSpec, MiddlewareSpec, ServerSpec, Settings
from gateway.plugins.keys import Worker
from gateway.server.sockets import close_sockets, open_sockets, url_of
from gateway.serving.shared import open_shared
from gateway.serving.worker import run_worker


async def test_a_worker_that_cannot_start_ends_with_1_and_says_why(registry: Registry) -> None:
    """Its supervisor has nothing to add."""
    middleware = (MiddlewareSpec(use="nobody:wrote_this", after="authenticate"),)
    settings = Settings(middleware=middleware, admin=AdminSpec(port=0))
    listening, shared = await open_sockets("127.0.0.1", 0), await open_shared(settings)
    context = multiprocessing.get_context("spawn")
    news, told = context.Pipe()
    worker = context.Process(
        target=run_worker, args=(settings, registry, Worker(), {0: listening}, shared, told)
    )
    worker.start()
    told.close()
    worker.join()

    assert worker.exitcode == 1
    assert news.recv().what == "refused"
    worker.close()
    news.close()
    close_sockets(listening)
    shared.close()


async def test_a_worker_that_crashes_tells_that_its_log_says_why(registry: Registry) -> None:
    """What is said of one that ends without a word would be wrong here."""
    settings = Settings(admin=AdminSpec(port=0))
    shared = await open_shared(settings)
    context = multiprocessing.get_context("spawn")
    news, told = context.Pipe()
    sockets: dict[int, list[socket.socket]] = {0: []}  # there is none to listen on: our mistake
    worker = context.Process(
        target=run_worker, args=(settings, registry, Worker(), sockets, shared, told)
    )
    worker.start()
    told.close()
    worker.join()

    assert (worker.exitcode, news.recv().what) == (1, "crashed")
    worker.close()
    news.close()
    shared.close()


async def test_a_worker_tells_when_it_is_ready_and_when_it_stops(registry: Registry) -> None:
    """K02: and each of them answers on the admin listener, for any of the others may be dead."""
    settings = Settings(server=ServerSpec(port=0), admin=AdminSpec(port=0))
    listening, shared = await open_sockets("127.0.0.1", 0), await open_shared(settings)
    context = multiprocessing.get_context("spawn")
    news, told = context.Pipe()
    worker = context.Process(
        target=run_worker,
        args=(settings, registry, Worker(index=0), {0: listening}, shared, told),
    )
    worker.start()
    told.close()

    ready = news.recv()
    assert shared.board.count_beats(0)  # from its first moment on it is known whether it hangs
    worker.terminate()
    stopping = news.recv()
    worker.join()

    assert (ready.what, stopping.what) == ("ready", "stopping")
    assert ready.admin_url == url_of(shared.admin[0])
    assert worker.exitcode == 0
    worker.close()
    news.close()
    close_sockets(listening)
    shared.close()
