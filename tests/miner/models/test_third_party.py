"""Unmodified models of others trace, train and are verified: small ones with random first weights, nothing downloaded.

They are used as their libraries ship them: no line of theirs is replaced, no option but sizes is set.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from consensus.graph import Graph
from miner.kernels import Executor
from miner.trace import AdamW, Optimiser, Sgd, initial_state, trace_step
from tests.miner.trace.compare import SEED, compute_norm, make_torch_optimiser

Batch = Mapping[str, Tensor]
Loss = Callable[[nn.Module, Batch], Tensor]
STEPS, COMPARED, REPLAYED = 5, 3, 2
"""Steps of training, those compared with PyTorch's, and those done twice."""


def language_loss(module: nn.Module, batch: Batch) -> Tensor:
    """The library's own loss of a causal language model."""
    return module(input_ids=batch["tokens"], labels=batch["tokens"]).loss


def image_loss(module: nn.Module, batch: Batch) -> Tensor:
    return functional.cross_entropy(module(batch["images"]), batch["classes"])


def tokens() -> Batch:
    return {"tokens": torch.randint(0, 61, (2, 12))}


def images(size: int, count: int) -> Batch:
    return {"images": torch.randn(count, 3, size, size), "classes": torch.arange(count) % 5}


def make_gpt2() -> tuple[nn.Module, Loss, Batch]:
    from transformers import GPT2Config, GPT2LMHeadModel

    plain: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    config = GPT2Config(vocab_size=61, n_positions=12, n_embd=16, n_layer=2, n_head=2, **plain)
    return GPT2LMHeadModel(config), language_loss, tokens()


def make_llama() -> tuple[nn.Module, Loss, Batch]:
    """RMSNorm, rotary places, SwiGLU, two heads of keys for four of queries."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=12,
    )  # fmt: skip
    return LlamaForCausalLM(config), language_loss, tokens()


def make_resnet18() -> tuple[nn.Module, Loss, Batch]:
    from torchvision.models import resnet18  # type: ignore[import-untyped]

    return resnet18(num_classes=5), image_loss, images(48, 10)


def make_vit() -> tuple[nn.Module, Loss, Batch]:
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(img_size=16, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=5)
    return model, image_loss, images(16, 4)


MAKERS = {"gpt2": make_gpt2, "llama": make_llama, "resnet18": make_resnet18, "vit": make_vit}
OPTIMISERS: dict[str, Optimiser] = {
    "gpt2": AdamW(3e-3), "llama": AdamW(3e-3), "resnet18": Sgd(3e-4), "vit": AdamW(1e-3),
}  # fmt: skip


def run(
    graph: Graph, state: dict[str, np.ndarray], batch: Batch, steps: int, backend: str | None
) -> tuple[bytes, list[tuple[float, float]]]:
    """Digest of all bytes of the state after some steps, with each step's loss and gradient norm."""
    executor, arrays, trace = Executor(graph, backend), {k: v.numpy() for k, v in batch.items()}, []
    for step in range(steps):
        state, loss, norm = executor.step(state, arrays, SEED, step)
        trace.append((float(loss), float(norm)))
    digest = hashlib.blake2b()
    for name in sorted(state):
        digest.update(name.encode() + np.ascontiguousarray(state[name]).tobytes())
    return digest.digest(), trace


@pytest.mark.filterwarnings("ignore::miner.trace.ShapeBranchWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", sorted(MAKERS))
def test_model_trains_as_in_pytorch_and_a_replay_gives_the_same_bytes(name: str) -> None:
    torch.manual_seed(0)
    module, loss, batch = MAKERS[name]()
    module.train()
    optimiser = OPTIMISERS[name]
    graph = trace_step(module, loss, optimiser, batch, bits=14)
    assert Graph.from_bytes(graph.to_bytes()).root() == graph.root()
    first = initial_state(module, optimiser, graph.signature().state)
    digest, trace = run(graph, first, batch, REPLAYED, "numpy")
    assert run(graph, first, batch, REPLAYED, "numpy") == (digest, trace), "a replay gives the same bytes"
    _, trace = run(graph, first, batch, STEPS, "numpy")
    if name != "resnet18":  # integer products of eleven million weights take the definitions minutes
        assert run(graph, first, batch, 1, "numpy") == run(graph, first, batch, 1, "reference")
    assert trace[-1][0] < 0.99 * trace[0][0], "the loss goes down"
    eager = make_torch_optimiser(module, optimiser)
    for exact_loss, exact_norm in trace[:COMPARED]:
        eager.zero_grad()
        value = loss(module, batch)
        value.backward()
        assert exact_loss == pytest.approx(value.item(), rel=0.02)
        assert exact_norm == pytest.approx(compute_norm(module).item(), rel=0.05)
        eager.step()
