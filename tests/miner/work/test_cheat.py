"""A cheat is one clear thing: read back from its text, wrong in one place, and consistent everywhere after it."""

import numpy as np
import pytest

from consensus.commit.hashing import Hash32, blake2_256
from consensus.commit.tensor import Array
from consensus.exact.random import derive_key
from miner.kernels import Executor
from miner.models import build_task_graph, initial_state, load_dataset
from miner.work.cheat import HONEST, Cheat, CheatKind, parse_cheat
from miner.work.errors import JobError
from miner.work.nodes import NodeRunner
from miner.work.segment import STEP_PURPOSE, Pace, SegmentExecution, SegmentJob, Training

MODEL = "digits-mlp-tiny"
SEED = blake2_256(b"unit")
STEPS = 5


def train(cheat: Cheat) -> SegmentExecution:
    executor, data = Executor(build_task_graph(MODEL)), load_dataset(MODEL)
    training = Training(executor, data, initial_state(MODEL, blake2_256(b"weights")))
    return training.execute(SegmentJob(SEED, 1, STEPS, Hash32(bytes(32))), Pace(cheat=cheat))


def count_differences(a: dict[str, Array], b: dict[str, Array]) -> int:
    return sum(int((a[name] != b[name]).any()) for name in a)


@pytest.mark.parametrize("text", ["none", "skip:0.25", "skip:1.0", "op", "data", "withhold"])
def test_text_comes_back(text: str) -> None:
    assert str(parse_cheat(text)) == text


@pytest.mark.parametrize("text", ["", "steal", "skip:2", "skip:-1", "skip:nan", "skip:x", "op:0.5", "none:1"])
def test_invalid_texts(text: str) -> None:
    with pytest.raises(JobError):
        parse_cheat(text)


@pytest.mark.parametrize("kind", [CheatKind.OP, CheatKind.DATA])
def test_lie_begins_in_the_middle_and_lasts(kind: CheatKind) -> None:
    honest, lying = train(HONEST), train(Cheat(kind))
    assert lying.losses[: STEPS // 2] == honest.losses[: STEPS // 2]
    assert lying.losses[-1] != honest.losses[-1]
    assert count_differences(lying.end_state, honest.end_state) > 0


def test_withholding_executes_honestly() -> None:
    assert train(Cheat(CheatKind.WITHHOLD)).witness == train(HONEST).witness


def test_flipped_bit_is_one_bit_of_one_product() -> None:
    graph, data, state = build_task_graph(MODEL), load_dataset(MODEL), initial_state(MODEL, blake2_256(b"weights"))
    flipped = Cheat(CheatKind.OP).find_flipped(graph, STEPS // 2, STEPS)
    assert flipped is not None and graph.nodes[flipped].op == "matmul"
    honest, lying = NodeRunner(graph), NodeRunner(graph, flipped)
    inputs = honest.collect(state, data.batch(SEED, 2), derive_key(SEED, STEP_PURPOSE), 2)
    differing = [
        index for (index, a), (_, b) in zip(honest.iterate(inputs), lying.iterate(inputs), strict=True)
        if (a != b).any()
    ]  # fmt: skip
    assert differing[0] == flipped and len(differing) > 1
    before, after = (runner.compute(inputs, [flipped])[flipped].view(np.uint32) for runner in (honest, lying))
    assert np.count_nonzero(before != after) == 1
    assert bin(int((before ^ after).max())).count("1") == 1


def test_node_by_node_gives_the_executors_bytes() -> None:
    graph, data, state = build_task_graph(MODEL), load_dataset(MODEL), initial_state(MODEL, blake2_256(b"weights"))
    key = derive_key(SEED, STEP_PURPOSE)
    arguments = (state, data.batch(SEED, 7), key, 7)
    by_node, fused = NodeRunner(graph).step(*arguments), Executor(graph).step(*arguments)
    assert by_node[1:] == fused[1:] and count_differences(by_node[0], fused[0]) == 0
    runner = NodeRunner(graph)
    inputs = runner.collect(*arguments)
    every = {index: value.tobytes() for index, value in runner.iterate(inputs)}
    wanted = list(every)[::7]
    assert {i: v.tobytes() for i, v in runner.compute(inputs, wanted).items()} == {i: every[i] for i in wanted}
