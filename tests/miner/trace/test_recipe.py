"""Recipes: accumulation, clipping, groups, schedules, Lion, frozen and unused parameters, adapters, from_torch."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from miner.models.lora import NothingToAdapt, add_lora
from miner.trace import (
    AdamW,
    Group,
    Lion,
    Recipe,
    Sgd,
    UnsupportedOptimiser,
    UntraceableModel,
    cosine_schedule,
    from_torch,
    initial_state,
    trace_step,
)
from tests.miner.trace.compare import Batch, compare_with_torch, run_recipe


class Small(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(functional.gelu(self.norm(self.first(x))))


def loss(module: nn.Module, batch: Batch) -> Tensor:
    return functional.cross_entropy(module(batch["x"]), batch["y"])


def make(steps: int = 6, rows: int = 4) -> tuple[Small, list[Batch]]:
    torch.manual_seed(11)
    batches: list[Batch] = [{"x": torch.randn(rows, 5), "y": torch.randint(0, 3, (rows,))} for _ in range(steps)]
    return Small(), batches


def assert_close(state: dict[str, np.ndarray], module: nn.Module, tolerance: float = 2e-3) -> None:
    for name, parameter in module.named_parameters():
        assert np.allclose(state[f"param/{name}"], parameter.detach().numpy(), atol=tolerance), name


def train(module: nn.Module, optimiser: torch.optim.Optimizer, batches: list[Batch], **options: Any) -> None:
    """Eager training with accumulation, clipping and a schedule, as its documentation writes them."""
    accumulate, clip, schedule = options.get("accumulate", 1), options.get("clip"), options.get("schedule")
    rates = [group["lr"] for group in optimiser.param_groups]
    updates = 0
    for step, batch in enumerate(batches):
        (loss(module, batch) / accumulate).backward()
        if (step + 1) % accumulate:
            continue
        if clip is not None:
            nn.utils.clip_grad_norm_(module.parameters(), clip)
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * (schedule[min(updates, len(schedule) - 1)] if schedule else 1.0)
        optimiser.step()
        optimiser.zero_grad()
        updates += 1


def test_all_of_a_recipe_together_follows_torch() -> None:
    module, batches = make(8)
    schedule = cosine_schedule(3, warmup=1, floor=0.1)
    biases = Group(("*.bias", "norm.*"), AdamW(2e-2, beta1=0.8, weight_decay=0.0))
    recipe = Recipe(AdamW(1e-2, weight_decay=0.1), (biases,), schedule, clip_norm=0.3, accumulate=2)
    state, _ = run_recipe(module, loss, recipe, batches)
    plain = [p for n, p in module.named_parameters() if n in ("first.weight", "second.weight")]
    rest = [p for n, p in module.named_parameters() if n not in ("first.weight", "second.weight")]
    eager = torch.optim.AdamW(
        [{"params": plain, "weight_decay": 0.1}, {"params": rest, "lr": 2e-2, "betas": (0.8, 0.999)}],
        lr=1e-2, weight_decay=0.0,
    )  # fmt: skip
    train(module, eager, batches, accumulate=2, clip=0.3, schedule=schedule)
    assert_close(state, module)
    assert state["schedule/step"] == 4 and state["accumulation/step"] == 0
    assert state["scalar/beta1_power"] == pytest.approx(0.9**4)
    assert state["scalar/1/beta1_power"] == pytest.approx(0.8**4)


def test_a_step_that_only_accumulates_leaves_the_model_as_it_is() -> None:
    module, batches = make(1)
    recipe = Recipe(AdamW(1e-2), accumulate=3, schedule=(1.0, 0.5))
    state, _ = run_recipe(module, loss, recipe, batches)
    for name, array in initial_state(module, recipe).items():
        moves = name.startswith("accumulated/") or name == "accumulation/step"
        assert np.array_equal(state[name], array) != moves, name


def test_gradients_shorter_than_the_limit_are_not_clipped() -> None:
    module, batches = make(3)
    clipped, plain = (run_recipe(module, loss, Recipe(Sgd(0.1), clip_norm=n), batches)[0] for n in (1e6, None))
    assert all(np.array_equal(clipped[name], plain[name]) for name in plain)


def test_lion_as_published() -> None:
    module, batches = make(4)
    state, _ = run_recipe(module, loss, Lion(1e-2, weight_decay=0.1), batches)
    momenta = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
    for batch in batches:
        module.zero_grad()
        loss(module, batch).backward()
        with torch.no_grad():
            for name, p in module.named_parameters():
                update = torch.sign(momenta[name] * 0.9 + p.grad * 0.1)
                p.copy_(p * (1 - 1e-2 * 0.1) - 1e-2 * update)
                momenta[name] = momenta[name] * 0.99 + p.grad * 0.01
    assert_close(state, module)


def test_nesterov_follows_torch() -> None:
    module, batches = make(1)
    compare_with_torch(module, loss, Sgd(0.05, 0.9, 0.01, nesterov=True), batches[0], 4, 2e-3)


def test_frozen_and_unused_parameters_have_no_optimiser_state_and_stay() -> None:
    module, batches = make(3)
    module.first.weight.requires_grad_(False)
    module.extra = nn.Parameter(torch.ones(2))
    recipe = AdamW(1e-2, weight_decay=0.5)
    state, _ = run_recipe(module, loss, recipe, batches)
    for name in ("first.weight", "extra"):
        assert f"moment1/{name}" not in state
        assert np.array_equal(state[f"param/{name}"], module.get_parameter(name).detach().numpy())
    assert "moment1/second.weight" in state
    assert not np.array_equal(state["param/second.weight"], module.second.weight.detach().numpy())


def test_tied_weights_are_one_parameter() -> None:
    module, batches = make(3)
    module.first, module.second = nn.Linear(5, 5), nn.Linear(5, 5)
    module.norm = nn.LayerNorm(5)
    module.second.weight = module.first.weight
    state = compare_with_torch(module, loss, AdamW(1e-2), batches[0], 4, 2e-3)
    assert "param/first.weight" in state and "param/second.weight" not in state


def test_adapters_train_and_the_base_stays() -> None:
    module, batches = make(6)
    base = {name: p.detach().numpy().copy() for name, p in module.named_parameters()}
    assert add_lora(module, rank=2, alpha=4.0, patterns=("first", "sec*")) == ["first", "second"]
    state, losses = run_recipe(module, loss, AdamW(5e-2), [batches[0]] * 6)
    assert losses[-1] < losses[0]
    trained = {name for name in state if name.startswith("moment1/")}
    assert trained == {f"moment1/{part}.{own}" for part in ("first", "second") for own in ("down", "up")}
    assert np.array_equal(state["param/first.base.weight"], base["first.weight"])
    assert np.array_equal(state["param/norm.weight"], base["norm.weight"])


def test_adapters_without_a_layer_change_nothing() -> None:
    module, _ = make()
    with pytest.raises(NothingToAdapt):
        add_lora(module, 2, 4.0, ("third",))
    assert all(p.requires_grad for p in module.parameters())


def test_from_torch_gives_the_recipe_of_an_optimiser() -> None:
    module, batches = make(3)
    eager = torch.optim.AdamW(
        [{"params": [module.first.weight]}, {"params": [module.first.bias], "lr": 0.5, "weight_decay": 0.0}], lr=1e-2
    )
    recipe = from_torch(eager, module)
    assert recipe.get_optimiser("first.weight") == AdamW(1e-2, weight_decay=0.01)
    assert recipe.get_optimiser("first.bias") == AdamW(0.5, weight_decay=0.0)
    everything = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9, nesterov=True)
    state, _ = run_recipe(module, loss, from_torch(everything, module), batches)
    train(module, everything, batches)
    assert_close(state, module)


def test_from_torch_refuses_what_has_no_exact_form() -> None:
    module, batches = make(1)
    weights = list(module.parameters())
    for optimiser in (
        torch.optim.RMSprop(weights),
        torch.optim.AdamW(weights, amsgrad=True),
        torch.optim.SGD(weights, 0.1, momentum=0.9, dampening=0.5),
        torch.optim.Adam(weights, weight_decay=0.1),
        torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1),
    ):
        with pytest.raises(UnsupportedOptimiser):
            from_torch(optimiser, module)
    used = torch.optim.AdamW(weights)
    train(module, used, batches)
    with pytest.raises(UnsupportedOptimiser, match="fresh"):
        from_torch(used, module)


@pytest.mark.parametrize("options", [{"accumulate": 0}, {"clip_norm": 0.0}, {"schedule": (1.0, float("nan"))}])
def test_invalid_recipe(options: dict[str, Any]) -> None:
    with pytest.raises(UntraceableModel):
        Recipe(Sgd(0.1), **options)


def test_a_module_with_nothing_to_train() -> None:
    module, batches = make(1)
    module.requires_grad_(False)
    with pytest.raises(UntraceableModel, match="requires_grad"):
        trace_step(module, loss, Sgd(0.1), batches[0])


def test_cosine_schedule_rises_then_falls_to_the_floor() -> None:
    schedule = cosine_schedule(10, warmup=4, floor=0.1)
    assert schedule[:4] == (0.25, 0.5, 0.75, 1.0) and len(schedule) == 10
    assert schedule[4] == 1.0 and schedule[-1] == pytest.approx(0.1)
    assert list(schedule[4:]) == sorted(schedule[4:], reverse=True)
