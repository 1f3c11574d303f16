"""The voter: a pure state machine. Blocks, messages and ticks go in; messages and finalisations come out.

A round: every voter prevotes the best block (that contains the last round's estimate and does not pass an authority
change), precommits the prevote-GHOST once more than two thirds of the weight stand behind it, and finalises what more
than two thirds of the precommits share. The next round begins when nothing more can come of this one; late votes of
the round before are still counted. A missing voter delays nothing while more than two thirds of the weight are there.

Simpler than `finality-grandpa`: no primary's proposal is sent (peers' are ignored). Who fell behind within a set
catches up by commits and CatchUp messages (`catch_up.py`), over sets by the justifications of the blocks that end them.
"""

from __future__ import annotations

from dataclasses import replace

from chain.errors import JustificationInvalid
from chain.grandpa.actions import Accuse, Action, Broadcast, Finalize, Remember, Send, Signer, Switch, Voted, Want
from chain.grandpa.authorities import AuthoritySet, AuthorityState
from chain.grandpa.catch_up import BEHIND, make_catch_up, verify_catch_up
from chain.grandpa.double_vote import find_double_vote
from chain.grandpa.errors import MalformedJustification, VoteInvalid
from chain.grandpa.justification import JustificationInput, verify_justification, verify_signature
from chain.grandpa.messages import (
    CatchUp,
    CatchUpRequest,
    Commit,
    CommitMessage,
    Justification,
    Kind,
    Neighbor,
    SignedVote,
    Vote,
    VoteMessage,
    localized_payload,
)
from chain.grandpa.round import Round
from chain.grandpa.tree import BlockTree
from chain.primitives import Header

REBROADCAST = 1.0  # seconds between two sendings of our votes while a round does not end
PATIENCE = 1.0  # seconds to wait for better prevotes when their GHOST brings nothing new
STALLED = 5.0  # seconds without an end of the round until votes of higher rounds make us skip to them
MAX_BUFFERED = 2_048  # votes kept for later rounds, sets, and blocks not imported yet
AHEAD = 64  # rounds that a buffered vote may lie ahead
CATCH_UP_TIMEOUT = 10.0  # seconds to wait for a catch-up before another peer is asked
CATCH_UP_PAUSE = 1.0  # seconds between two catch-ups that we send; they are large


