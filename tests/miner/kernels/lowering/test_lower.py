"""What becomes one kernel: softmax with its quantisation, an optimiser behind its product, columns of one gradient."""

from __future__ import annotations

from consensus.graph import GraphBuilder
from miner.kernels.lowering import Group, fuse_epilogues, lower
from miner.kernels.native.planner import make_plan

N, K = 96, 160


def kinds(groups: list[Group]) -> list[str]:
    return [group.kind for group in groups]


def ops(group: Group) -> list[str]:
    return [member.op for member in group.members]


def test_row_chain_is_one_kernel() -> None:
    """LayerNorm-like: two reductions, what follows, and the grid for a product."""
    g = GraphBuilder()
    x, w = g.input("batch", "x", "f32", (N, K)), g.input("state", "w", "f32", (K, N))
    mean = g.add("div", g.reduce("sum", x, (1,)), g.f32(K))
    centred = g.add("sub", x, g.expand(mean, (N, K)))
    variance = g.reduce("sum", g.add("mul", centred, centred), (1,))
    normed = g.add("div", centred, g.expand(g.add("sqrt", variance), (N, K)))
    g.output("result", "y", g.matmul(normed, w))
    groups = lower(g.finish()).groups
    assert kinds(groups)[0] == "loop"
    assert ops(groups[0]) == ["sum", "div", "sub", "mul", "sum", "sqrt", "div", "quantise"]
    assert kinds(groups).count("gemm") == 1


def test_update_is_the_epilogue_of_its_gradient() -> None:
    g = GraphBuilder()
    x, d = g.input("batch", "x", "f32", (N, K)), g.input("batch", "d", "f32", (N, N))
    w, m, lr = g.input("state", "w", "f32", (N, K)), g.input("state", "m", "f32", (N, K)), g.f32(0.1)
    gradient = g.matmul(g.transpose(d, (1, 0)), x)
    moment = g.add("add", g.add("mul", m, g.f32(0.9)), g.add("mul", gradient, g.f32(0.1)))
    g.output("result", "m", moment)
    g.output("result", "w", g.add("sub", w, g.add("mul", moment, lr)))
    lowered = lower(g.finish())
    fuse_epilogues(lowered)
    fused = [group for group in lowered.groups if group.post_of is not None]
    assert len(fused) == 1
    assert lowered.groups[fused[0].post_of or 0].kind == "gemm"
    assert ops(fused[0]) == ["mul", "mul", "add", "mul", "sub"]


def test_columns_of_one_array_share_their_passes() -> None:
    """A bias gradient and the grid of the same gradient for the weight's."""
    g = GraphBuilder()
    d, x = g.input("batch", "d", "f32", (N, K)), g.input("batch", "x", "f32", (N, N))
    g.output("result", "bias", g.reduce("sum", d, (0,)))
    g.output("result", "weight", g.matmul(x, d))
    columns = [group for group in lower(g.finish()).groups if group.kind == "column"]
    assert len(columns) == 1
    assert sorted(ops(columns[0])) == ["copy", "quantise", "sum"]


def test_operand_of_two_products_is_quantised_once_an_axis() -> None:
    g = GraphBuilder()
    x = g.input("batch", "x", "f32", (N, K))
    for name in ("a", "b"):
        g.output("result", name, g.matmul(x, g.input("state", name, "f32", (K, N))))
    members = [m for group in lower(g.finish()).groups for m in group.members]
    assert [m.op for m in members].count("quantise") == 3


def test_movements_cost_no_kernel() -> None:
    g = GraphBuilder()
    x = g.input("batch", "x", "f32", (4, 8, 6, 16))
    heads = g.reshape(g.transpose(x, (0, 2, 1, 3)), (24, 8, 16))
    g.output("result", "y", g.add("exp", g.slice(heads, 1, 2, 6)))
    plan = make_plan(g.finish())
    assert len(plan.calls) == 1


def test_dead_values_have_no_buffer() -> None:
    g = GraphBuilder()
    x = g.input("batch", "x", "f32", (N, K))
    value = x
    for _ in range(6):
        value = g.add("tanh", value)
    g.output("result", "y", value)
    assert make_plan(g.finish()).arena_bytes == 0


def test_reduction_over_everything_is_split_among_threads() -> None:
    g = GraphBuilder()
    x = g.input("batch", "x", "f32", (512, 1024))
    g.output("result", "y", g.reduce("sum", g.add("mul", x, x), (0, 1), False))
    groups = lower(g.finish()).groups
    assert "big" in kinds(groups)
    assert ops(groups[kinds(groups).index("big")]) == ["mul", "sum"]
