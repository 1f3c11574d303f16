"""The tracer: exact gradients and optimisers follow PyTorch's, and what is not exact is refused by name and line."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from consensus.graph import Graph, GraphError
from miner.trace import (
    AdamW,
    DataDependentBranch,
    Optimiser,
    Sgd,
    ShapeBranchWarning,
    UnsupportedOperator,
    UntraceableModel,
    trace_step,
)
from tests.miner.trace.compare import Batch, compare_with_torch


class Zoo(nn.Module):  # type: ignore[misc]
    """One use of each supported operator family."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(11, 8)
        self.norm = nn.LayerNorm(8)
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.scale = nn.Parameter(torch.full((8,), 0.7))
        self.register_buffer("shift", torch.linspace(-1, 1, 8))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens)
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = x + functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None], is_causal=True)[:, 0]
        x = torch.cat([functional.gelu(x[..., :3]), functional.gelu(x[..., 3:5], approximate="tanh"), x[..., 5:]], -1)
        x = functional.silu(x) * torch.sigmoid(x) + torch.tanh(self.out(x)) * self.scale + self.shift
        x = torch.sqrt(x.pow(2) + 0.5).clamp(max=3.0) / (1.0 + x.abs()) + torch.exp(-x.relu()) - torch.rsqrt(x * x + 1)
        return x.mean(dim=1) + torch.log(x.amax(dim=1) ** 2 + 1.0).detach() + torch.stack([x[:, 0], x[:, 1]]).sum(0)


@pytest.mark.parametrize(
    "optimiser", [Sgd(0.05), Sgd(0.05, momentum=0.9, weight_decay=0.1), AdamW(1e-3), AdamW(1e-3, weight_decay=0.0)]
)
def test_many_operators_and_every_optimiser_follow_torch(optimiser: Optimiser) -> None:
    torch.manual_seed(1)
    batch = {"tokens": torch.randint(0, 11, (4, 6)), "y": torch.randint(0, 8, (4,))}
    compare_with_torch(
        Zoo(), lambda m, b: functional.cross_entropy(m(b["tokens"]), b["y"]), optimiser, batch, 5, 2e-3
    )


def test_trace_is_the_same_each_time() -> None:
    def graph() -> Graph:
        batch = {"x": torch.zeros(4, 3), "y": torch.zeros(4, dtype=torch.int64)}
        return trace_step(nn.Linear(3, 2), lambda m, b: functional.cross_entropy(m(b["x"]), b["y"]), AdamW(1e-3), batch)

    assert graph().root() == graph().root()


def test_optimiser_has_no_power_function_and_means_are_divisions() -> None:
    batch = {"x": torch.zeros(6, 3)}
    graph = trace_step(nn.Linear(3, 2), lambda m, b: m(b["x"]).mean(), AdamW(1e-3), batch)
    assert {"scalar/beta1_power", "scalar/beta2_power"} <= set(graph.signature().state)
    loss = next(n for n in graph.nodes if n.attrs.get("kind") == "loss")
    assert graph.nodes[loss.inputs[0]].op == "div"


class Gamma(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.lgamma(self.w * x)  # the refused line


def test_unsupported_operator_names_operator_shapes_and_line() -> None:
    with pytest.raises(UnsupportedOperator, match=r"aten\.lgamma.*torch\.lgamma\(self\.w \* x\)") as caught:
        trace_step(Gamma(), lambda m, b: m(b["x"]).sum(), Sgd(0.1), {"x": torch.ones(3)})
    assert "test_trace.py" in caught.value.line and caught.value.shapes == ("float32(3,)",)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda w, x: (w.abs() ** 2.3 * x).sum(), "exponent"),
        (lambda w, x: torch.cumprod(w * x, 0).sum(), "not in exact"),
        (lambda w, x: functional.cross_entropy(w * x, torch.zeros(3, dtype=torch.int64), x[0]), "class weights"),
        (lambda w, x: (w * x).to(torch.float16).sum().float(), "float16"),
    ],
)
def test_unsupported_uses_are_refused(call: Callable[[Tensor, Tensor], Tensor], reason: str) -> None:
    module = nn.ParameterList([nn.Parameter(torch.ones(3, 3))])
    with pytest.raises((UnsupportedOperator, UntraceableModel), match=reason):
        trace_step(module, lambda m, b: call(m[0], b["x"]), Sgd(0.1), {"x": torch.ones(3, 3)})