class Voter:
    """Votes with `signer` (or only watches, without one), from the finalised block `base` on.

    All methods return what is to be done, in order. Times are seconds of any steady clock.
    """

    def __init__(
        self, base: Header, state: AuthorityState, now: float, signer: Signer | None = None, voted: Voted | None = None
    ) -> None:
        self.tree = BlockTree(base, state)
        self.finalized = base
        self._signer = signer
        self._voted = voted or Voted(0, 0)
        self._best = base.hash
        self._buffer: dict[tuple[int, int, SignedVote], None] = {}
        self._commits: dict[int, CommitMessage] = {}
        self._previous: Round | None = None
        self._asked: tuple[str, int, float] | None = None  # peer, round and time of our catch-up request
        self._caught_up_at = -CATCH_UP_PAUSE  # when we last sent a catch-up
        self._due: bytes | None = None  # the block that brought a forced change into force, until it is enacted
        self._joined_at: float | None = None  # when we joined the round without the outcome of the one before
        self._sent_at = now
        self._progress_at = now
        start = self._voted.round if self._voted.set_id == state.current.set_id and self._voted.round else 1
        self.round = Round(start, state.current, base.hash, now)
        for signed in (self._voted.prevote, self._voted.precommit):
            if signed is not None and self._voted.set_id == state.current.set_id:
                self.round.add(signed)

    @property
    def authorities(self) -> AuthoritySet:
        """The set that votes now."""
        return self.round.authorities

    @property
    def is_voter(self) -> bool:
        """Whether our key is in the current set."""
        return self._signer is not None and self._signer.public in self.authorities.weights

    # ---- inputs

    def on_block(self, header: Header, now: float) -> list[Action]:
        """A block was imported."""
        if not self.tree.add(header):
            return []
        if self.tree.state_after(header.hash).is_due(header.number):
            self._due = self._due or header.hash
        return self._advance(now)

    def on_best(self, block_hash: bytes, now: float) -> list[Action]:
        """The best block changed (it was given to on_block before); ignored if finality has left it behind since."""
        if block_hash in self.tree and self.tree.is_descendant(block_hash, self.finalized.hash):
            self._best = block_hash
        return self._advance(now)

    def on_tick(self, now: float) -> list[Action]:
        """To be called a few times a second."""
        actions = self._skip_ahead(now) + self._advance(now)
        if now - self._sent_at >= REBROADCAST:
            self._sent_at = now
            actions += self._own_votes()
            actions.append(Broadcast(Neighbor(self.round.number, self.authorities.set_id, self.finalized.number)))
        return actions

    def on_vote(self, message: VoteMessage, now: float, peer: str | None = None) -> list[Action]:
        """A vote from a peer; relayed when it is new; raises VoteInvalid."""
        if message.signed.vote.kind is Kind.PRIMARY_PROPOSE or self._is_past(message.set_id, message.round):
            return []
        key = (message.set_id, message.round, message.signed)
        if self._round_of(message) is None:
            is_near = message.set_id <= self.authorities.set_id + 1 and message.round <= self.round.number + AHEAD
            if is_near and key not in self._buffer and len(self._buffer) < MAX_BUFFERED:
                self._buffer[key] = None
            return []
        if not self._add_vote(message):
            return []
        accused = self._accuse(message)
        return [*self._want(message.signed.vote, peer), Broadcast(message, peer), *accused, *self._advance(now)]

    def on_commit(self, message: CommitMessage, now: float, peer: str | None = None) -> list[Action]:
        """A commit from a peer; finalises and is relayed when it is news; raises JustificationInvalid."""
        target = message.commit.target_hash
        if message.set_id != self.authorities.set_id or message.commit.target_number <= self.finalized.number:
            return []
        if target not in self.tree or any(one.vote.target_hash not in self.tree for one in message.commit.precommits):
            return []
        proof = Justification(message.round, message.commit, self._ancestries(message.commit))
        return [*self._accept(proof, now), Broadcast(message, peer)]

    def on_justification(self, proof: Justification, now: float) -> list[Action]:
        """A proof that came with a block; raises JustificationInvalid. Nothing if it is old or too early for us."""
        target = proof.commit.target_hash
        if proof.commit.target_number <= self.finalized.number or target not in self.tree:
            return []
        if self.tree.set_id_for(target) != self.authorities.set_id:
            return []
        return self._accept(proof, now)

    def on_neighbor(self, message: Neighbor, now: float, peer: str) -> list[Action]:
        """Where a peer stands: one that is behind gets the commit that helps it; one rounds ahead is asked."""
        ahead = message.round - self.round.number if message.set_id == self.authorities.set_id else 0
        if ahead > BEHIND or (ahead == BEHIND and now - self._progress_at >= REBROADCAST):
            return self._request_catch_up(message, now, peer)
        if message.finalized_number + 2 >= self.finalized.number and message.set_id >= self.authorities.set_id:
            return []
        commit = self._commits.get(message.set_id)
        return [Send(peer, commit)] if commit and commit.commit.target_number > message.finalized_number else []

    def _request_catch_up(self, message: Neighbor, now: float, peer: str) -> list[Action]:
        if self._asked is not None and now - self._asked[2] < CATCH_UP_TIMEOUT:
            return []
        self._asked = (peer, message.round - 1, now)
        return [Send(peer, CatchUpRequest(message.round - 1, message.set_id))]

    def on_catch_up_request(self, message: CatchUpRequest, now: float, peer: str) -> list[Action]:
        """A peer is rounds behind us: it gets the votes of our last complete round."""
        last = self._previous
        if last is None or message.set_id != self.authorities.set_id or last.number < message.round:
            return []
        if now - self._caught_up_at < CATCH_UP_PAUSE:
            return []
        found = make_catch_up(last, self.tree)
        if found is None:
            return []
        self._caught_up_at = now
        return [Send(peer, found)]

    def on_catch_up(self, message: CatchUp, now: float, peer: str) -> list[Action]:
        """The votes of a later round, if we asked this peer for them; raises VoteInvalid.

        A vote for a block that we lack does not count yet: the block is asked for, and we will ask again.
        """
        if self._asked is None or self._asked[0] != peer or message.set_id != self.authorities.set_id:
            return []
        if message.round < self._asked[1]:
            raise VoteInvalid(f"a catch-up of round {message.round}, asked was {self._asked[1]}")
        self._asked = None
        if message.round <= self.round.number:
            return []
        verify_catch_up(message, self.authorities)
        votes = (*message.prevotes, *message.precommits)
        caught = Round(message.round, self.authorities, self.finalized.hash, now)
        for signed in votes:
            if caught.is_new(signed):
                caught.add(signed)
        outcome = caught.outcome(self.tree, self.finalized.hash)
        if outcome is None or not outcome[1]:
            return [action for signed in votes for action in self._want(signed.vote, peer)]
        self.round = caught
        self._begin(message.round + 1, outcome[0], now)
        return [*self._replay(now), *self._advance(now)]

    def next_change(self) -> Header | None:
        """The block on the best chain that ends the current set, if it is known: ask for its justification if late."""
        path = self.tree.path_up(self._best, self.finalized.hash) or []
        for block_hash in reversed(path):
            if self.tree.state_after(block_hash).current.set_id != self.authorities.set_id:
                return self.tree.header(block_hash)
        return None

    # ---- votes

    def _round_of(self, message: VoteMessage) -> Round | None:
        for one in (self.round, self._previous):
            if one and one.number == message.round and one.authorities.set_id == message.set_id:
                return one
        return None

    def _is_past(self, set_id: int, number: int) -> bool:
        return (set_id, number) < (self.authorities.set_id, self.round.number - 1)

    def _add_vote(self, message: VoteMessage) -> bool:
        where, signed = self._round_of(message), message.signed
        if where is None or not where.is_new(signed):
            return False
        if signed.voter not in where.authorities.weights:
            raise VoteInvalid(f"0x{signed.voter.hex()} is not in set {message.set_id}")
        if not verify_signature(signed, message.round, message.set_id):
            raise VoteInvalid(f"the signature of 0x{signed.voter.hex()} fails for round {message.round}")
        where.add(signed)
        return True

    def _accuse(self, message: VoteMessage) -> list[Action]:
        """Evidence, if the voter of a verified vote of a kept round has signed another one of its kind."""
        where, signed = self._round_of(message), message.signed
        known = [] if where is None else where.tally(signed.vote.kind).get(signed.voter, [])
        found = find_double_vote(known, signed, message.set_id, message.round)
        return [] if found is None else [Accuse(found)]

    def _want(self, vote: Vote, peer: str | None) -> list[Action]:
        if peer is None or vote.target_hash in self.tree or vote.target_number <= self.finalized.number:
            return []
        return [Want(peer, vote.target_number, vote.target_hash)]

    def _replay(self, now: float) -> list[Action]:
        """Takes what has become usable out of the buffer."""
        actions: list[Action] = []
        for set_id, number, signed in list(self._buffer):
            message = VoteMessage(number, set_id, signed)
            usable = self._round_of(message) is not None
            if usable or self._is_past(set_id, number):
                del self._buffer[set_id, number, signed]
            try:
                if usable and self._add_vote(message):
                    actions += [Broadcast(message), *self._accuse(message)]
            except VoteInvalid:
                continue
        return actions

    def _cast(self, kind: Kind, target: Header) -> list[Action]:
        number, set_id = self.round.number, self.authorities.set_id
        if self._signer is None or (self._voted.set_id, self._voted.round) > (set_id, number):
            return []
        if self.tree.state_after(self._best).forced is not None:
            return []  # the set is about to be replaced, whatever it does
        vote = Vote(kind, target.hash, target.number)
        signature = self._signer.sign(localized_payload(vote, number, set_id))
        signed = SignedVote(vote, signature, self._signer.public)
        if (self._voted.set_id, self._voted.round) != (set_id, number):
            self._voted = Voted(set_id, number)
        is_prevote = kind is Kind.PREVOTE
        self._voted = replace(self._voted, prevote=signed) if is_prevote else replace(self._voted, precommit=signed)
        self.round.add(signed)
        return [Remember(self._voted), Broadcast(VoteMessage(number, set_id, signed))]

    def _own_votes(self) -> list[Action]:
        if self._signer is None:
            return []
        mine = self._signer.public
        return [
            Broadcast(VoteMessage(one.number, one.authorities.set_id, signed))
            for one in (self._previous, self.round)
            if one is not None
            for kind in (Kind.PREVOTE, Kind.PRECOMMIT)
            for signed in one.tally(kind).get(mine, [])
        ]

    # ---- rounds

    def _advance(self, now: float) -> list[Action]:
        """Votes, finalises and begins rounds until nothing more is to be done."""
        actions: list[Action] = []
        while True:
            self._lower_estimate()
            step = self._enact_forced(now)
            step = step or self._finalize_from(self._previous, now) or self._finalize_from(self.round, now)
            step = step or self._prevote(now) or self._precommit(now) or self._next_round(now)
            if step is None:
                return actions
            actions += step

    def _finalize_from(self, where: Round | None, now: float) -> list[Action] | None:
        if where is None or where.authorities.set_id != self.authorities.set_id:
            return None
        target = where.finalizes(self.tree, self.finalized.hash)
        proof = where.justification(target, self.tree) if target not in (None, self.finalized.hash) else None
        if proof is None:
            return None
        message = CommitMessage(where.number, where.authorities.set_id, proof.commit)
        actions = self._finalized(proof, now)
        return [*actions, Broadcast(message)] if self._signer is not None else actions

    def _voting_target(self) -> Header:
        """The best block that builds on the estimate and is finalised by the current set."""
        if not self.tree.is_descendant(self._best, self.round.estimate):
            return self.tree.header(self.round.estimate)
        header = self.tree.header(self._best)
        while header.number > self.finalized.number and self.tree.set_id_for(header.hash) != self.authorities.set_id:
            header = self.tree.header(header.parent_hash)
        return header

    def _prevote(self, now: float) -> list[Action] | None:
        if not self.is_voter or self._signer is None or self._signer.public in self.round.prevotes:
            return None
        if self._joined_at is not None and not self._knows_estimate(now):
            return None
        target = self._voting_target()
        if target.number <= self.finalized.number:
            return None
        return self._cast(Kind.PREVOTE, target) or None

    def _knows_estimate(self, now: float) -> bool:
        """Whether the round that we joined may be voted in: the round before is decided for us too, or stays unclear.

        With the estimate that we came with we might prevote against what the others must build on, and they could
        precommit nothing: the round would stand still for ever.
        """
        outcome = None if self._previous is None else self._previous.outcome(self.tree, self.finalized.hash)
        if outcome is not None and outcome[1]:
            self.round.estimate = outcome[0]
        elif self._joined_at is not None and now - self._joined_at < STALLED:
            return False
        self._joined_at = None
        return True

    def _precommit(self, now: float) -> list[Action] | None:
        if not self.is_voter or self._signer is None or self._signer.public in self.round.precommits:
            return None
        if self._signer.public not in self.round.prevotes:
            return None
        ghost = self.round.prevote_ghost(self.tree, self.finalized.hash)
        if ghost is None or not self.tree.is_descendant(ghost, self._floor()):
            return None
        if ghost == self.finalized.hash and now - self.round.started < PATIENCE:
            return None
        return self._cast(Kind.PRECOMMIT, self.tree.header(ghost)) or None

    def _floor(self) -> bytes:
        """The estimate, or the finalised block where that has overtaken it."""
        estimate = self.round.estimate
        return estimate if self.tree.is_descendant(estimate, self.finalized.hash) else self.finalized.hash

    def _lower_estimate(self) -> None:
        """Late votes of the round before may show that less of it can become final: all voters come to one estimate."""
        outcome = None if self._previous is None else self._previous.outcome(self.tree, self.finalized.hash)
        if outcome is not None and self.tree.is_descendant(self.round.estimate, outcome[0]):
            self.round.estimate = outcome[0]

    def _next_round(self, now: float) -> list[Action] | None:
        mine = self._signer.public if self._signer is not None and self.is_voter else None
        if mine is not None and mine not in self.round.precommits:
            return None
        outcome = self.round.outcome(self.tree, self.finalized.hash)
        if outcome is None or not outcome[1]:
            return None
        self._begin(self.round.number + 1, outcome[0], now)
        return self._replay(now)

    def _begin(self, number: int, estimate: bytes, now: float) -> None:
        self._previous = self.round if self.round.number == number - 1 else None
        self.round = Round(number, self.authorities, estimate, now)
        self._joined_at = None
        self._progress_at = now

    def _skip_ahead(self, now: float) -> list[Action]:
        """Joins the highest round in which more than a third of the weight votes, if ours has stood still."""
        if now - self._progress_at < STALLED:
            return []
        weights = self.authorities.weights
        rounds: dict[int, set[bytes]] = {}
        for set_id, number, signed in self._buffer:
            is_later = set_id == self.authorities.set_id and number > self.round.number and signed.voter in weights
            if is_later and verify_signature(signed, number, set_id):
                rounds.setdefault(number, set()).add(signed.voter)
        needed = self.authorities.total - self.authorities.threshold + 1
        reached = [number for number, voters in rounds.items() if self.round.weight_of(voters) >= needed]
        if not reached:
            return []
        self._begin(max(reached), self._floor(), now)
        self._joined_at = now
        return self._replay(now)

    def _enact_forced(self, now: float) -> list[Action] | None:
        """Replaces the set by a forced change that is due, once the standard changes up to its median are in force."""
        if self._due is None:
            return None
        path = self.tree.path_up(self._due, self.finalized.hash) if self._due in self.tree else None
        state = None if path is None else self.tree.state_after(self._due)
        if path is None or state is None or state.forced is None:
            self._due = None
            return None
        below = (one for one in path if self.tree.header(one).number <= state.forced.median)
        if any(self.tree.state_after(one).current.set_id != self.authorities.set_id for one in below):
            return None
        state = state.enact(self.authorities.set_id, self.tree.header(self._due).number)
        self._due, self._previous, self._progress_at = None, None, now
        self.tree.restate(self.finalized.hash, state)
        self.round = Round(1, state.current, self.finalized.hash, now)
        return [Switch(self.finalized, state), *self._replay(now)]

    # ---- finality

    def _ancestries(self, commit: Commit) -> tuple[Header, ...]:
        """The headers from the precommits' blocks down to the lowest of them."""
        found: dict[bytes, None] = {}
        lowest = min((signed.vote for signed in commit.precommits), key=lambda vote: vote.target_number, default=None)
        for signed in commit.precommits:
            path = None if lowest is None else self.tree.path_up(signed.vote.target_hash, lowest.target_hash)
            found.update(dict.fromkeys(path or []))
        return tuple(self.tree.header(one) for one in found)

    def _accept(self, proof: Justification, now: float) -> list[Action]:
        header = self.tree.header(proof.commit.target_hash)
        if self.tree.set_id_for(header.hash) != self.authorities.set_id:
            raise MalformedJustification(f"block #{header.number} is not finalised by set {self.authorities.set_id}")
        verify_justification(JustificationInput(proof, header.hash, header.number, self.authorities))
        if not self.tree.is_descendant(header.hash, self.finalized.hash):
            raise JustificationInvalid(f"#{header.number} is no descendant of the finalised #{self.finalized.number}")
        set_id = self.authorities.set_id
        precommits = (VoteMessage(proof.round, set_id, signed) for signed in proof.commit.precommits)
        accused = [action for message in precommits for action in self._accuse(message)]
        actions = [*accused, *self._finalized(proof, now)]
        is_news = self.authorities.set_id == set_id and proof.round >= self.round.number
        estimate = self._estimate_of(proof) if is_news else None
        if estimate is not None:
            self._begin(proof.round + 1, estimate, now)
            actions += self._replay(now)
        return actions + self._advance(now)

    def _estimate_of(self, proof: Justification) -> bytes | None:
        """The block that the round after the proof's must build on; None if votes that the proof lacks may finalise
        something above its target: then only the round's prevotes tell."""
        seen = Round(proof.round, self.round.authorities, proof.commit.target_hash, 0.0)
        for signed in proof.commit.precommits:
            seen.add(replace(signed, vote=replace(signed.vote, kind=Kind.PREVOTE)))
            seen.add(signed)
        outcome = seen.outcome(self.tree, proof.commit.target_hash)
        return outcome[0] if outcome is not None and outcome[1] else None

    def _finalized(self, proof: Justification, now: float) -> list[Action]:
        header = self.tree.header(proof.commit.target_hash)
        self.finalized, self._progress_at = header, now
        self._commits[self.authorities.set_id] = CommitMessage(proof.round, self.authorities.set_id, proof.commit)
        for old in sorted(self._commits)[:-32]:
            del self._commits[old]
        self.tree.prune(header)
        if not self.tree.is_descendant(self._best, header.hash):
            self._best = header.hash
        for one in (self.round, self._previous):
            if one is not None and not self.tree.is_descendant(one.estimate, header.hash):
                one.estimate = header.hash
        state = self.tree.state_after(header.hash)
        actions: list[Action] = [Finalize(header, proof)]
        if state.current.set_id != self.authorities.set_id:
            self._previous = None
            self.round = Round(1, state.current, header.hash, now)
            actions += self._replay(now)
        return actions
