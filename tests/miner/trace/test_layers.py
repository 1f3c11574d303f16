"""Each family of operators: value and gradients are PyTorch's, up to the grids' rounding."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.miner.trace.compare import check_gradients


@pytest.fixture(autouse=True)
def fixed_numbers() -> None:
    torch.manual_seed(3)


@pytest.mark.parametrize(
    ("kernel", "options", "channels", "size"),
    [
        (3, {"padding": 1}, (3, 4), (6, 5)),
        (3, {"stride": 2, "padding": 1}, (2, 4), (7, 6)),
        (7, {"stride": 2, "padding": 3}, (3, 2), (9, 8)),
        (1, {}, (3, 5), (4, 4)),
        (1, {"stride": 2}, (3, 5), (5, 4)),
        (4, {"stride": 4}, (3, 5), (8, 8)),
        (2, {"stride": 3}, (2, 2), (8, 7)),
        (3, {"dilation": 2, "padding": 2}, (2, 3), (6, 6)),
        (3, {"dilation": 2, "stride": 2, "padding": 1}, (2, 3), (9, 8)),
        (3, {"groups": 2, "padding": 1}, (4, 6), (5, 5)),
        (3, {"groups": 4, "stride": 2, "padding": 1}, (4, 4), (6, 6)),
    ],
)
def test_convolution(kernel: int, options: dict[str, int], channels: tuple[int, int], size: tuple[int, int]) -> None:
    inputs, outputs = channels
    check_gradients(
        lambda x, w, b: functional.conv2d(x, w, b, **options),
        torch.randn(2, inputs, *size), torch.randn(outputs, inputs // options.get("groups", 1), kernel, kernel),
        torch.randn(outputs),
    )  # fmt: skip


def test_convolution_of_a_line_and_with_unequal_axes() -> None:
    weight = torch.randn(4, 3, 3)
    check_gradients(lambda x, w: functional.conv1d(x, w, stride=2, padding=1), torch.randn(2, 3, 9), weight)
    check_gradients(
        lambda x, w: functional.conv2d(x, w, stride=(1, 2), padding=(0, 2)), torch.randn(2, 2, 5, 8),
        torch.randn(3, 2, 2, 5),
    )  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"stride": 2, "output_padding": 1, "groups": 2}])
def test_transposed_convolution(options: dict[str, int]) -> None:
    weight = torch.randn(4, 3, 3, 3)
    check_gradients(lambda x, w: functional.conv_transpose2d(x, w, **options), torch.randn(2, 4, 4, 5), weight)


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: functional.max_pool2d(x, 2),
        lambda x: functional.max_pool2d(x, 3, 2, 1),
        lambda x: functional.max_pool2d(x, 3, 2, 1, ceil_mode=True),
        lambda x: functional.max_pool2d(x, 2, 1, 0, 2),
        lambda x: functional.avg_pool2d(x, 2),
        lambda x: functional.avg_pool2d(x, 3, 2, 1),
        lambda x: functional.adaptive_avg_pool2d(x, 1),
        lambda x: functional.adaptive_avg_pool2d(x, (4, 2)),
    ],
)
def test_pooling(pool: Callable[[Tensor], Tensor]) -> None:
    check_gradients(pool, torch.randn(2, 3, 8, 8))


def test_max_pooling_gives_the_gradient_to_the_first_of_equal_ones() -> None:
    check_gradients(lambda x: functional.max_pool2d(x, 3, 2, 1), torch.randint(0, 2, (2, 2, 7, 7)).float())


@pytest.mark.parametrize(
    "norm",
    [
        lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
        lambda x, w, b: functional.batch_norm(x, torch.full((4,), 0.5), torch.full((4,), 2.0), w, b, training=False),
        lambda x, w, b: functional.group_norm(x, 2, w, b),
        lambda x, w, b: functional.instance_norm(x, weight=w, bias=b),
        lambda x, w, b: functional.layer_norm(x.transpose(1, 3), (4,), w, b),
        lambda x, w, b: functional.rms_norm(x.transpose(1, 3), (4,), w) + b,
    ],
)
def test_norms(norm: Callable[..., Tensor]) -> None:
    check_gradients(norm, torch.randn(3, 4, 5, 2), torch.rand(4) + 0.5, torch.randn(4))


@pytest.mark.parametrize(
    "activation",
    [
        functional.relu, functional.gelu, functional.silu, torch.sigmoid, torch.tanh, functional.elu,
        functional.leaky_relu, functional.hardswish, functional.hardsigmoid, functional.softplus, functional.relu6,
        functional.mish, functional.logsigmoid, torch.sin, torch.cos, torch.sign,
        lambda x: functional.gelu(x, approximate="tanh"), lambda x: torch.log1p(x * x), lambda x: 2.0**x,
        lambda x: (x * x + 1) ** -0.5, lambda x: torch.maximum(x, 0.3 * x + 0.1), lambda x: x.clamp(-0.5, 0.7),
    ],
)  # fmt: skip
def test_activations(activation: Callable[[Tensor], Tensor]) -> None:
    check_gradients(activation, torch.randn(5, 7) * 2)


@pytest.mark.parametrize(
    "move",
    [
        lambda x: x.transpose(0, 1).reshape(3, 8).repeat(2, 1),
        lambda x: torch.flip(x, (0, 2)).roll((1, -2), (0, 2)),
        lambda x: functional.pad(x, (1, 2, 0, 1), value=0.5)[:, 1:, ::2],
        lambda x: torch.cat([x.narrow(2, 1, 2), x[..., :1]], -1).unbind(0)[1],
        lambda x: x[:, torch.tensor([2, 0, 2])] + x[:, [0, 1, -1]],
        lambda x: x.gather(2, torch.tensor([1, 0, 3, 2, 1, 1]).reshape(2, 3, 1)),
        lambda x: x.cumsum(2) + x.tril() + x.triu(1),
        lambda x: x.var(dim=(0, 2)) + x.std(dim=0)[:, 0] + x.norm(dim=2)[0],
        lambda x: x.amax(-1) - x.amin(-1) + x.mean((0, 1)).sum(),
        lambda x: torch.einsum("abc,dbc->ad", x, x),
        lambda x: (x.flatten() @ x.flatten()) * x[0, 0] + x[0].mv(x[1, 0]).sum(),
        lambda x: x.reshape(6, 4, 1) @ x.reshape(6, 1, 4),
    ],
)
def test_movement_and_reductions(move: Callable[[Tensor], Tensor]) -> None:
    check_gradients(move, torch.randn(2, 3, 4))


def test_writes_in_place_become_new_values() -> None:
    def write(x: Tensor) -> Tensor:
        y = x * 2
        y[:, 0] = 1.5
        y[1:, 2:].mul_(3)
        y.view(-1)[::5].add_(x[0, 0])
        z = torch.zeros_like(y)
        z.copy_(y).masked_fill_(x > 1, 0.25)
        return z + y

    check_gradients(write, torch.randn(3, 4))


@pytest.mark.parametrize("options", [{}, {"ignore_index": 2}, {"reduction": "sum"}, {"label_smoothing": 0.1}])
def test_cross_entropy(options: dict[str, Any]) -> None:
    targets = {"y": torch.tensor([0, 2, 4, -100 if not options else 1])}
    check_gradients(lambda x, y: functional.cross_entropy(x, y, **options), torch.randn(4, 5), constants=targets)


def test_other_losses() -> None:
    y = {"y": torch.rand(4, 5)}
    check_gradients(lambda x, y: functional.mse_loss(x, y), torch.randn(4, 5), constants=y)
    check_gradients(lambda x, y: functional.l1_loss(x, y), torch.randn(4, 5), constants=y)
    check_gradients(lambda x, y: functional.binary_cross_entropy_with_logits(x, y), torch.randn(4, 5), constants=y)


def test_embedding_with_a_padding_row() -> None:
    index = {"index": torch.tensor([[0, 3, 1], [1, 1, 4]])}
    check_gradients(
        lambda w, index: functional.embedding(index, w, padding_idx=1), torch.randn(5, 3), constants=index
    )


@pytest.mark.parametrize(
    "attend",
    [
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, scale=0.3, enable_gqa=True),
        lambda q, k, v: functional.scaled_dot_product_attention(
            q, k.repeat(1, 2, 1, 1), v.repeat(1, 2, 1, 1), attn_mask=torch.tensor([[1, 0, 0], [0, 0, 0], [1, 1, 1]]) > 0
        ),
        lambda q, k, v: functional.scaled_dot_product_attention(
            q[0], k[0, :1], v[0, :1], attn_mask=torch.tensor([0.5, -1.0, 0.0])
        ),
    ],
)
def test_attention(attend: Callable[..., Tensor]) -> None:
    check_gradients(attend, torch.randn(2, 4, 3, 5), torch.randn(2, 2, 3, 5), torch.randn(2, 2, 3, 6))
