"""Takes part in the beacon: commits to a secret in the first third of each epoch, reveals it in the second.

Who commits and does not reveal is slashed, so the secret is on disk before its commitment is sent: a daemon killed with
-9 and started again reveals what it committed to.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from consensus.protocol.attestation import compute_beacon_commitment, is_commit_slot, is_reveal_slot
from pallets_abi import aura, beacon, block_rights, stakes

from miner.roles.context import RoleContext, guard, to_hash
from miner.roles.link import Head

log = logging.getLogger(__name__)

KEPT_EPOCHS = 8
"""Secrets of so many epochs stay on disk; older ones can never be revealed."""

MAX_WINDOW_SHARE = 0.75
"""Of the reveal's window: an account whose calls took longer than this to get into a block within the last epoch does
not commit. What it loses is its say in the seed; a reveal that comes late would cost its bond."""

MAX_FILE_BYTES = 2**14
"""Bound on the secrets' file (= 16,384), checked before parsing."""


class SecretFile:
    """Secrets by epoch in one small JSON file, mode 0600, replaced atomically."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, epoch: int) -> bytes | None:
        """The secret of an epoch, None when there is none."""
        found = self._read().get(str(epoch))
        return None if found is None else bytes.fromhex(found)

    def get_or_make(self, epoch: int) -> bytes:
        """The secret of an epoch; a new one is on disk before this returns."""
        known = self.get(epoch)
        if known is not None:
            return known
        entries = {name: value for name, value in self._read().items() if int(name) > epoch - KEPT_EPOCHS}
        secret = secrets.token_bytes(32)
        self._write({**entries, str(epoch): secret.hex()})
        return secret

    def _read(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        try:
            text = self.path.read_text() if self.path.stat().st_size <= MAX_FILE_BYTES else ""
            entries = {str(int(name)): bytes.fromhex(value).hex() for name, value in json.loads(text).items()}
        except (ValueError, AttributeError, TypeError) as error:
            log.error("%s is damaged (%s); it is replaced, what was committed cannot be revealed", self.path, error)
            return {}
        return entries

    def _write(self, entries: dict[str, str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".part")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(entries, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)


class BeaconKeeper:
    """Commit–reveal of one bonded account. A call that is slow to get into a block does not keep the next from being
    sent, and where calls are too slow for the reveal's window, nothing is committed to."""

    def __init__(self, context: RoleContext, role: stakes.Role) -> None:
        self._context = context
        self._role = role
        self._secrets = SecretFile(context.folder / "beacon.json")
        self._slots = 0
        self._running: dict[tuple[str, int], asyncio.Task[bool]] = {}
        self._skipped = -1

    async def on_head(self, _head: Head) -> None:
        """Sends what the next block may take. Raises ChainClientError."""
        link = self._context.link
        if not self._slots:
            self._slots = (await link.query(block_rights.PARAMS)).slots_per_epoch
        position = (await link.query(aura.CURRENT_SLOT) + 1) % self._slots
        epoch = await link.query(beacon.EPOCH)
        if is_commit_slot(position, self._slots):
            self._begin("commit", epoch, self._commit)
        elif is_reveal_slot(position, self._slots):
            self._begin("reveal", epoch, self._reveal)

    async def stop(self) -> None:
        """Ends what is under way."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _begin(self, name: str, epoch: int, work: Callable[[int], Awaitable[None]]) -> None:
        key = (name, epoch)
        if key not in self._running:
            task = asyncio.create_task(guard(f"beacon {name}", self._context.counters, work(epoch)))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key))

    async def _commit(self, epoch: int) -> None:
        link, address = self._context.link, self._context.wallet.address
        if await link.query(beacon.COMMITS, address) is not None:
            return
        if await link.query(stakes.BONDS, self._role.value, address) == 0 or await self._is_chain_slow(epoch):
            return
        secret = self._secrets.get_or_make(epoch)
        commitment = compute_beacon_commitment(self._context.account, epoch, secret)
        await self._context.submit(beacon.CommitCall("0x" + commitment.hex()))

    async def _is_chain_slow(self, epoch: int) -> bool:
        """Whether a reveal might miss its window, and cost the bond."""
        slot_seconds = await self._context.link.slot_seconds()
        delay = self._context.link.worst_delay(self._slots * slot_seconds) / slot_seconds
        window = self._slots // 3
        is_slow = delay > window * MAX_WINDOW_SHARE
        if is_slow and self._skipped != epoch:
            self._skipped = epoch
            log.warning(
                "sitting out the beacon of epoch %d: our calls took up to %.1f slots to get into a block, a reveal has "
                "%d, and a missed one costs the bond (is this machine, or the chain, too busy?)",
                epoch, delay, window,
            )  # fmt: skip
        return is_slow

    async def _reveal(self, epoch: int) -> None:
        link, address = self._context.link, self._context.wallet.address
        committed = await link.query(beacon.COMMITS, address)
        if committed is None or await link.query(beacon.REVEALS, address) is not None:
            return
        secret = self._secrets.get(epoch)
        if secret is None or compute_beacon_commitment(self._context.account, epoch, secret) != to_hash(committed):
            log.error("the secret behind our commitment of epoch %d is not in %s", epoch, self._secrets.path)
            return
        await self._context.submit(beacon.RevealCall("0x" + secret.hex()))
        self._context.counters.beacon_reveals += 1
