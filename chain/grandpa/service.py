"""GRANDPA in the node: feeds the pure voter with blocks, messages and ticks, and does what it says.

Thin: the clock, two small files and the network are here, the rules are in `voter.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from chain.errors import ChainError, DecodeError, PeerFault
from chain.events import BestChanged, BlockImported, ChainEvent, EventBus
from chain.grandpa.actions import Accuse, Action, Broadcast, Finalize, Remember, Send, Signer, Switch, Voted, Want
from chain.grandpa.authorities import AuthorityState, follow, genesis_state
from chain.grandpa.double_vote import DoubleVote
from chain.grandpa.errors import VoteInvalid
from chain.grandpa.messages import (
    CatchUpRequest,
    CommitMessage,
    Gossip,
    Justification,
    Kind,
    Neighbor,
    SignedVote,
    Vote,
    VoteMessage,
    decode_gossip,
)
from chain.grandpa.voter import Voter
from chain.identity import Ed25519Key
from chain.network import BlockField, NetworkService
from chain.primitives import Header

logger = logging.getLogger(__name__)

TICK = 0.1  # seconds
ASK_AFTER = 2.0  # seconds between two requests for a justification that we miss
MAX_INBOX = 4_096  # peers' messages waiting for the voter; more are dropped
MAX_EARLY = 256  # justifications kept for blocks that the voter does not know yet


class ChainView(Protocol):
    """What is read of the chain, at the start only (plain look-ups)."""

    @property
    def best(self) -> Header:
        """Header of the best block."""

    @property
    def finalized(self) -> Header:
        """Header of the last finalised block."""

    def leaves(self) -> list[bytes]:
        """Tips of all forks above the finalised block."""

    def header(self, block_hash: bytes) -> Header | None:
        """Header by hash."""

    def canonical_hash(self, number: int) -> bytes | None:
        """Hash of a block of the best chain by number."""


@dataclass(frozen=True, slots=True)
class FinalityStatus:
    """For RPC and metrics: round, set id, whether our key is in the set, last finalised number."""

    round: int
    set_id: int
    is_voter: bool
    finalized_number: int


class GrandpaService:
    """One task (`run`). The node calls `on_message` for every GrandpaMessage event and `on_justification` for every
    justification that comes with a synced block; imported blocks come by the event bus.

    genesis_authorities: SCALE result of GrandpaApi_grandpa_authorities at genesis; key: our ed25519 authority key or
    None to watch only; finalize(hash, justification bytes) makes blocks final (ImportQueue.finalize); folder: where
    the own votes and the authority state are kept.
    """

    def __init__(
        self,
        chain: ChainView,
        genesis_authorities: bytes,
        key: Ed25519Key | None,
        finalize: Callable[[bytes, bytes], Awaitable[object]],
        events: EventBus,
        network: NetworkService,
        folder: Path,
    ) -> None:
        self._finalize, self._network = finalize, network
        self._files = GrandpaFiles(folder)
        self._stream = events.stream()  # opened before the chain is read: nothing is missed in between
        self._inbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_INBOX)
        self._early: dict[bytes, bytes] = {}
        self._ahead: dict[str, int] = {}
        self.on_missing: Callable[[str, int, bytes], None] = lambda _peer, _number, _hash: None
        """Is told (peer, number, hash) of a block that somebody votes for and that we lack: fetch it."""
        self.on_double_vote: Callable[[DoubleVote], None] = lambda _: None
        """Is told of every voter that signed two votes of one round."""
        self._asked_at = 0.0
        self._asking: asyncio.Task[None] | None = None
        state = self._files.load_state(chain) or _walk(chain, 0, genesis_state(genesis_authorities))
        signer = None if key is None else Signer(key.public, key.sign)
        self.voter = Voter(chain.finalized, state, time.monotonic(), signer, self._files.load_votes())
        for header in _unfinalized(chain):
            self.voter.on_block(header, time.monotonic())
        self._first_best = chain.best.hash

    @property
    def status(self) -> FinalityStatus:
        """Where the voter stands."""
        voter = self.voter
        return FinalityStatus(voter.round.number, voter.authorities.set_id, voter.is_voter, voter.finalized.number)

    def on_message(self, peer: str, message: bytes) -> None:
        """A GossipMessage from a peer; dropped when too many wait."""
        with contextlib.suppress(asyncio.QueueFull):
            self._inbox.put_nowait((peer, message))

    def on_justification(self, block_hash: bytes, justification: bytes) -> None:
        """A justification that came with a block; the block may be on its way into the chain still."""
        if len(self._early) >= MAX_EARLY:
            self._early.pop(next(iter(self._early)))
        self._early[block_hash] = justification

    async def run(self) -> None:
        """Serves until cancelled; a peer's fault or our own does not end it."""
        tasks = [asyncio.create_task(self._follow_chain()), asyncio.create_task(self._follow_peers())]
        try:
            await self._safely(lambda: self._do(self.voter.on_best(self._first_best, time.monotonic())))
            while True:
                await asyncio.sleep(TICK)
                await self._safely(self._tick)
                for task in tasks:
                    if task.done():
                        task.result()
                        return
        finally:
            for task in tasks:
                task.cancel()

    async def _tick(self) -> None:
        await self._do(self.voter.on_tick(time.monotonic()))
        await self._take_early()
        self._ask_if_late()

    async def _follow_chain(self) -> None:
        async for event in self._stream:
            await self._safely(partial(self._on_event, event))
            await self._safely(self._take_early)

    async def _on_event(self, event: ChainEvent) -> None:
        now = time.monotonic()
        if isinstance(event, BlockImported):
            await self._do(self.voter.on_block(event.header, now))
        elif isinstance(event, BestChanged):
            await self._do(self.voter.on_best(event.header.hash, now))

    async def _follow_peers(self) -> None:
        while True:
            peer, data = await self._inbox.get()
            try:
                message = decode_gossip(data)
            except VoteInvalid as error:
                logger.info("peer %s: %s", peer, error)
                self._network.report(peer)
                continue
            try:
                await self._do(self._give(peer, message))
            except PeerFault as error:
                logger.info("grandpa message of %s refused: %s", peer, error)
            except Exception:
                logger.exception("grandpa message of %s", peer)

    def _give(self, peer: str, message: Gossip) -> list[Action]:
        now = time.monotonic()
        if isinstance(message, VoteMessage):
            return self.voter.on_vote(message, now, peer)
        if isinstance(message, CommitMessage):
            return self.voter.on_commit(message, now, peer)
        if isinstance(message, Neighbor):
            if len(self._ahead) > 1_024:
                self._ahead.clear()
            self._ahead[peer] = message.set_id
            return self.voter.on_neighbor(message, now, peer)
        if isinstance(message, CatchUpRequest):
            return self.voter.on_catch_up_request(message, now, peer)
        return self.voter.on_catch_up(message, now, peer)

    async def _safely(self, what: Callable[[], Awaitable[None]]) -> None:
        try:
            await what()
        except PeerFault as error:
            logger.info("grandpa: %s", error)
        except Exception:
            logger.exception("grandpa: the voter goes on after an error")

    async def _take_early(self) -> None:
        for block_hash, data in list(self._early.items()):
            if block_hash not in self.voter.tree:
                continue
            del self._early[block_hash]
            try:
                proof = Justification.decode(data)
                await self._do(self.voter.on_justification(proof, time.monotonic()))
            except PeerFault as error:
                logger.warning("justification of 0x%s refused: %s", block_hash.hex(), error)

    def _ask_if_late(self) -> None:
        """Asks a peer of a later set for the proof that ends ours."""
        header = self.voter.next_change()
        now = time.monotonic()
        if header is None or now - self._asked_at < ASK_AFTER or (self._asking and not self._asking.done()):
            return
        peers = [info.peer for info in self._network.peers()]
        later = [peer for peer in peers if self._ahead.get(peer, 0) > self.voter.authorities.set_id]
        if later:
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask(later[int(now) % len(later)], header))

    async def _ask(self, peer: str, header: Header) -> None:
        try:
            wanted = BlockField.HEADER | BlockField.JUSTIFICATION
            for data in await self._network.request_blocks(peer, header.hash, 1, fields=wanted):
                if data.justification is not None:
                    self.on_justification(header.hash, data.justification)
        except ChainError as error:
            logger.info("asking for the justification of #%d: %s", header.number, error)

    async def _do(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Remember):
                self._files.save_votes(action.voted)
            elif isinstance(action, Broadcast):
                self._network.gossip_grandpa(action.message.encode(), action.exclude)
            elif isinstance(action, Send):
                self._network.send_grandpa(action.peer, action.message.encode())
            elif isinstance(action, Want):
                self.on_missing(action.peer, action.number, action.block_hash)
            elif isinstance(action, Accuse):
                self.on_double_vote(action.evidence)
            elif isinstance(action, Switch):
                self._files.save_state(action.finalized, action.state)
            elif isinstance(action, Finalize):
                await self._finalize(action.header.hash, action.justification.encode())
                if action.header.hash in self.voter.tree:
                    self._files.save_state(action.header, self.voter.tree.state_after(action.header.hash))


