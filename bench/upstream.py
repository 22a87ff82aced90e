"""The upstream's process: the simulator twice, over http and over https.

The rule here: started by the benchmark, it says its two ports in one line and runs until ended.
"""

import asyncio
import json
import ssl
import sys

import uvloop

from gateway.simulator import Simulator


async def serve(certificate: str) -> None:
    """Serve on two free ports until cancelled."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    # A short journal: each record holds a request, and thousands come every second.
    async with (
        Simulator(journal_limit=1) as plain,
        Simulator(journal_limit=1, ssl_context=tls) as encrypted,
    ):
        print(json.dumps({"http": plain.port, "https": encrypted.port}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
