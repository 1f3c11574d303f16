"""An observer that trusts no daemon: reads a node through substrate-interface, re-checks authors from headers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sr25519
from substrateinterface import SubstrateInterface

from chain.primitives.block import Header
from chain.primitives.digest import DigestItem
from chain.primitives.scale import Reader
from devnet.checks import BlockFact, EpochWork
from miner.disputes.story import GameEvent
from pallets_abi import aura
from pallets_abi.base import StorageItem
from pallets_abi.metadata import BOUNDED_VECTORS

T = TypeVar("T")

SLOT_BYTES = 8
DISPUTES = "Disputes"


@dataclass
class MinerFacts:
    """What the chain says of one account, kept up to date by `Watcher.poll`."""

    verified_macs: int = 0
    units_final: int = 0
    mismatches: int = 0
    slashed: int = 0
    slashed_in_epoch: int | None = None
    reasons: set[str] = field(default_factory=set)
    """Of its slashes."""


@dataclass
class GameFacts:
    """What the chain says of one dispute, from its events."""

    events: list[GameEvent] = field(default_factory=list)
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    """Bytes of each move's transaction, by block and place in it; the opening is one."""

    def get(self, name: str) -> dict[str, Any] | None:
        """Data of the first event of a name, None before it."""
        return next((event.data for event in self.events if event.name == name), None)

    @property
    def blocks(self) -> int:
        """From the opening to the last event."""
        return self.events[-1].block - self.events[0].block


