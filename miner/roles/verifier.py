"""The verifier: re-executes the drawn segments of its duties, commits to what came out, reveals it.

The attestation carries what the own execution gave (`replay`); the chain compares, nobody votes: who differs from the
solver must show it in a dispute (`disputes`). When the own machine or the own execution fails, the attestation is
Inconclusive and accuses nobody.
What its server does not give, a solver is asked for on chain, once (`availability`); only when that does not help the
attestation is Unavailable. For a task's inputs its owner is asked, and without them the attestation is Inconclusive.
The attestation and its salt are in the store before the commitment is sent, so a restart can still reveal.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from typing import Any

from consensus.commit.hashing import Hash32
from consensus.protocol.attestation import (
    Attestation,
    Outcome,
    SegmentClaim,
    compute_attestation_commitment,
)
from pallets_abi import availability, stakes, verification

from miner.inspect.errors import MachineUnsound
from miner.roles.availability import Asker
from miner.roles.context import (
    RoleContext,
    ensure_bond,
    ensure_endpoint,
    guard,
)
from miner.roles.link import Head
from miner.roles.replay import Replayer
from miner.store.errors import BlobError, FetchError, StoreError, TaskUnservedError
from miner.work.errors import WorkError

log = logging.getLogger(__name__)

LAST_MOMENT_BLOCKS = 5
"""So many blocks before its deadline a duty is answered even with Unavailable or Inconclusive."""

SLACK_BLOCKS = 3
"""We ask on chain so many blocks before the last one in which the answer would be in time for the duty: as late as is
useful, for a solver that is starting again may serve meanwhile."""

DutyKey = tuple[int, int, int, int]
"""Task, unit, attempt, draw."""


class Verifier:
    """One validator's duties; `prepare` once, then `on_head` with every head."""

    def __init__(self, context: RoleContext, replayer: Replayer, asker: Asker) -> None:
        self._context, self._replayer, self._asker = context, replayer, asker
        self._running: dict[DutyKey, asyncio.Task[bool]] = {}
        self._testing: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Bond and endpoint on chain. Raises ChainClientError."""
        context = self._context
        self._testing = asyncio.create_task(self._test_machine())  # early, so that no duty has to wait for it
        params = await context.link.query(stakes.PARAMS)
        is_bonded = await ensure_bond(context, stakes.Role.VERIFIER, params.min_verifier_bond)
        await ensure_endpoint(context)
        context.counters.activity = "waiting for duties" if is_bonded else "no bond"
        log.info("%s and endpoint on chain; waiting for duties", "bonded" if is_bonded else "no bond")

    async def on_head(self, head: Head) -> None:
        """Begins and answers duties. Raises ChainClientError."""
        address = self._context.wallet.address
        for parts, duty in await self._context.link.query_map(verification.DUTIES):
            mine = next((state for account, state in duty.verifiers if account == address), None)
            if mine is None:
                continue
            key = (int(parts[0]), int(parts[1]), duty.attempt, duty.draws)
            is_commit = duty.phase is verification.Phase.COMMIT and mine.name == "Waiting"
            is_reveal = duty.phase is verification.Phase.REVEAL and mine.name == "Committed"
            if (is_commit or is_reveal) and key not in self._running:
                work = self._commit(key, duty, head.number) if is_commit else self._reveal(key)
                task = asyncio.create_task(guard(f"duty {key}", self._context.counters, work))
                self._running[key] = task
                task.add_done_callback(lambda _, key=key: self._running.pop(key, None))  # type: ignore[misc]

    async def stop(self) -> None:
        """Ends duties under way."""
        running: list[asyncio.Task[Any]] = [*self._running.values(), *([self._testing] if self._testing else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _test_machine(self) -> None:
        try:
            await self._replayer.machine.verify()
        except MachineUnsound as error:
            log.error("%s; until it passes, differences are attested as inconclusive", error)

    async def _commit(self, key: DutyKey, duty: verification.Duty, block: int) -> None:
        attestation, salt = self._load(key) or (None, b"")
        if attestation is None:
            left = duty.deadline - block - LAST_MOMENT_BLOCKS
            kept = await self._get_answer_blocks(key)
            patience = max(0, left - kept) * await self._context.link.slot_seconds()
            attestation, salt = await self._attest(key, duty, patience), secrets.token_bytes(32)
            if attestation.outcome is not Outcome.EXECUTED and left > 0:
                if attestation.outcome is Outcome.UNAVAILABLE and kept and left <= kept + SLACK_BLOCKS:
                    await self._asker.ask((key[0], key[1]), duty)
                return  # the solver may be starting again, or we, or must answer; there is time for another try
            self._save(key, attestation, salt)
        commitment = compute_attestation_commitment(self._context.account, key[0], key[1], attestation, salt)
        await self._context.submit(verification.CommitCall(key[0], key[1], "0x" + commitment.hex()))

    async def _get_answer_blocks(self, key: DutyKey) -> int:
        """Blocks to keep back for the answer to an ask on chain; 0 once we have asked about this attempt."""
        if await self._asker.is_asked((key[0], key[1]), key[2]):
            return 0
        return (await self._context.link.query(availability.PARAMS)).answer_blocks

    async def _reveal(self, key: DutyKey) -> None:
        loaded = self._load(key)
        if loaded is None:
            log.error("duty %s: what we committed to is not in our store, it cannot be revealed", key)
            return
        attestation, salt = loaded
        await self._context.submit(
            verification.RevealCall(key[0], key[1], to_abi_attestation(attestation), "0x" + salt.hex())
        )
        self._context.store.delete_record(_record(key))

    async def _attest(self, key: DutyKey, duty: verification.Duty, patience: float) -> Attestation:
        """Re-executes; what the solver does not serve is Unavailable; what the owner does not serve, our own failing or
        an unsound machine is Inconclusive.

        `patience`: seconds that a solver has to make a dropped checkpoint again.
        """
        unit_key = (key[0], key[1])
        try:
            reports = await self._replayer.replay(unit_key, list(duty.segments), patience)
            return Attestation(Outcome.EXECUTED, tuple(report.claim for report in reports if report.claim is not None))
        except TaskUnservedError as error:
            log.warning("unit %s cannot be checked, which is not its solver's guilt: %s", unit_key, error)
            await guard(f"asking the owner of task {key[0]}", self._context.counters, self._ask_owner(key))
            return Attestation(Outcome.INCONCLUSIVE)
        except (FetchError, BlobError) as error:
            log.warning("unit %s is not available: %s", unit_key, error)
            return Attestation(Outcome.UNAVAILABLE)
        except (WorkError, StoreError, MachineUnsound) as error:
            log.error("unit %s: our own execution failed, nobody's guilt: %s", unit_key, error)
            return Attestation(Outcome.INCONCLUSIVE)

    async def _ask_owner(self, key: DutyKey) -> None:
        await self._asker.ask_owner((key[0], key[1]), key[2])

    def _save(self, key: DutyKey, attestation: Attestation, salt: bytes) -> None:
        document = {
            "outcome": attestation.outcome.name,
            "segments": [[claim.end_state_root.hex(), claim.witness.hex()] for claim in attestation.segments],
            "salt": salt.hex(),
        }
        self._context.store.put_record(_record(key), json.dumps(document).encode())

    def _load(self, key: DutyKey) -> tuple[Attestation, bytes] | None:
        raw = self._context.store.get_record(_record(key))
        if raw is None:
            return None
        try:
            return decode_commitment(_record(key), raw)
        except StoreError as error:
            log.error("%s", error)
            return None


def decode_commitment(name: str, raw: bytes) -> tuple[Attestation, bytes]:
    """Attestation and salt of a stored commitment; raises `StoreError`."""
    try:
        document = json.loads(raw)
        claims = (SegmentClaim(*(Hash32(bytes.fromhex(part)) for part in pair)) for pair in document["segments"])
        return Attestation(Outcome[document["outcome"]], tuple(claims)), bytes.fromhex(document["salt"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"the record {name} is damaged ({error}); delete it") from error


def to_abi_attestation(attestation: Attestation) -> verification.Attestation:
    """An attestation in the form of the call."""
    return verification.Attestation(
        verification.Outcome(attestation.outcome.name.capitalize()),
        [("0x" + claim.end_state_root.hex(), "0x" + claim.witness.hex()) for claim in attestation.segments],
    )


def _record(key: DutyKey) -> str:
    return "attestation/" + "/".join(str(part) for part in key)
