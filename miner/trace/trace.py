"""From ``nn.Module`` + loss + optimiser + example batch to the canonical graph of one step.

The model runs once on tensors without elements (`miner.trace.record`); forward and backward are lowered by our rules,
the optimiser is emitted by ourselves. Only the resulting graph is authoritative.

What keeps a root the same in every process and through PyTorch's patch versions: nodes have a canonical order and no
names of ours, equal ones are shared, what nothing needs is dropped; composite operators (norms, softmax, losses,
attention, convolution, pooling, dropout) and optimisers have our own frozen forms, chosen by no device, thread count or
library. PyTorch only says which elementary operators the model's Python code and autograd's formulas call.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from consensus.exact.matmul import DEFAULT_BITS
from consensus.graph import Graph, GraphBuilder, GraphError
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from miner.trace import source
from miner.trace.emit import Emitter, Value
from miner.trace.errors import ShapeBranchWarning, TraceError, UntraceableModel
from miner.trace.functions import Replacements
from miner.trace.names import BUFFER_PREFIX, PARAMETER_PREFIX
from miner.trace.optimisers import Optimiser
from miner.trace.recipe import Recipe
from miner.trace.record import DTYPES, Recorder, functionalised
from miner.trace.update import emit_update

Batch = Mapping[str, Tensor]
Loss = Callable[[nn.Module, Batch], Tensor]
"""A scalar f32 loss from the module and a batch of named tensors."""
LossAndResults = Callable[[nn.Module, Batch], Tensor | tuple[Tensor, Mapping[str, Tensor]]]
"""A loss, or a loss and named results."""
Call = Callable[[nn.Module, Batch], Tensor | Mapping[str, Tensor]]
"""Named results of the module for a batch; a single tensor is called ``output``."""


def trace_step(
    module: nn.Module, loss: Loss, optimiser: Optimiser | Recipe, batch: Batch, bits: int = DEFAULT_BITS
) -> Graph:
    """The graph of one training step.

    The module is taken in training mode (submodules that were put into evaluation mode stay there) and not changed;
    parameters with ``requires_grad`` off, and those that the loss does not need, are frozen. ``batch`` gives names,
    dtypes and shapes only; ``bits`` is the grid of every matmul. Raises `UnsupportedOperator`, `UntraceableModel`, and
    `GraphError` at a broken bound; warns with `ShapeBranchWarning`.
    """
    recipe = optimiser if isinstance(optimiser, Recipe) else Recipe(optimiser)
    trace = _Trace(module, batch, bits)
    trained = [n for n, p in trace.parameters.items() if p.requires_grad]
    if not trained:
        raise UntraceableModel("no parameter is trained; at least one must have requires_grad on")
    with trace.running(training=True):
        value = trace.call(loss)
        trace.output_loss(value)
        gradients = torch.autograd.grad(value, [trace.tensors[n] for n in trained], allow_unused=True)
        found = {n: trace.get_value(g) for n, g in zip(trained, gradients, strict=True) if g is not None}
    for name in trace.parameters.keys() - found.keys():
        trace.builder.output("state", PARAMETER_PREFIX + name, trace.values[name].id)
    for name in trace.buffers:
        trace.builder.output("state", BUFFER_PREFIX + name, trace.get_value(trace.tensors[name]).id)
    emit_update(trace.emitter, recipe, {n: trace.values[n] for n in found}, found)
    return trace.builder.finish()


def trace_evaluation(module: nn.Module, loss: LossAndResults, batch: Batch, bits: int = DEFAULT_BITS) -> Graph:
    """The graph that gives a batch's loss (and results), in evaluation mode; errors as `trace_step`."""
    trace = _Trace(module, batch, bits)
    with trace.running(training=False):
        value = trace.call(loss)
        results: Mapping[str, Tensor] = {}
        if isinstance(value, tuple):
            value, results = value
        trace.output_loss(value)
        trace.output_results(results)
    return trace.builder.finish()


def trace_inference(module: nn.Module, call: Call, batch: Batch, bits: int = DEFAULT_BITS) -> Graph:
    """The graph that gives results for a batch, in evaluation mode; errors as `trace_step`."""
    trace = _Trace(module, batch, bits)
    with trace.running(training=False):
        results = trace.call(call)
        trace.output_results({"output": results} if isinstance(results, Tensor) else results)
    return trace.builder.finish()


