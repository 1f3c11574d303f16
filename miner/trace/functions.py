"""PyTorch functions that the tracer replaces before PyTorch chooses a form of them for this machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from miner.trace import source
from miner.trace.errors import DataDependentBranch
from miner.trace.sizes import SIZE_FUNCTIONS, Log, watch


def attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """softmax(scale · q·kᵀ + mask) · v for q (… × H × T × D), k and v (… × G × S × D); arguments as PyTorch's.

    Where G heads of keys serve H = r·G heads of queries, the r heads of a group are rows of one product, so that no key
    is copied.
    """
    heads, times, size = query.shape[:-2], query.shape[-2], query.shape[-1]
    count, sources = math.prod(key.shape[:-2]), key.shape[-2]
    factor = 1.0 / math.sqrt(size) if scale is None else scale
    scores = torch.bmm((query * factor).reshape(count, -1, size), key.reshape(count, sources, size).transpose(1, 2))
    scores = scores.reshape(*heads, times, sources)
    if is_causal:
        places = torch.arange(sources)[None, :] <= torch.arange(times)[:, None]
        scores = torch.where(places, scores, -math.inf)
    if attn_mask is not None:
        scores = torch.where(attn_mask, scores, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
        weights = torch.ops.aten._safe_softmax(scores, -1)
    else:
        weights = torch.softmax(scores, -1)
    if dropout_p:
        weights = functional.dropout(weights, dropout_p)
    mixed = torch.bmm(weights.reshape(count, -1, sources), value.reshape(count, sources, -1))
    return mixed.reshape(*heads, times, value.shape[-1])


def _is_grouped(
    query: Tensor, key: Tensor, value: Tensor, *rest: Any, enable_gqa: bool = False, **options: Any
) -> bool:
    """Whether heads of queries are those of keys, or whole groups to each; else PyTorch's own form is taken."""
    lead = query.shape[:-3] == key.shape[:-3] == value.shape[:-3] and key.shape[:-1] == value.shape[:-1]
    if not lead or query.dim() < 3:
        return bool(query.shape[:-2] == key.shape[:-2] == value.shape[:-2])
    heads, groups = int(query.shape[-3]), int(key.shape[-3])
    return heads == groups or enable_gqa and heads % groups == 0


REPLACED: dict[Any, tuple[Callable[..., Tensor], Callable[..., bool]]] = {
    functional.scaled_dot_product_attention: (attention, _is_grouped),
}
"""Our form by PyTorch's function, and whether it takes these arguments."""


ELEMENT_FUNCTIONS = frozenset(
    {Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.data_ptr, Tensor.untyped_storage, Tensor.__dlpack__}
)
"""PyTorch functions that give the elements of their first argument, which a traced tensor has not."""


class Replacements(TorchFunctionMode):  # type: ignore[misc]
    """Calls our form of the functions in `REPLACED` while it is active, and watches the sizes that it gives."""

    def __init__(self, unwatched: Sequence[Tensor]) -> None:
        """``unwatched``: parameters and buffers, whose sizes no batch decides."""
        super().__init__()
        self.branches: Log = {}
        """Lines that compared a size."""
        self._unwatched = {id(tensor) for tensor in unwatched}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One call of a PyTorch function."""
        options = kwargs or {}
        if func in ELEMENT_FUNCTIONS and torch._is_functional_tensor(args[0]):
            raise DataDependentBranch(source.describe(source.find_place()))
        if func in SIZE_FUNCTIONS:
            size = func(*args, **options)
            return size if id(args[0]) in self._unwatched else watch(size, self.branches)
        ours, takes = REPLACED.get(func, (func, None))
        return ours(*args, **options) if takes is not None and takes(*args, **options) else func(*args, **options)
