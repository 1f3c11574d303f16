"""Takes part in the beacon: commits to a secret in the first third of each epoch, reveals it in the second.

Who commits and does not reveal is slashed, so the secret is on disk before its commitment is sent: a daemon killed with
-9 and started again reveals what it committed to.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from pathlib import Path

from consensus.protocol.attestation import compute_beacon_commitment, is_commit_slot, is_reveal_slot
from pallets_abi import aura, beacon, block_rights, stakes

from miner.roles.context import RoleContext, to_hash
from miner.roles.link import Head

log = logging.getLogger(__name__)

KEPT_EPOCHS = 8
"""Secrets of so many epochs stay on disk; older ones can never be revealed."""

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
    """Commit–reveal of one bonded account."""

    def __init__(self, context: RoleContext, role: stakes.Role) -> None:
        self._context = context
        self._role = role
        self._secrets = SecretFile(context.folder / "beacon.json")
        self._slots = 0

    async def on_head(self, _head: Head) -> None:
        """Sends what the next block may take. Raises ChainClientError."""
        link, address = self._context.link, self._context.wallet.address
        if not self._slots:
            self._slots = (await link.query(block_rights.PARAMS)).slots_per_epoch
        position = (await link.query(aura.CURRENT_SLOT) + 1) % self._slots
        if is_commit_slot(position, self._slots):
            await self._commit(address)
        elif is_reveal_slot(position, self._slots):
            await self._reveal(address)

    async def _commit(self, address: str) -> None:
        link = self._context.link
        if await link.query(beacon.COMMITS, address) is not None:
            return
        if await link.query(stakes.BONDS, self._role.value, address) == 0:
            return
        epoch = await link.query(beacon.EPOCH)
        secret = self._secrets.get_or_make(epoch)
        commitment = compute_beacon_commitment(self._context.account, epoch, secret)
        await self._context.submit(beacon.CommitCall("0x" + commitment.hex()))

    async def _reveal(self, address: str) -> None:
        link = self._context.link
        committed = await link.query(beacon.COMMITS, address)
        if committed is None or await link.query(beacon.REVEALS, address) is not None:
            return
        epoch = await link.query(beacon.EPOCH)
        secret = self._secrets.get(epoch)
        if secret is None or compute_beacon_commitment(self._context.account, epoch, secret) != to_hash(committed):
            log.error("the secret behind our commitment of epoch %d is not in %s", epoch, self._secrets.path)
            return
        await self._context.submit(beacon.RevealCall("0x" + secret.hex()))
        self._context.counters.beacon_reveals += 1
