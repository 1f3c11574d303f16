"""Makes `grandpa/`: `python -m tests.vectors.grandpa_vectors` from the repository's root (format: README.md).

Justifications that our voters made in a simulated network, damaged ones, and random commits whose verdict is that of
`chain.grandpa.verify_justification`. The Rust test of pallet Evidence holds all against the stock crates.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from chain.errors import JustificationInvalid
from chain.grandpa.actions import Send
from chain.grandpa.authorities import AuthoritySet, encode_voters
from chain.grandpa.errors import DuplicateVote, UnknownVoter
from chain.grandpa.finality_proof import find_finality_proof
from chain.grandpa.justification import JustificationInput, verify_justification
from chain.grandpa.messages import (
    CatchUp,
    CatchUpRequest,
    Commit,
    CommitMessage,
    Gossip,
    Justification,
    Kind,
    Neighbor,
    SignedVote,
    Vote,
    VoteMessage,
    localized_payload,
)
from chain.primitives import Header
from tests.chain.grandpa.simulation import GENESIS, KEYS, World, change, child, signed, state, voters

FOLDER = Path(__file__).with_name("grandpa")
RANDOM_CASES = 120
SEED = 6


@dataclass(frozen=True)
class Case:
    """A justification for a block of a set: `data` is what a peer would send."""

    name: str
    authorities: AuthoritySet
    target: tuple[bytes, int]
    data: bytes

    @property
    def verdict(self) -> str:
        """What `verify_justification` says: `valid`, `invalid`, or `stricter`: only stock nodes may take it."""
        try:
            proof = Justification.decode(self.data)
            verify_justification(JustificationInput(proof, *self.target, self.authorities))
        except (UnknownVoter, DuplicateVote) as error:
            return "invalid" if "three" in str(error) else "stricter"
        except JustificationInvalid:
            return "invalid"
        return "valid"

    @property
    def line(self) -> str:
        """One line of the file."""
        block_hash, number = self.target
        voters_ = encode_voters(self.authorities.voters).hex()
        fields = (self.name, self.verdict, self.authorities.set_id, voters_, block_hash.hex(), number, self.data.hex())
        return " ".join(str(field) for field in fields)


class Recorded:
    """Twelve blocks, finalised by four voters, one of them down for a while, over three changes of the set."""

    def __init__(self) -> None:
        world = World(state(1, 1, 1, 1), 4)
        self.headers = [GENESIS]
        self.states = {GENESIS.hash: state(1, 1, 1, 1)}
        missed: list[Header] = []
        for number in range(1, 13):
            world.offline = {3} if number in (4, 5, 6) else set()
            digest = [change(voters(number, number, number // 2, number // 4))] if number % 4 == 0 else []
            parent, head = self.headers[-1], child(self.headers[-1], *digest)
            self.headers.append(head)
            self.states[head.hash] = self.states[parent.hash].after(head)
            if world.offline:
                missed.append(head)
            while missed and not world.offline:
                world.carry(3, world.voters[3].on_block(missed.pop(0), world.now))
            world.block(head)
            world.tick(2)
            if number == 11:
                request = CatchUpRequest(2, world.voters[0].authorities.set_id)
                (self.catch_up,) = world.voters[0].on_catch_up_request(request, world.now, "3")
        self.sent = world.sent
        self.proofs = {one.header.hash: one.justification for one in world.finalized[0]}

    def authorities(self, number: int) -> AuthoritySet:
        """The set that finalises a block."""
        return self.states[self.headers[number].parent_hash].current

    # the chain as finality proofs read it, after a node that was not there for most of its blocks

    @property
    def finalized(self) -> Header:
        """The last block."""
        return self.headers[-1]

    def hash_of(self, number: int) -> bytes:
        """Hash by number."""
        return self.headers[number].hash

    def header(self, block_hash: bytes) -> Header | None:
        """Header by hash."""
        return next((one for one in self.headers if one.hash == block_hash), None)

    def justification(self, block_hash: bytes) -> bytes | None:
        """The proofs of the blocks that end a set, and of block 10."""
        header = self.header(block_hash)
        is_kept = header is not None and header.number in (4, 8, 10, 12)
        return self.proofs[block_hash].encode() if is_kept else None


def proof_lines(chain: Recorded) -> list[str]:
    """One line of `finality_proofs.txt` for each block."""
    lines = []
    for number in range(1, len(chain.headers)):
        proof, authorities = find_finality_proof(chain, number), chain.authorities(number)
        assert proof is not None
        fields = (number, authorities.set_id, encode_voters(authorities.voters).hex(), chain.hash_of(number).hex())
        lines.append(" ".join(str(field) for field in (*fields, proof.encode().hex())))
    return lines


def message_lines(chain: Recorded) -> list[str]:
    """`messages.txt`: one gossip message of each kind as our voters sent it, `kind set_id voters message`."""
    sent = {type(message): message for message in chain.sent}
    chosen: list[Gossip] = [sent[kind] for kind in (VoteMessage, CommitMessage, Neighbor)]
    assert isinstance(chain.catch_up, Send)
    assert isinstance(chain.catch_up.message, CatchUp)
    authorities = chain.authorities(11)
    chosen += [CatchUpRequest(2, authorities.set_id), chain.catch_up.message]
    voters_ = encode_voters(authorities.voters).hex()
    return [f"{type(one).__name__} {authorities.set_id} {voters_} {one.encode().hex()}" for one in chosen]


def voted_cases(chain: Recorded) -> Iterator[Case]:
    """Every justification that the first of the voters made."""
    for block_hash, proof in chain.proofs.items():
        number = proof.commit.target_number
        authorities = chain.authorities(number)
        yield Case(f"voted-{number}-set-{authorities.set_id}", authorities, (block_hash, number), proof.encode())


def damaged_cases() -> Iterator[Case]:
    """One good proof with votes above its target, and each way to spoil it."""
    target, above, side = child(GENESIS), child(child(GENESIS)), child(GENESIS, salt=9)
    authorities, round_number = AuthoritySet(7, voters(1, 1, 1, 1)), 4
    chosen = [above, above, target]
    votes = [signed(KEYS[i], Kind.PRECOMMIT, one, round_number, 7) for i, one in enumerate(chosen)]

    def case(name: str, votes: list[SignedVote], headers: tuple[Header, ...] = (above,), round_: int = 4) -> Case:
        proof = Justification(round_, Commit(target.hash, target.number, tuple(votes)), headers)
        return Case(name, authorities, (target.hash, target.number), proof.encode())

    good = case("good", votes)
    yield good
    yield case("fourth-vote", [*votes, signed(KEYS[3], Kind.PRECOMMIT, target, 4, 7)])
    yield case("two-thirds-only", votes[:2])
    yield case("no-votes", [], ())
    yield case("another-round", votes, round_=5)
    yield case("no-ancestry", votes, ())
    yield case("unused-header", votes, (above, side))
    yield case("other-fork", [*votes[:2], signed(KEYS[2], Kind.PRECOMMIT, side, 4, 7)])
    yield case("stranger", [*votes, signed(KEYS[5], Kind.PRECOMMIT, target, 4, 7)])
    yield case("same-vote-twice", [*votes, votes[2]])
    yield case("equivocator", [*votes, signed(KEYS[2], Kind.PRECOMMIT, above, 4, 7)])
    yield case("highest-is-above-target", [signed(KEYS[i], Kind.PRECOMMIT, above, 4, 7) for i in range(4)])
    yield case("signature-of-another", [*votes[:2], replace(votes[2], voter=KEYS[3].public)])
    yield case("prevotes-signed", [*votes[:2], signed(KEYS[2], Kind.PREVOTE, target, 4, 7)])
    yield replace(good, name="another-set-id", authorities=replace(authorities, set_id=6))
    yield replace(good, name="set-id-of-the-set-before", authorities=replace(authorities, set_id=8))
    yield replace(good, name="another-set", authorities=replace(authorities, voters=voters(1, 1, 5, 5)))
    yield replace(good, name="target-number", target=(target.hash, 2))
    yield replace(good, name="target-hash", target=(side.hash, 1))
    yield replace(good, name="trailing-byte", data=good.data + b"\x00")
    yield replace(good, name="cut", data=good.data[:-1])
    for place in range(0, len(good.data), 23):
        flipped = good.data[:place] + bytes((good.data[place] ^ 1,)) + good.data[place + 1 :]
        yield replace(good, name=f"bit-at-{place}", data=flipped)


def random_cases(rng: random.Random) -> Iterator[Case]:
    """Random votes of at most one equivocator, with the headers that they need, for a random block of a random tree."""
    for index in range(RANDOM_CASES):
        blocks = [GENESIS]
        for salt in range(rng.randrange(2, 7)):
            blocks.append(child(rng.choice(blocks[-2:]), salt=salt))
        by_hash = {block.hash: block for block in blocks}
        authorities = AuthoritySet(index % 5, voters(*(rng.randrange(1, 4) for _ in range(rng.randrange(1, 7)))))
        favourite = rng.choice(blocks)
        votes = [
            precommit(number, favourite if rng.random() < 0.6 else rng.choice(blocks), authorities.set_id)
            for number in range(len(authorities.voters))
            if rng.random() < 0.9
        ]
        if rng.random() < 0.4:
            liar = rng.randrange(len(authorities.voters))
            votes.append(precommit(liar, rng.choice(blocks), authorities.set_id))
        rng.shuffle(votes)
        lowest = min((one.vote for one in votes), key=lambda vote: vote.target_number, default=None)
        headers: dict[bytes, Header] = {}
        for one in votes:
            at = one.vote.target_hash
            while lowest is not None and at != lowest.target_hash and by_hash[at].number > lowest.target_number:
                headers[at], at = by_hash[at], by_hash[at].parent_hash
        target = favourite if rng.random() < 0.8 else rng.choice(blocks)
        proof = Justification(1, Commit(target.hash, target.number, tuple(votes)), tuple(headers.values()))
        yield Case(f"random-{index}", authorities, (target.hash, target.number), proof.encode())


def precommit(index: int, target: Header, set_id: int) -> SignedVote:
    """A precommit of round 1."""
    vote = Vote(Kind.PRECOMMIT, target.hash, target.number)
    return SignedVote(vote, KEYS[index].sign(localized_payload(vote, 1, set_id)), KEYS[index].public)


def compute_files() -> dict[str, str]:
    """Text of each file by name."""
    chain = Recorded()
    cases = [*voted_cases(chain), *damaged_cases(), *random_cases(random.Random(SEED))]
    files = {"justifications.txt": [case.line for case in cases], "finality_proofs.txt": proof_lines(chain)}
    files["messages.txt"] = message_lines(chain)
    return {name: "".join(line + "\n" for line in lines) for name, lines in files.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in compute_files().items():
        (FOLDER / name).write_text(text)
