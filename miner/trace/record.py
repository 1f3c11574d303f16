"""Runs a model on tensors without elements and lowers each ATen call on the way (no intermediate trace).

PyTorch's functionalisation lies above, so that calls arrive without mutation and with views told apart; autograd lies
above that, so that the calls of a backward pass arrive too. A `Ghost` carries what the graph knows of a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from consensus.graph import GraphError
from consensus.graph.errors import WrongShape
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from miner.trace import source
from miner.trace.emit import Emitter, Value
from miner.trace.errors import DataDependentBranch, UnsupportedOperator, UntraceableModel
from miner.trace.rules import BLANK_ALLOWED, RULES, Blank, RuleRefusal, Written

DTYPES = {torch.float32: "f32", torch.int64: "i64", torch.bool: "bool"}
"""Our name for each dtype that is exact."""
MAX_CONSTANT = 2**10
"""Most elements of a tensor with values of its own that the model makes inside the step (= 1,024)."""

_TORCH_DTYPES = {ours: dtype for dtype, ours in DTYPES.items()}
_META, _CPU = torch.device("meta"), torch.device("cpu")
_ITEM = "aten._local_scalar_dense.default"


class Ghost(Tensor):  # type: ignore[misc]
    """A tensor with a shape, a dtype and a place in the graph, but no elements; it says that it lies on the CPU."""

    meta: Tensor
    value: Value | None
    """None when no rule gives this result; a rule that is then given None refuses."""

    @staticmethod
    def __new__(cls: type[Ghost], meta: Tensor, value: Value | None) -> Ghost:
        """``meta`` gives shape, strides and dtype."""
        ghost = torch.Tensor._make_wrapper_subclass(
            cls, meta.size(), strides=meta.stride(), storage_offset=meta.storage_offset(), dtype=meta.dtype, device=_CPU
        )
        ghost.meta, ghost.value = meta, value
        return ghost  # type: ignore[no-any-return]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Outside of a `Recorder` a ghost is of no use."""
        line = source.describe(source.find_place())
        raise UntraceableModel(f"{func} is called on a traced tensor outside the trace ({line})")