class _Calling(nn.Module):  # type: ignore[misc]
    """The module with what is to be done with it, as one call."""

    def __init__(self, module: nn.Module, function: Callable[[nn.Module, Batch], Any]) -> None:
        super().__init__()
        self.module = module
        self._function = function

    def forward(self, batch: Batch) -> Any:
        return self._function(self.module, batch)


class _Trace:
    """A module's tensors as inputs of a graph under construction."""

    def __init__(self, module: nn.Module, batch: Batch, bits: int) -> None:
        self.module = module
        self.parameters, self.buffers = dict(module.named_parameters()), dict(module.named_buffers())
        if not self.parameters or any(p.dtype != torch.float32 for p in self.parameters.values()):
            raise UntraceableModel("the model needs parameters, all of them float32; call module.float()")
        self.builder = GraphBuilder()
        self.emitter = Emitter(self.builder, bits)
        self.recorder = Recorder(self.emitter)
        self.values: dict[str, Value] = {}
        """Old values of parameters and buffers."""
        self.tensors: dict[str, Tensor] = {}
        for prefix, tensors in ((PARAMETER_PREFIX, self.parameters), (BUFFER_PREFIX, self.buffers)):
            for name, tensor in tensors.items():
                self.values[name] = self._input("state", prefix + name, tensor)
                needs = prefix == PARAMETER_PREFIX and tensor.requires_grad
                self.tensors[name] = self.recorder.make_input(tensor, self.values[name], needs)
        self.batch = {
            name: self.recorder.make_input(tensor, self._input("batch", name, tensor), False)
            for name, tensor in sorted(batch.items())
        }

    def _input(self, kind: str, name: str, tensor: Tensor) -> Value:
        if tensor.dtype not in DTYPES:
            raise UntraceableModel(f"{kind} tensor {name} is {tensor.dtype}; only float32, int64 and bool are exact")
        return Value(self.builder.input(kind, name, DTYPES[tensor.dtype], tuple(tensor.shape)))

    @contextmanager
    def running(self, training: bool) -> Iterator[None]:
        """Within, PyTorch's calls are lowered; modes of the module and its parts are put back afterwards."""
        modes = {part: part.training for part in self.module.modules()}
        if self.module.training != training:
            self.module.train(training)
        functions = Replacements(list(self.tensors.values()))
        try:
            with (
                functionalised(), torch.set_grad_enabled(training), sdpa_kernel(SDPBackend.MATH),
                self.recorder, functions,
            ):  # fmt: skip
                yield
        except (TraceError, GraphError):
            raise
        except Exception as error:  # whatever the model's code or PyTorch raises says that this step cannot be traced
            line = source.describe(source.find_place_of(error))
            raise UntraceableModel(f"the step cannot be traced: {type(error).__name__}: {error} ({line})") from error
        finally:
            for part, mode in modes.items():
                part.training = mode
        if functions.branches:
            lines = "; ".join(source.describe(place) for place in functions.branches)
            message = f"sizes decide what the code does, so the graph holds for this batch's sizes only: {lines}"
            warnings.warn(ShapeBranchWarning(message), stacklevel=4)

    def call(self, function: Callable[[nn.Module, Batch], Any]) -> Any:
        """What the function gives for the module, with our tensors in place of its own, and the batch."""
        own = {f"module.{name}": tensor for name, tensor in self.tensors.items()}
        return torch.func.functional_call(_Calling(self.module, function), own, (self.batch,))

    def get_value(self, tensor: Tensor) -> Value:
        """The node of a tensor that the model gave."""
        return self.recorder.get_value(tensor)

    def output_loss(self, value: Any) -> None:
        """Make the loss an output; raises `UntraceableModel` unless it is an f32 scalar."""
        if not isinstance(value, Tensor) or value.dtype != torch.float32 or value.shape != ():
            found = f"{value.dtype}{tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise UntraceableModel(f"the loss is {found}; reduce it to a float32 scalar")
        self.builder.output("loss", "loss", self.get_value(value).id)

    def output_results(self, results: Mapping[str, Tensor]) -> None:
        """Make named results outputs."""
        for name, tensor in results.items():
            self.builder.output("result", name, self.get_value(tensor).id)