def test_invalid_models() -> None:
    x = {"x": torch.ones(2, 3)}
    for module, loss in (
        (nn.Identity(), lambda m, b: b["x"].sum()),
        (nn.Linear(3, 1).double(), lambda m, b: m(b["x"].double()).sum()),
        (nn.Linear(3, 1), lambda m, b: m(b["x"])),
        (nn.Linear(3, 1), lambda m, b: 0.5),
        (nn.Linear(3, 1), lambda m, b: m(b["x"].reshape(7)).sum() / 0),
    ):
        with pytest.raises(UntraceableModel):
            trace_step(module, loss, Sgd(0.1), x)
    with pytest.raises(UntraceableModel):
        trace_step(nn.Linear(3, 1), lambda m, b: m(b["x"].float()).sum(), Sgd(0.1), {"x": torch.ones(2, 3).double()})


@pytest.mark.parametrize(
    "read",
    [
        lambda y: y * 2 if y.sum() > 0 else y,
        lambda y: y * y.max().item(),
        lambda y: y * float(y.detach().numpy()[0, 0]),
        lambda y: y * y.tolist()[0][0],
        lambda y: y[y > 0],
        lambda y: y * torch.nonzero(y).sum(),
    ],
)
def test_what_depends_on_data_is_refused_with_its_line(read: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises((DataDependentBranch, UnsupportedOperator), match=r"test_trace\.py.*lambda y: y"):
        trace_step(nn.Linear(3, 3), lambda m, b: read(m(b["x"])).sum(), Sgd(0.1), {"x": torch.ones(2, 3)})


def test_a_branch_on_constants_is_taken() -> None:
    def loss(m: nn.Module, b: Batch) -> Tensor:
        places = torch.arange(3)
        return m(b["x"]).sum() if (places.diff() == 1).all() and places[2].item() == 2 else m(b["x"])

    trace_step(nn.Linear(3, 1), loss, Sgd(0.1), {"x": torch.ones(2, 3)})


class Sized(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape
        if columns // 2 > 1:  # noticed: a size decides
            x = x * 2
        assert self.w.shape[0] == 4  # not noticed: no batch changes a parameter's size
        return (x.view(rows * 1, columns) * self.w + torch.zeros(x.size())).sum()


def test_a_branch_on_a_size_is_noticed_with_its_line() -> None:
    with pytest.warns(ShapeBranchWarning, match=r"if columns // 2 > 1") as caught:
        trace_step(Sized(), lambda m, b: m(b["x"]), Sgd(0.1), {"x": torch.ones(2, 4)})
    assert "self.w.shape" not in str(caught[0].message)


def test_backward_of_an_unsupported_use_names_the_forward_line() -> None:
    def loss(m: nn.Module, b: Batch) -> Tensor:
        picked = m[0].gather(0, torch.tensor([0, 2]))
        return (picked * b["x"]).sum() * torch.ones(3).mean()

    with pytest.raises(UnsupportedOperator, match=r"scatter_add.*the backward of .*m\[0\]\.gather"):
        trace_step(nn.ParameterList([nn.Parameter(torch.ones(3))]), loss, Sgd(0.1), {"x": torch.ones(2)})


def test_the_module_is_left_as_it_was() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).eval()
    module[1].train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    trace_step(module, lambda m, b: m(b["x"]).sum(), Sgd(0.1), {"x": torch.ones(2, 3)})
    assert [part.training for part in module] == [False, True, False] and not module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert all(type(p) is nn.Parameter and p.grad is None for p in module.parameters())


def test_reduction_over_the_exact_bound_is_refused_when_the_task_is_made() -> None:
    module = nn.ParameterList([nn.Parameter(torch.ones(1))])
    with pytest.raises(GraphError, match="terms of a sum"):
        trace_step(module, lambda m, b: (m[0] * b["x"]).expand(2**25).sum(), Sgd(0.1), {"x": torch.ones(1)})
