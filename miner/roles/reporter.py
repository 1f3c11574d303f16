"""Reports equivocations that our node has seen, and earns a share of the offender's bond.

Every validator does it, so each waits a few blocks that follow from its account and the evidence: most find that
another has been faster when it is their turn. A report that holds costs no fee, one that comes second does.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from chain.client import ExtrinsicFailed, RequestRefused
from consensus.commit.hashing import blake2_256
from pallets_abi import block_rights, stakes

from miner.roles.context import Counters
from miner.roles.link import ChainLink, EncodedCall, Head

log = logging.getLogger(__name__)

PALLET = "Evidence"
TURNS = 4
"""Blocks over which the reporters of one offence spread (= 2^2)."""

METHOD_NOT_FOUND = -32601
"""JSON-RPC 2.0: a node of another make keeps no evidence."""

MAX_DONE = 1_024
"""Pieces of evidence that we remember to have dealt with (= 2^10); a node keeps 64."""


@dataclass(frozen=True)
class Found:
    """A piece of evidence as our node gives it: call of pallet Evidence, its arguments, the key that signed twice."""

    function: str
    arguments: bytes
    key: str
    text: str


class Reporter:
    """One account's reports; `on_head` with every head."""

    def __init__(self, link: ChainLink, counters: Counters) -> None:
        self._link, self._counters = link, counters
        self._due: dict[bytes, int] = {}
        self._done: dict[bytes, None] = {}
        self._is_offered = True

    async def on_head(self, head: Head) -> None:
        """Sends the reports whose turn has come. Raises ChainClientError."""
        for found in await self._read():
            if found.arguments in self._done:
                continue
            if self._is_own(found.key):
                log.error("our own key %s signed twice: %s; stop all nodes but one", found.key, found.text)
            elif head.number < self._due.setdefault(found.arguments, head.number + self._turn(found)):
                continue
            elif await self._find_bond(found) == 0:
                log.info("%s: nothing is bonded behind the key (any more), nothing to report", found.text)
            else:
                await self._report(found)
            self._finish(found)

    async def _read(self) -> list[Found]:
        """What our node has seen; nothing where it does not keep evidence."""
        if not self._is_offered:
            return []
        try:
            listed = await self._link.client.rpc("aipow_evidence")
        except RequestRefused as error:
            if error.code != METHOD_NOT_FOUND:
                raise
            self._is_offered = False
            log.info("this node keeps no evidence of equivocations; nothing will be reported")
            return []
        return [Found(one["call"], bytes.fromhex(one["arguments"][2:]), one["key"], one["text"]) for one in listed]

    async def _find_bond(self, found: Found) -> int:
        """Plancks that the key's owner can lose, unbonding ones included."""
        owners = block_rights.AURA_OWNER if found.function == "report_aura" else block_rights.GRANDPA_OWNER
        owner = await self._link.query(owners, found.key)
        if owner is None:
            return 0
        unbonding = await self._link.query(stakes.UNBONDING, stakes.Role.SOLVER.value, owner)
        bonded = await self._link.query(stakes.BONDS, stakes.Role.SOLVER.value, owner)
        return bonded + sum(amount for amount, _ in unbonding)

    async def _report(self, found: Found) -> None:
        """One report; that the chain refuses it (another was faster, it is too old) is no error of ours."""
        try:
            await self._link.submit(EncodedCall(PALLET, found.function, found.arguments))
        except ExtrinsicFailed as error:
            log.info("report of %s refused: %s", found.text, error)
        else:
            self._counters.equivocations_reported += 1
            log.warning("reported %s; the offender has lost its bond", found.text)

    def _finish(self, found: Found) -> None:
        self._due.pop(found.arguments, None)
        while len(self._done) >= MAX_DONE:
            del self._done[next(iter(self._done))]
        self._done[found.arguments] = None

    def _is_own(self, key: str) -> bool:
        wallet = self._link.wallet
        return bytes.fromhex(key[2:]) in (wallet.public_key, wallet.grandpa.public)

    def _turn(self, found: Found) -> int:
        return blake2_256(self._link.wallet.public_key, found.arguments)[0] % TURNS
