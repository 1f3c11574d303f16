"""substrate-interface against a node: `python substrate_interface.py URL SURI RECIPIENT`.

Prints one JSON object; test_clients.py says what must be in it.
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from substrateinterface import Keypair, SubstrateInterface

HEADS = 20
AMOUNT = 1_000_000_000_000
ENDPOINT = "http://substrate-interface.example"


def follow_heads(url: str) -> list[int]:
    """The numbers of the next best blocks, by a subscription on a connection of its own.

    In a process of its own: scalecodec's types are made on the way, and two threads that make one at once trip over it.
    """
    numbers: list[int] = []

    def on_head(head: dict[str, Any], _update: int, _subscription: str) -> bool | None:
        numbers.append(head["header"]["number"])
        return True if len(numbers) == HEADS else None

    with SubstrateInterface(url) as substrate:
        substrate.subscribe_block_headers(on_head)
    return numbers


def send(substrate: SubstrateInterface, call: Any, key: Keypair) -> dict[str, Any]:
    """Signs, sends and waits for finality; the block and the names of the extrinsic's events."""
    extrinsic = substrate.create_signed_extrinsic(call, key)
    receipt = substrate.submit_extrinsic(extrinsic, wait_for_finalization=True)
    if not receipt.is_success:
        raise RuntimeError(receipt.error_message)
    events = [event.value["event"] for event in receipt.triggered_events]
    return {"block": receipt.block_hash, "events": [f"{event['module_id']}.{event['event_id']}" for event in events]}


def main(url: str, suri: str, recipient: str) -> None:
    """The whole story on one node."""
    key = Keypair.create_from_uri(suri)
    with ProcessPoolExecutor(1, get_context("spawn")) as processes, SubstrateInterface(url) as substrate:
        following = processes.submit(follow_heads, url)
        account = substrate.query("System", "Account", [key.ss58_address]).value
        transfer = substrate.compose_call("Balances", "transfer_keep_alive", {"dest": recipient, "value": AMOUNT})
        fee = substrate.get_payment_info(transfer, key)["partialFee"]
        report = {
            "pallets": [module["name"] for module in substrate.get_metadata_modules()],
            "free": str(account["data"]["free"]),
            "fee": str(fee),
            "amount": str(AMOUNT),
            "transfer": send(substrate, transfer, key),
        }
        # its codec wants a BoundedVec as a 1-tuple
        call = substrate.compose_call("Stakes", "set_endpoint", {"endpoint": (ENDPOINT,)})
        report["call"] = send(substrate, call, key)
        report["endpoint"] = substrate.query("Stakes", "Endpoints", [key.ss58_address]).value
        report["heads"] = following.result()
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:4])
