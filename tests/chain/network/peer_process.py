"""A network service in a process of its own, to be killed: `python -m tests.chain.network.peer_process SEED PORT`.

Prints its address, then announces without end.
"""

from __future__ import annotations

import asyncio
import sys

from chain.network import NetworkConfig, NetworkService
from tests.chain.network.chainlet import GENESIS_HASH, Chainlet


async def main(seed: int, port: int) -> None:
    """Runs until killed."""
    chain = Chainlet(50)
    service = NetworkService(NetworkConfig(GENESIS_HASH, bytes([seed]) * 32, port), chain)
    await service.start()
    print(service.listen_addresses[0], flush=True)
    reading = asyncio.create_task(drain(service))
    while not reading.done():
        service.announce_block(chain.headers[3].encode(), True)
        service.gossip_grandpa(bytes(300))
        await asyncio.sleep(0.01)


async def drain(service: NetworkService) -> None:
    """Takes all events."""
    async for _ in service.events():
        pass


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
