"""A small world for the voter's tests: keys, a chain of headers, and voters that hear each other."""

from __future__ import annotations

from chain.grandpa.actions import Accuse, Action, Broadcast, Finalize, Remember, Send, Signer, Switch, Voted, Want
from chain.grandpa.authorities import AuthoritySet, AuthorityState, encode_voters
from chain.grandpa.double_vote import DoubleVote
from chain.grandpa.messages import (
    CatchUp,
    CatchUpRequest,
    CommitMessage,
    Gossip,
    Kind,
    Neighbor,
    SignedVote,
    Vote,
    VoteMessage,
    localized_payload,
)
from chain.grandpa.voter import Voter
from chain.identity import Ed25519Key, ed25519_from_seed
from chain.primitives import GRANDPA_ENGINE, DigestItem, DigestKind, Header

KEYS = [ed25519_from_seed(bytes([index + 1]) * 32) for index in range(6)]
GENESIS = Header(bytes(32), 0, bytes(32), bytes(32))


def voters(*weights: int) -> tuple[tuple[bytes, int], ...]:
    """The first keys with these weights."""
    return tuple((key.public, weight) for key, weight in zip(KEYS, weights, strict=False))


def state(*weights: int) -> AuthorityState:
    """Set 0 of the first keys with these weights."""
    return AuthorityState(AuthoritySet(0, voters(*weights)))


def change(new: tuple[tuple[bytes, int], ...], delay: int = 0) -> DigestItem:
    """The digest item of a scheduled change."""
    payload = b"\x01" + encode_voters(new) + delay.to_bytes(4, "little")
    return DigestItem(DigestKind.CONSENSUS, GRANDPA_ENGINE, payload)


def forced_change(new: tuple[tuple[bytes, int], ...], delay: int, median: int) -> DigestItem:
    """The digest item of a forced change."""
    payload = b"\x02" + median.to_bytes(4, "little") + encode_voters(new) + delay.to_bytes(4, "little")
    return DigestItem(DigestKind.CONSENSUS, GRANDPA_ENGINE, payload)


def child(parent: Header, *digest: DigestItem, salt: int = 0) -> Header:
    """A block on `parent`; `salt` tells siblings apart."""
    return Header(parent.hash, parent.number + 1, bytes([salt]) * 32, bytes(32), digest)


def signed(key: Ed25519Key, kind: Kind, target: Header, round_number: int = 1, set_id: int = 0) -> SignedVote:
    """A vote with a good signature."""
    vote = Vote(kind, target.hash, target.number)
    return SignedVote(vote, key.sign(localized_payload(vote, round_number, set_id)), key.public)


def signer(key: Ed25519Key) -> Signer:
    """The voter's view of a key."""
    return Signer(key.public, key.sign)


def give(voter: Voter, message: object, now: float, peer: str) -> list[Action]:
    """What a voter does with a gossip message."""
    if isinstance(message, VoteMessage):
        return voter.on_vote(message, now, peer)
    if isinstance(message, CommitMessage):
        return voter.on_commit(message, now, peer)
    if isinstance(message, CatchUpRequest):
        return voter.on_catch_up_request(message, now, peer)
    if isinstance(message, CatchUp):
        return voter.on_catch_up(message, now, peer)
    assert isinstance(message, Neighbor)
    return voter.on_neighbor(message, now, peer)


class World:
    """Voters in one room: what one broadcasts, all others that are online hear, at a common clock."""

    def __init__(self, start: AuthorityState, count: int) -> None:
        self.now = 100.0
        self.voters = [Voter(GENESIS, start, self.now, signer(KEYS[index])) for index in range(count)]
        self.offline: set[int] = set()
        self.remembered: dict[int, Voted] = {}
        self.finalized: dict[int, list[Finalize]] = {index: [] for index in range(count)}
        self.accused: dict[int, list[DoubleVote]] = {index: [] for index in range(count)}
        self.switched: dict[int, Switch] = {}
        self.sent: list[Gossip] = []

    def block(self, header: Header, best: bool = True) -> Header:
        """Every voter that is online imports a block."""
        for index, voter in enumerate(self.voters):
            if index not in self.offline:
                self.carry(index, voter.on_block(header, self.now))
        if best:
            for index, voter in enumerate(self.voters):
                if index not in self.offline:
                    self.carry(index, voter.on_best(header.hash, self.now))
        return header

    def tick(self, seconds: float) -> None:
        """Time goes by in steps of 0.25 seconds."""
        for _ in range(int(seconds * 4)):
            self.now += 0.25
            for index, voter in enumerate(self.voters):
                if index not in self.offline:
                    self.carry(index, voter.on_tick(self.now))

    def carry(self, source: int, actions: list[Action]) -> None:
        """Does what a voter says; messages reach the others at once."""
        work = [(source, action) for action in actions]
        while work:
            sender, action = work.pop(0)
            if isinstance(action, Remember):
                self.remembered[sender] = action.voted
            elif isinstance(action, Finalize):
                self.finalized[sender].append(action)
            elif isinstance(action, Accuse):
                self.accused[sender].append(action.evidence)
            elif isinstance(action, Switch):
                self.switched[sender] = action
            elif not isinstance(action, Want):
                work += self._deliver(sender, action)

    def _deliver(self, sender: int, action: Broadcast | Send) -> list[tuple[int, Action]]:
        work: list[tuple[int, Action]] = []
        message = action.message
        self.sent.append(message)
        for index, voter in enumerate(self.voters):
            if index == sender or index in self.offline:
                continue
            if isinstance(action, Send) and action.peer != str(index):
                continue
            got = give(voter, message, self.now, str(sender))
            work += [(index, one) for one in got]
        return work
