"""One of several workers, from inside."""

import multiprocessing
import socket

from gateway.cli.reloading import Source
from gateway.cli.worker import run_worker
from gateway.config.load import Registry
from gateway.config.settings import AdminSpec, ServerSpec, Settings
from gateway.plugins.keys import Worker
from gateway.server.sockets import open_sockets


async def test_a_worker_that_cannot_start_ends_with_1_and_says_why(registry: Registry) -> None:
    """Its supervisor has nothing to add."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        admin = AdminSpec(port=other.getsockname()[1])
        settings = Settings(server=ServerSpec(port=0), admin=admin)
        listening = await open_sockets("127.0.0.1", 0)
        context = multiprocessing.get_context("spawn")
        news, told = context.Pipe()
        worker = context.Process(
            target=run_worker, args=(settings, registry, Worker(), {0: listening}, told, Source())
        )
        worker.start()
        told.close()
        worker.join()

    assert worker.exitcode == 1
    assert news.poll()  # its end was closed, and nothing was said
    worker.close()
    news.close()
    for one in listening:
        one.close()


async def test_a_worker_tells_when_it_is_ready_and_when_it_stops(registry: Registry) -> None:
    """K02: and only the first one has an admin listener."""
    settings = Settings(server=ServerSpec(port=0), admin=AdminSpec(port=0))
    listening = await open_sockets("127.0.0.1", 0)
    context = multiprocessing.get_context("spawn")
    news, told = context.Pipe()
    worker = context.Process(
        target=run_worker,
        args=(settings, registry, Worker(index=1), {1: listening}, told, Source()),
    )
    worker.start()
    told.close()

    ready = news.recv()
    worker.terminate()
    stopping = news.recv()
    worker.join()

    assert (ready.what, ready.admin_url, stopping.what) == ("ready", None, "stopping")
    assert worker.exitcode == 0
    worker.close()
    news.close()
    for one in listening:
        one.close()
