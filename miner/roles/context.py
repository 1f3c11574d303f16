"""What every role is given, and what all of them count for the status line and the metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path

from consensus.commit.hashing import AccountId, Hash32
from pallets_abi import block_rights, stakes
from pallets_abi.base import AbiMismatch, Call
from substrateinterface.utils.ss58 import ss58_decode

from miner.roles.link import ChainClientError, ChainLink, EncodedCall, Receipt
from miner.store.blobs import BlobStore
from miner.store.client import BlobClient
from miner.store.errors import StoreError
from miner.wallet import Wallet
from miner.work.errors import WorkError
from miner.work.recovery import CheckpointMaker
from miner.work.worker import WorkerPool

log = logging.getLogger(__name__)

ROLE_ERRORS = (ChainClientError, StoreError, WorkError, AbiMismatch, TimeoutError, OSError)
"""What a role may meet and tries again with a line in the log; anything else is a bug and logged with its traceback."""

RETRY_SECONDS = 2.0
"""Pause after such an error."""

BOND_FACTOR = 2
"""Bonded at once, in minimum bonds: one penalty does not end the role."""

PLANCKS = 10**12
"""Plancks of one UNIT (docs/protocol.md)."""


@dataclass
class Counters:
    """What happened since the start; read by status line and metrics, written by the roles."""

    macs_done: int = 0
    """Of our own units."""
    macs_checked: int = 0
    """Of others' segments, executed again."""
    units_submitted: int = 0
    units_final: int = 0
    units_lost: int = 0
    segments_checked: int = 0
    mismatches: int = 0
    games_opened: int = 0
    games_won: int = 0
    games_lost: int = 0
    beacon_reveals: int = 0
    equivocations_reported: int = 0
    forced_errors: int = 0
    """Units of ours whose decoy counted, and was shown."""
    decoys_found: int = 0
    """Of others."""
    errors: int = 0
    activity: str = "starting"
    loss: float | None = None


@dataclass
class RoleContext:
    """Shared by the roles of one daemon."""

    link: ChainLink
    wallet: Wallet
    store: BlobStore
    client: BlobClient
    pool: WorkerPool
    """Trains, or re-executes."""
    players: WorkerPool
    """Executes what is disputed."""
    maker: CheckpointMaker
    folder: Path
    endpoint: str
    is_bonding_again: bool = False
    """Whether a bond that was lost is replaced."""
    counters: Counters = field(default_factory=Counters)

    @property
    def account(self) -> AccountId:
        """Our account id."""
        return AccountId(self.wallet.public_key)

    async def submit(self, call: Call | EncodedCall) -> Receipt:
        """Signs, sends and waits for the block. Raises ChainClientError."""
        log.debug("sending %s.%s", call.pallet, call.function)
        return await self.link.submit(call)


async def guard(name: str, counters: Counters, work: Awaitable[None]) -> bool:
    """Awaits a role's work; errors are logged and counted, so that the daemon goes on. Whether it succeeded."""
    try:
        await work
    except ROLE_ERRORS as error:
        counters.errors += 1
        log.warning("%s: %s", name, error)
        return False
    except Exception:
        counters.errors += 1
        log.exception("%s: a bug of ours; please report it", name)
        return False
    return True


async def ensure_bond(context: RoleContext, role: stakes.Role, minimum: int) -> bool:
    """Bonds `BOND_FACTOR` times `minimum` plancks unless `minimum` is at stake; waits for the money. Whether it is.

    What is gone after we bonded was slashed, or withdrawn by its owner: then nothing is bonded unless the user said so.
    """
    record = f"bonded/{role.value}"
    bonded = await context.link.query(stakes.BONDS, role.value, context.wallet.address)
    if bonded < minimum:
        if context.store.get_record(record) is not None and not context.is_bonding_again:
            log.error(
                "the %s bond of %s is gone: slashed, or withdrawn. No other one is bonded until you start with "
                "--bond-again; find out first why it was lost", role.value.lower(), context.wallet.address,
            )  # fmt: skip
            return False
        missing = BOND_FACTOR * minimum - bonded
        await wait_for_funds(context, missing)
        log.info("bonding %.2f UNIT as %s", missing / PLANCKS, role.value)
        await context.submit(stakes.BondCall(role, missing))
    context.store.put_record(record, b"")
    return True


async def ensure_endpoint(context: RoleContext) -> None:
    """Puts the blob server's URL on chain unless it is there."""
    known = await context.link.query(stakes.ENDPOINTS, context.wallet.address)
    if known != context.endpoint.encode():
        await context.submit(stakes.SetEndpointCall(context.endpoint.encode()))


async def ensure_keys(context: RoleContext) -> None:
    """Puts the Aura and GRANDPA keys on chain unless they are there."""
    aura, grandpa = "0x" + context.wallet.public_key.hex(), "0x" + context.wallet.grandpa.public.hex()
    if await context.link.query(block_rights.KEYS, context.wallet.address) is None:
        await context.submit(block_rights.SetKeysCall(aura, grandpa))


async def find_endpoint_of(link: ChainLink, account: str) -> str:
    """Blob server of an account, '' when it has none."""
    known = await link.query(stakes.ENDPOINTS, account)
    return "" if known is None else known.decode(errors="replace")


async def find_endpoint(context: RoleContext, account: str) -> str:
    """`find_endpoint_of` on a role's link."""
    return await find_endpoint_of(context.link, account)


async def wait_for_funds(context: RoleContext, needed: int) -> None:
    """Waits until the account's free balance reaches `needed` plancks, telling the user what is missing."""
    while True:
        free = await context.link.free_balance()
        if free >= needed:
            return
        context.counters.activity = f"waiting for {needed / PLANCKS:.2f} UNIT"
        log.warning("%s has %.2f UNIT, needs %.2f", context.wallet.address, free / PLANCKS, needed / PLANCKS)
        await asyncio.sleep(RETRY_SECONDS * 3)


def to_account(address: str) -> AccountId:
    """Account id of an SS58 address."""
    return AccountId(bytes.fromhex(ss58_decode(address)))


def to_hash(value: str) -> Hash32:
    """32 bytes of the ABI's hex text."""
    return Hash32(bytes.fromhex(value.removeprefix("0x")))
