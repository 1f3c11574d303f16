"""Challengers that have no case: they go where they like, and object to what is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from consensus.arbiter.errors import ArbiterError
from consensus.arbiter.statement import Check
from consensus.commit.hashing import blake2_256
from consensus.dispute.moves import Choose, Move, Pick, RefuteOutput, RefuteState, Way
from consensus.dispute.places import split_tile
from consensus.dispute.proofs import is_useful, link_output, settle_data, settle_place
from consensus.dispute.view import (
    Arbitration,
    ClaimsPick,
    DataStage,
    EndsStage,
    GameView,
    HistoryPick,
    Level,
    NodePick,
    OutputRefute,
    Picking,
    Side,
    StateRefute,
    StepPick,
    TilePick,
    node_of,
    step_of,
)
from tests.consensus.dispute.memory import MemoryExecution

COUNTER = blake2_256(b"what a liar has instead")


def pick_toward(stage: Picking, leaf: int) -> Pick:
    """The child under which a leaf is."""
    cursor = stage.cursor
    return Pick((leaf >> cursor.child_height) - cursor.children[0], COUNTER)


@dataclass
class SteeredChallenger:
    """Goes to given leaves, and says given things there; silent where it has nothing to say."""

    leaves: Mapping[Level, int]
    says: Mapping[type, list[Choose]]
    """What it chooses in a stage; in `ClaimsPick` one after the other, the last one again and again."""
    execution: MemoryExecution | None = None
    """For the opening of a check."""
    check: Check = field(default_factory=lambda: Check(0, 0))

    def __call__(self, view: GameView) -> Move | None:
        stage = view.stage
        if isinstance(stage, Picking):
            return pick_toward(stage, self.leaves[stage.level])
        if isinstance(stage, EndsStage) and self.execution is not None:
            return settle_place(self.execution, view, self.check)
        said = self.says.get(type(stage), [])
        if not said:
            return None
        return said.pop(0) if len(said) > 1 else said[0]


@dataclass
class RandomChallenger:
    """Chooses whatever the chain would take, at random."""

    random: Random
    honest: MemoryExecution
    """What it opens when it has something settled."""
    settles: bool = False

    def __call__(self, view: GameView) -> Move | None:
        stage, draw = view.stage, self.random
        if isinstance(stage, Picking):
            return Pick(draw.randrange(len(stage.children)), COUNTER)
        if isinstance(stage, HistoryPick):
            return Choose(Way.DESCEND if draw.random() < 0.9 else Way.WITNESS)
        if isinstance(stage, StepPick):
            ways = [Way.DESCEND] * 7 + [Way.LOSS, Way.GRAD_NORM, Way.STATE]
            return Choose(draw.choice(ways))
        if isinstance(stage, NodePick):
            return self._choose_in_node(view)
        if isinstance(stage, TilePick):
            return Choose(Way.PART, draw.randrange(len(split_tile(node_of(view).form, stage.tile, stage.data))))
        if isinstance(stage, ClaimsPick):
            is_deeper = draw.random() < 0.8
            return Choose(Way.PART, draw.randrange(len(stage.claims))) if is_deeper else Choose(Way.RESULT)
        return self._settle(view)

    def _choose_in_node(self, view: GameView) -> Move:
        node = node_of(view)
        ways = [Choose(Way.DESCEND)] * 6
        if not node.is_batch:
            ways += [Choose(Way.ENDS)] + [Choose(Way.INPUT, number) for number in range(len(node.input_roots))][:2]
        return self.random.choice(ways)

    def _settle(self, view: GameView) -> Move | None:
        """Any check, any refutation; in the defender's turn only if it ``settles``."""
        stage = view.stage
        if isinstance(stage, EndsStage):
            forms = node_of(view).input_forms
            checks = [Check(i, self.random.randrange(form.tile_count)) for i, form in enumerate(forms)]
            legal = [check for check in checks if _is_legal(self, view, check)]
            return settle_place(self.honest, view, self.random.choice(legal)) if legal else None
        if isinstance(stage, OutputRefute | StateRefute):
            name = stage.name if isinstance(stage, StateRefute) else None
            linked = link_output(self.honest, view, "state" if name else "grad_norm", name)
            refute = RefuteState if name else RefuteOutput
            move = linked and refute(*linked)
            return move if move and is_useful(view, move, Side.CHALLENGER) else None
        if isinstance(stage, Arbitration) and self.settles:
            return settle_place(self.honest, view, stage.place)
        if isinstance(stage, DataStage) and self.settles:
            return settle_data(self.honest, view, stage.element)
        return None


def _is_legal(player: RandomChallenger, view: GameView, check: Check) -> bool:
    try:
        player.honest.evaluation(step_of(view).index, node_of(view).index).value(check)
    except ArbiterError:
        return False
    return True