class Recorder(TorchDispatchMode):  # type: ignore[misc]
    """Lowers ATen calls by `RULES` while it is active."""

    def __init__(self, emitter: Emitter) -> None:
        super().__init__()
        self._emitter = emitter
        self._places: dict[int, source.Place | None] = {}
        """Line of the forward call by autograd's sequence number."""
        self._names: dict[Any, tuple[str, Callable[..., Any] | None]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else PyTorch imports its compiler, which takes seconds

    def make_input(self, tensor: Tensor, value: Value, needs_gradient: bool) -> Tensor:
        """A tensor for the model that stands for an input of the graph."""
        functional = torch._to_functional_tensor(Ghost(tensor.detach().to(_META), value))
        return functional.requires_grad_(needs_gradient)

    def get_value(self, tensor: Tensor) -> Value:
        """The node behind a tensor that the model gave back, mutations included."""
        if torch._is_functional_tensor(tensor):
            torch._sync(tensor)
            tensor = torch._from_functional_tensor(tensor)
        value = self._to_value(tensor)
        if isinstance(value, Blank):
            raise UntraceableModel(f"a result has the shape {value.shape}; nothing can be computed of no elements")
        return value

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Lower one call."""
        name, rule = self._look_up(func)
        if name.startswith("prim."):
            return _CPU
        if name == _ITEM:
            return self._read(args[0])
        kwargs = kwargs or {}
        if rule is None:
            raise UnsupportedOperator(name, self._line(), _shapes((args, kwargs)))
        if torch._C._current_autograd_node() is None:
            self._places.setdefault(torch.autograd._get_sequence_nr() - 1, source.find_place())
        try:
            blank = BLANK_ALLOWED.get(name, ())
            read = [None if i in blank and _is_blank(a) else _map(self._to_value, a) for i, a in enumerate(args)]
            values = rule(self._emitter, *read, **_map(self._to_value, kwargs))
            if isinstance(values, Written):
                for argument, value in values.arguments.items():
                    args[argument].value = value
                values = values.results
            if func.is_view or name == "aten.clone.default":
                return self._wrap_like(name, func(*_map_meta(args), **_map_meta(kwargs)), values)
            return self._wrap(values, next(iter(_tensors(args)), None))
        except RuleRefusal as refusal:
            raise UnsupportedOperator(name, self._line(), _shapes((args, kwargs)), str(refusal)) from refusal
        except WrongShape as error:
            raise UntraceableModel(f"{name} cannot be called so: {error} ({self._line()})") from error
        except GraphError as error:
            raise type(error)(f"{name} ({self._line()}): {error}") from error
        except (TypeError, ValueError, AttributeError) as error:
            reason = f"has arguments without an exact form: {error}"
            raise UnsupportedOperator(name, self._line(), _shapes((args, kwargs)), reason) from error

    def _look_up(self, func: Any) -> tuple[str, Callable[..., Any] | None]:
        if func not in self._names:
            self._names[func] = str(func), RULES.get(str(func))
        return self._names[func]

    def _read(self, tensor: Tensor) -> bool | int | float:
        """The number that Python asks for, where it depends on no input of the graph."""
        value = self._to_value(tensor)
        found = self._emitter.evaluate(value) if isinstance(value, Value) else None
        if found is None:
            raise DataDependentBranch(self._line())
        return found.item()  # type: ignore[no-any-return]

    def _line(self) -> str:
        node = torch._C._current_autograd_node()
        if node is None:
            return source.describe(source.find_place())
        return f"the backward of {source.describe(self._places.get(node._sequence_nr()))}"

    def _to_value(self, tensor: Tensor) -> Value | Blank:
        """The node of an operand, or a blank for one without elements."""
        if tensor.numel() == 0:
            return Blank(tuple(tensor.shape), DTYPES.get(tensor.dtype, "f32"))
        if isinstance(tensor, Ghost):
            if tensor.value is None:
                raise RuleRefusal(f"reads {tensor.dtype}{tuple(tensor.shape)}, which has no exact form")
            return tensor.value
        return self._make_constant(tensor)

    def _make_constant(self, tensor: Tensor) -> Value:
        """A tensor with elements, which the model made itself: constants of the graph."""
        if tensor.numel() > MAX_CONSTANT:
            raise RuleRefusal(f"reads {tensor.numel():,} numbers made outside the step; register them as a buffer")
        if tensor.dtype not in DTYPES:
            raise RuleRefusal(f"reads {tensor.dtype}, only float32, int64 and bool are exact")
        e, dtype, shape = self._emitter, DTYPES[tensor.dtype], tuple(tensor.shape)
        numbers = tensor.reshape(-1).tolist()
        if len(set(numbers)) == 1:
            return e.full(shape, numbers[0], dtype)
        return e.reshape(e.concat([e.reshape(e.constant(n, dtype), (1,)) for n in numbers], 0), shape)

    def _wrap_like(self, name: str, metas: Any, values: Any) -> Any:
        """Ghosts for the results of a view, laid out as PyTorch says."""
        if isinstance(metas, list | tuple):
            return [self._wrap_like(name, m, v) for m, v in zip(metas, values, strict=True)]
        if isinstance(values, Blank):
            return Ghost(metas, None)
        found, wanted = self._emitter.shape(values), tuple(metas.shape)
        if found != wanted:
            raise AssertionError(f"the rule of {name} gives the shape {found}, PyTorch {wanted}")
        return Ghost(metas, values)

    def _wrap(self, values: Any, first: Tensor | None) -> Any:
        """Ghosts for the results of what is no view: laid out as the first operand if they have its shape, else
        row-major, as PyTorch does. (It is not asked: its answer would import its compiler, which takes seconds.)
        """
        if isinstance(values, list | tuple):
            return tuple(self._wrap(v, first) for v in values)
        if values is None:
            return None
        e = self._emitter
        shape, dtype = (values.shape, values.dtype) if isinstance(values, Blank) else (e.shape(values), e.dtype(values))
        strides = None if first is None or tuple(first.shape) != shape else first.stride()
        if strides is None or not _is_dense(shape, strides):
            strides = torch.empty(shape, device=_META).stride()
        meta = torch.empty_strided(shape, strides, dtype=_TORCH_DTYPES[dtype], device=_META)
        return Ghost(meta, None if isinstance(values, Blank) else values)


def _is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements fill a block of memory, each place once."""
    expected = 1
    for stride, size in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n != 1):
        if stride != expected:
            return False
        expected *= size
    return True


@contextmanager
def functionalised() -> Iterator[None]:
    """Within, PyTorch turns mutations into new values before a `Recorder` sees them."""
    torch._enable_functionalization(reapply_views=True)
    try:
        yield
    finally:
        torch._disable_functionalization()


def _map(function: Callable[[Tensor], Any], value: Any) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, list | tuple):
        return [_map(function, v) for v in value]
    if isinstance(value, dict):
        return {k: _map(function, v) for k, v in value.items()}
    return value


def _is_blank(argument: Any) -> bool:
    return isinstance(argument, Ghost) and argument.value is None


def _to_meta(tensor: Tensor) -> Tensor:
    return tensor.meta if isinstance(tensor, Ghost) else tensor.to(_META)


def _map_meta(value: Any) -> Any:
    return _map(_to_meta, value)


def _shapes(value: Any) -> list[str]:
    """``float32(3, 4)`` of each tensor among the arguments."""
    return [f"{str(t.dtype).removeprefix('torch.')}{tuple(t.shape)}" for t in _tensors(value)]


def _tensors(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    _map(found.append, value)
    return found