async def load_genesis_authorities(folder: Path, read: Callable[[], Awaitable[bytes]]) -> bytes:
    """GrandpaApi_grandpa_authorities at genesis: by `read` at the first start, then from a file in `folder`.

    The state of genesis is pruned on a long chain, and `read` would raise StatePruned.
    """
    path = folder / "genesis_authorities.hex"
    with contextlib.suppress(FileNotFoundError, ValueError, DecodeError):
        authorities = bytes.fromhex(path.read_text())
        genesis_state(authorities)
        return authorities
    authorities = await read()
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(authorities.hex())
    temporary.replace(path)
    return authorities


class GrandpaFiles:
    """The own votes of the last round and the authority state after the finalised block, each a small file.

    Written by rename, so a killed process leaves the old or the new one. Votes are on the disk before they are sent:
    what a power loss takes back would be signed again for another block, and that costs a voter its bond.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._votes, self._state = folder / "votes.json", folder / "authorities.json"

    def save_votes(self, voted: Voted) -> None:
        """Stores our own votes of a round."""
        own = {"prevote": voted.prevote, "precommit": voted.precommit}
        votes = {name: signed.encode().hex() for name, signed in own.items() if signed is not None}
        _write(self._votes, {"set_id": voted.set_id, "round": voted.round, **votes}, is_synced=True)

    def load_votes(self) -> Voted | None:
        """The stored votes; None if there are none or the file is damaged (then it is ignored)."""
        try:
            data = json.loads(self._votes.read_text())
            prevote, precommit = (_signed(data.get(name)) for name in ("prevote", "precommit"))
            return Voted(_natural(data["set_id"], 64), _natural(data["round"], 64), prevote, precommit)
        except FileNotFoundError:
            return None
        except _DAMAGE as error:
            logger.warning("%s is damaged (%s) and ignored", self._votes, error)
            return None

    def save_state(self, header: Header, state: AuthorityState) -> None:
        """Stores the authority state after a finalised block."""
        _write(self._state, {"number": header.number, "hash": header.hash.hex(), "state": state.encode().hex()})

    def load_state(self, chain: ChainView) -> AuthorityState | None:
        """The state after the finalised block, from the stored one on; None if it cannot be used."""
        try:
            data = json.loads(self._state.read_text())
            number, block_hash = _natural(data["number"], 32), bytes.fromhex(data["hash"])
            state = AuthorityState.decode(bytes.fromhex(data["state"]))
        except FileNotFoundError:
            return None
        except (*_DAMAGE, PeerFault) as error:
            logger.warning("%s is damaged (%s) and ignored", self._state, error)
            return None
        if number > chain.finalized.number or chain.canonical_hash(number) != block_hash:
            return None
        return _walk(chain, number, state)


def _walk(chain: ChainView, number: int, state: AuthorityState) -> AuthorityState:
    """The state after the finalised block, given that after finalised block `number`."""
    return follow(state, (_final_header(chain, one) for one in range(number + 1, chain.finalized.number + 1)))


def _final_header(chain: ChainView, number: int) -> Header:
    block_hash = chain.canonical_hash(number)
    header = None if block_hash is None else chain.header(block_hash)
    if header is None:
        raise RuntimeError(f"finalised block #{number} is missing in the database")
    return header


def _unfinalized(chain: ChainView) -> list[Header]:
    """All blocks above the finalised one, parents first: forks too, our stored vote may be for one of them."""
    found: dict[bytes, Header] = {}
    for leaf in [chain.best.hash, *chain.leaves()]:
        header = chain.header(leaf)
        while header is not None and header.number > chain.finalized.number and header.hash not in found:
            found[header.hash] = header
            header = chain.header(header.parent_hash)
    return sorted(found.values(), key=lambda one: one.number)


_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a file of any content may raise."""


def _natural(value: object, bits: int) -> int:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise ValueError(f"{str(value)[:32]} is no number of {bits} bits")
    return value


def _signed(text: str | None) -> SignedVote | None:
    if text is None:
        return None
    data = bytes.fromhex(text)
    if len(data) != 133:  # 1 + 32 + 4 of the vote, 64 of the signature, 32 of the key
        raise ValueError("a stored vote has 133 bytes")
    vote = Vote(Kind(data[0]), data[1:33], int.from_bytes(data[33:37], "little"))
    return SignedVote(vote, data[37:101], data[101:])


def _write(path: Path, data: dict[str, object], is_synced: bool = False) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("w") as file:
        file.write(json.dumps(data))
        if is_synced:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)
    if is_synced:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
