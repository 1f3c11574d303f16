"""async-substrate-interface against a node: `python async_substrate.py URL KEYPAIR RECIPIENT`.

KEYPAIR: the 32 bytes of the public and the 64 of the secret sr25519 key in hex. Runs in the environment of
async-substrate-requirements.txt. Prints one JSON object; test_clients.py says what must be in it.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

import sr25519
from async_substrate_interface import AsyncSubstrateInterface
from scalecodec.utils.ss58 import ss58_encode

HEADS = 20
AMOUNT = 2_000_000_000_000
ENDPOINT = "http://async-substrate.example"


@dataclass
class Key:
    """What the library wants of a key (its `protocols.Keypair`)."""

    public_key: bytes
    secret: bytes
    crypto_type: int = 1
    ss58_format: int = 42

    @property
    def ss58_address(self) -> str:
        """The address with the generic prefix."""
        return str(ss58_encode(self.public_key, self.ss58_format))

    def sign(self, data: bytes | str) -> bytes:
        """An sr25519 signature over bytes or 0x-hex."""
        message = bytes.fromhex(data[2:]) if isinstance(data, str) else bytes(data)
        return bytes(sr25519.sign((self.public_key, self.secret), message))


async def follow_heads(url: str) -> list[int]:
    """Numbers of the next best blocks, by a subscription on a connection of its own."""
    numbers: list[int] = []

    async def on_head(head: dict[str, Any]) -> bool | None:
        numbers.append(head["header"]["number"])
        return True if len(numbers) == HEADS else None

    async with AsyncSubstrateInterface(url) as substrate:
        await substrate.subscribe_block_headers(on_head)
    return numbers


async def send(substrate: AsyncSubstrateInterface, call: Any, key: Key) -> dict[str, Any]:
    """Signs, sends and waits for finality; the block and the names of the extrinsic's events."""
    extrinsic = await substrate.create_signed_extrinsic(call, key)
    receipt = await substrate.submit_extrinsic(extrinsic, wait_for_finalization=True)
    if not await receipt.is_success:
        raise RuntimeError(await receipt.error_message)
    events = [event["event"] for event in await receipt.triggered_events]
    return {"block": receipt.block_hash, "events": [f"{event['module_id']}.{event['event_id']}" for event in events]}


async def main(url: str, pair: str, recipient: str) -> None:
    """The whole story on one node."""
    data = bytes.fromhex(pair)
    key = Key(data[:32], data[32:])
    following = asyncio.create_task(follow_heads(url))
    async with AsyncSubstrateInterface(url) as substrate:
        pallets = [module["name"] for module in await substrate.get_metadata_modules()]
        account = await substrate.query("System", "Account", [key.ss58_address])
        transfer = await substrate.compose_call("Balances", "transfer_keep_alive", {"dest": recipient, "value": AMOUNT})
        fee = (await substrate.get_payment_info(transfer, key))["partial_fee"]
        report = {"pallets": pallets, "free": str(account["data"]["free"]), "fee": str(fee), "amount": str(AMOUNT)}
        report["transfer"] = await send(substrate, transfer, key)
        call = await substrate.compose_call("Stakes", "set_endpoint", {"endpoint": ENDPOINT})
        report["call"] = await send(substrate, call, key)
        report["endpoint"] = await substrate.query("Stakes", "Endpoints", [key.ss58_address])
    report["heads"] = await following
    print(json.dumps(report, default=str))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