@dataclass
class Watcher:
    """Follows the finalised chain of one node, block by block."""

    url: str
    blocks: list[BlockFact] = field(default_factory=list)
    accounts: dict[str, MinerFacts] = field(default_factory=lambda: defaultdict(MinerFacts))
    credits: dict[int, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    schedules: dict[int, dict[str, int]] = field(default_factory=dict)
    final_units: list[tuple[int, int, str]] = field(default_factory=list)
    refused_units: list[tuple[int, int]] = field(default_factory=list)
    drawn_units: list[tuple[int, int]] = field(default_factory=list)
    """Task and unit of those that verifiers were drawn for."""
    unanswered: list[tuple[int, int, str]] = field(default_factory=list)
    """Task, unit and who had to answer of asks on chain that were not answered in time."""
    answered: int = 0
    """Asks on chain that were answered."""
    games: dict[int, GameFacts] = field(default_factory=lambda: defaultdict(GameFacts))
    epoch: int = 0
    _substrate: SubstrateInterface | None = None

    @property
    def substrate(self) -> SubstrateInterface:
        """The connection; opened at first use."""
        if self._substrate is None:
            self._substrate = SubstrateInterface(url=self.url, type_registry=BOUNDED_VECTORS)
        return self._substrate

    def close(self) -> None:
        """Closes the connection; the next use opens another."""
        if self._substrate is not None:
            self._substrate.close()
            self._substrate = None

    def read(self, item: StorageItem[T], *keys: object, at: str | None = None) -> T:
        """Value of a storage item, in the best block or in that with hash `at`. Raises AbiMismatch."""
        return item.decode(self.substrate.query(item.pallet, item.name, list(keys), block_hash=at).value)

    def read_all(self, item: StorageItem[T | None]) -> list[T]:
        """All values of a storage map. Raises AbiMismatch."""
        found = self.substrate.query_map(item.pallet, item.name, page_size=500)
        values = [item.decode(value.value) for _, value in found]
        return [value for value in values if value is not None]

    def poll(self) -> int:
        """Reads the blocks finalised since the last call; how many they were."""
        head = self.substrate.get_chain_finalised_head()
        last = int(self.rpc("chain_getHeader", head)["number"], 16)
        first = self.blocks[-1].number + 1 if self.blocks else 1
        for number in range(first, last + 1):
            self._read_block(number)
        return max(0, last + 1 - first)

    def rpc(self, method: str, *params: object) -> Any:
        """Result of a raw JSON-RPC call."""
        return self.substrate.rpc_request(method, list(params))["result"]

    def view(self, numbers: range) -> dict[int, tuple[str, str]]:
        """(hash, state root) of each block that this node has finalised, for comparison between nodes."""
        head = self.substrate.get_chain_finalised_head()
        last = int(self.rpc("chain_getHeader", head)["number"], 16)
        seen = {}
        for number in numbers:
            if number <= last:
                block_hash = self.rpc("chain_getBlockHash", number)
                seen[number] = (block_hash, self.rpc("chain_getHeader", block_hash)["stateRoot"])
        return seen

    def works(self, decay_epochs: int, decay: float) -> list[EpochWork]:
        """Weights behind each schedule: credits of the `decay_epochs` epochs before it, each epoch back × `decay`."""
        return [EpochWork(epoch, self._weights(epoch, decay_epochs, decay)) for epoch in sorted(self.schedules)]

    def _weights(self, epoch: int, decay_epochs: int, decay: float) -> dict[str, float]:
        weights: dict[str, float] = defaultdict(float)
        for back in range(decay_epochs):
            for account, macs in self.credits.get(epoch - 1 - back, {}).items():
                weights[account] += macs * decay**back
        return dict(weights)

    def _read_block(self, number: int) -> None:
        block_hash = self.rpc("chain_getBlockHash", number)
        header = parse_header(self.rpc("chain_getHeader", block_hash))
        slot, scheduled, sealer = self._check_seal(header)
        epoch = self.epoch  # the rotation in this block rules the slots after it
        for record in self.substrate.get_events(block_hash):
            event = record.value["event"]
            if event["module_id"] == DISPUTES and "game" in event["attributes"]:
                self._on_dispute(number, block_hash, event, record.value["extrinsic_idx"])
            handler = _HANDLERS.get((event["module_id"], event["event_id"]))
            if handler is not None:
                handler(self, event["attributes"])
        root = "0x" + header.state_root.hex()
        self.blocks.append(BlockFact(number, block_hash, root, slot, epoch, scheduled, sealer))

    def _check_seal(self, header: Header) -> tuple[int, str, str]:
        """Slot, scheduled key and sealer as SS58; no sealer when the signature is not the scheduled key's."""
        slot = int.from_bytes(header.digest[0].payload[:SLOT_BYTES], "little")
        authorities = self.read(aura.AUTHORITIES, at="0x" + header.parent_hash.hex())
        key = bytes.fromhex(authorities[slot % len(authorities)].removeprefix("0x"))
        name = str(self.substrate.ss58_encode(key))
        seal = header.seal
        genuine = seal is not None and sr25519.verify(seal.payload, header.without_seal().hash, key)
        return slot, name, name if genuine else ""

    def _on_rotated(self, event: dict[str, Any]) -> None:
        self.epoch = event["epoch"]

    def _on_schedule(self, event: dict[str, Any]) -> None:
        self.schedules[event["epoch"]] = {account: count for account, count in event["slots"]}

    def _on_final(self, event: dict[str, Any]) -> None:
        solver = event["solver"]
        self.accounts[solver].verified_macs += event["macs"]
        self.accounts[solver].units_final += 1
        self.credits[self.epoch][solver] += event["macs"]
        self.final_units.append((event["task"], event["unit"], solver))

    def _on_mismatch(self, event: dict[str, Any]) -> None:
        self.accounts[event["solver"]].mismatches += 1

    def _on_refused(self, event: dict[str, Any]) -> None:
        self.refused_units.append((event["task"], event["unit"]))

    def _on_drawn(self, event: dict[str, Any]) -> None:
        self.drawn_units.append((event["task"], event["unit"]))

    def _on_unanswered(self, event: dict[str, Any]) -> None:
        self.unanswered.append((event["task"], event["unit"], event["answerer"]))

    def _on_answered(self, event: dict[str, Any]) -> None:
        self.answered += 1

    def _on_dispute(self, number: int, block_hash: str, event: dict[str, Any], extrinsic: int | None) -> None:
        facts = self.games[event["attributes"]["game"]]
        facts.events.append(GameEvent(number, event["event_id"], event["attributes"]))
        if extrinsic is not None and (number, extrinsic) not in facts.sizes:
            block = self.rpc("chain_getBlock", block_hash)
            facts.sizes[number, extrinsic] = len(block["block"]["extrinsics"][extrinsic]) // 2 - 1

    def _on_slash(self, event: dict[str, Any]) -> None:
        facts = self.accounts[event["account"]]
        facts.slashed += event["amount"]
        facts.reasons.add(event["reason"])
        if event["reason"] == "WrongResult" and facts.slashed_in_epoch is None:
            facts.slashed_in_epoch = self.epoch


_HANDLERS: dict[tuple[str, str], Callable[[Watcher, dict[str, Any]], None]] = {
    ("Beacon", "EpochRotated"): Watcher._on_rotated,
    ("BlockRights", "ScheduleWritten"): Watcher._on_schedule,
    ("Tasks", "UnitFinal"): Watcher._on_final,
    ("Verification", "Mismatched"): Watcher._on_mismatch,
    ("Verification", "UnitRefused"): Watcher._on_refused,
    ("Verification", "VerifiersDrawn"): Watcher._on_drawn,
    ("Stakes", "Slashed"): Watcher._on_slash,
    ("Availability", "Unanswered"): Watcher._on_unanswered,
    ("Availability", "Answered"): Watcher._on_answered,
}


def parse_header(document: dict[str, Any]) -> Header:
    """A header from the JSON form of `chain_getHeader`; raises DecodeError."""

    def hash_of(name: str) -> bytes:
        return bytes.fromhex(document[name].removeprefix("0x"))

    logs = (bytes.fromhex(log.removeprefix("0x")) for log in document["digest"]["logs"])
    digest = tuple(DigestItem.read(Reader(log)) for log in logs)
    number = int(document["number"], 16)
    return Header(hash_of("parentHash"), number, hash_of("stateRoot"), hash_of("extrinsicsRoot"), digest)
