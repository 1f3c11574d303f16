"""The PyTorch modules of the built-in models. They are plain: what is trained exactly loads into them unchanged."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional


class Mlp(nn.Module):  # type: ignore[misc]
    """A multilayer perceptron with ReLU between its layers: (batch × features) to (batch × classes)."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        """``widths``: features, hidden widths, classes."""
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        for layer in self.layers[:-1]:
            x = functional.relu(layer(x))
        return self.layers[-1](x)


class Attention(nn.Module):  # type: ignore[misc]
    """Causal multi-head self-attention, written out (the math form)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(batch × time × width) to the same."""
        batch, time, width = x.shape
        q, k, v = (
            part.view(batch, time, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(x).split(width, dim=2)
        )
        scores = q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5
        place = torch.arange(time, device=x.device)
        scores = scores.masked_fill(place[None, :] > place[:, None], float("-inf"))
        mixed = torch.softmax(scores, dim=-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width))


class Block(nn.Module):  # type: ignore[misc]
    """A pre-norm transformer block with GELU."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(batch × time × width) to the same."""
        x = x + self.attention(self.norm1(x))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class ByteGpt(nn.Module):  # type: ignore[misc]
    """A small GPT over bytes: int64 (batch × time) to logits (batch × time × 256)."""

    def __init__(self, width: int, heads: int, layers: int, context: int) -> None:
        super().__init__()
        self.token = nn.Embedding(256, width)
        self.place = nn.Parameter(torch.zeros(context, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 256, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next byte at each place."""
        x = self.token(tokens) + self.place[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def classify(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Mean cross-entropy of classes ``y`` given ``x``."""
    return functional.cross_entropy(module(batch["x"]), batch["y"])


def predict_bytes(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Mean cross-entropy of the next bytes ``targets`` given ``inputs``."""
    return functional.cross_entropy(module(batch["inputs"]).flatten(0, 1), batch["targets"].flatten())
