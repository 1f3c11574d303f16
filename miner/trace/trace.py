"""From ``nn.Module`` + loss + optimiser + example batch to the canonical graph of one training step.

PyTorch's tracer records forward and backward as ATen calls on fake tensors; our rules lower each; the optimiser and the
gradient norm are emitted by ourselves. Only the resulting graph is authoritative.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from consensus.exact.matmul import DEFAULT_BITS
from consensus.graph import Graph, GraphBuilder, GraphError
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from miner.trace.emit import Emitter, Value
from miner.trace.errors import UnsupportedOperator, UntraceableModel
from miner.trace.names import BUFFER_PREFIX, PARAMETER_PREFIX, SCALAR_PREFIX
from miner.trace.optimisers import Optimiser
from miner.trace.rules import RULES, RuleRefusal

Loss = Callable[[nn.Module, Mapping[str, Tensor]], Tensor]
"""A scalar f32 loss from the module and a batch of named tensors."""

_DTYPES = {torch.float32: "f32", torch.int64: "i64", torch.bool: "bool"}


class _LossModule(nn.Module):  # type: ignore[misc]
    def __init__(self, module: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.module = module
        self._loss = loss

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self._loss(self.module, batch)


def trace_step(
    module: nn.Module, loss: Loss, optimiser: Optimiser, batch: Mapping[str, Tensor], bits: int = DEFAULT_BITS
) -> Graph:
    """The graph of one training step.

    The module is taken in training mode and not changed; ``batch`` gives names, dtypes and shapes only. ``bits`` is
    the grid of every matmul. Raises `UnsupportedOperator`, `UntraceableModel`, and `GraphError` at a broken bound.
    """
    parameters = dict(module.named_parameters())
    buffers = dict(module.named_buffers())
    if not parameters or any(p.dtype != torch.float32 for p in parameters.values()):
        raise UntraceableModel("the model needs parameters, all of them float32; call module.float()")
    recorded = _record(module, loss, parameters, buffers, batch)
    builder = GraphBuilder()
    emitter = Emitter(builder, bits)
    state = {PARAMETER_PREFIX + n: p for n, p in parameters.items()}
    state |= {BUFFER_PREFIX + n: b for n, b in buffers.items()}
    values = [_input(builder, "state", name, tensor) for name, tensor in state.items()]
    values += [_input(builder, "batch", name, tensor) for name, tensor in sorted(batch.items())]
    results = _lower(recorded, emitter, values)
    if emitter.shape(results[0]) != ():
        raise UntraceableModel(f"the loss has the shape {emitter.shape(results[0])}; reduce it to a scalar")
    builder.output("loss", "loss", results[0].id)
    for name, value in zip(state, values, strict=False):
        if name.startswith(BUFFER_PREFIX):
            builder.output("state", name, value.id)
    gradients = dict(zip(parameters, results[1:], strict=True))
    _emit_optimiser(emitter, optimiser, {n: values[i] for i, n in enumerate(parameters)}, gradients)
    _emit_gradient_norm(emitter, list(gradients.values()))
    return builder.finish()


def _record(
    module: nn.Module, loss: Loss, parameters: dict[str, Any], buffers: dict[str, Tensor], batch: Mapping[str, Tensor]
) -> fx.GraphModule:
    """Forward and backward as a flat list of ATen calls: inputs parameters, buffers, batch; outputs loss, gradients."""
    wrapped = _LossModule(module, loss)
    names = [f"module.{n}" for n in [*parameters, *buffers]]
    keys = sorted(batch)

    def step(weights: list[Tensor], constants: list[Tensor], data: list[Tensor]) -> list[Tensor]:
        tensors = dict(zip(names, [*weights, *constants], strict=True))
        value = torch.func.functional_call(wrapped, tensors, (dict(zip(keys, data, strict=True)),))
        gradients = torch.autograd.grad(value, weights, allow_unused=True)
        return [value, *(torch.zeros_like(w) if g is None else g for g, w in zip(gradients, weights, strict=True))]

    weights = [p.detach().clone().requires_grad_() for p in parameters.values()]
    constants = [b.detach().clone() for b in buffers.values()]
    was_training = module.training
    module.train()
    try:
        with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
            warnings.simplefilter("ignore")
            tracer = make_fx(step, tracing_mode="fake", record_stack_traces=True)
            return tracer(weights, constants, [batch[k] for k in keys])
    except (RuntimeError, TypeError, ValueError) as error:
        raise UntraceableModel(f"PyTorch cannot trace the training step: {error}") from error
    finally:
        module.train(was_training)


def _input(builder: GraphBuilder, kind: str, name: str, tensor: Tensor) -> Value:
    if tensor.dtype not in _DTYPES:
        raise UntraceableModel(f"{kind} tensor {name} is {tensor.dtype}; only float32, int64 and bool are exact")
    return Value(builder.input(kind, name, _DTYPES[tensor.dtype], tuple(tensor.shape)))


def _lower(recorded: fx.GraphModule, emitter: Emitter, inputs: list[Value]) -> list[Value]:
    environment: dict[fx.Node, Any] = {}
    waiting = iter(inputs)
    for node in recorded.graph.nodes:
        if node.op == "placeholder":
            environment[node] = next(waiting)
        elif node.op == "get_attr":
            environment[node] = _constant(recorded, node, emitter)
        elif node.op == "call_function":
            arguments, options = fx.node.map_arg((node.args, node.kwargs), lambda n: environment[n])
            if node.target is operator.getitem:
                environment[node] = arguments[0][arguments[1]]
            else:
                environment[node] = _apply(node, emitter, arguments, dict(options))
        elif node.op == "output":
            results = fx.node.map_arg(node.args[0], lambda n: environment[n])
            return list(results)
    raise UntraceableModel("the traced step has no output")


def _apply(node: fx.Node, emitter: Emitter, arguments: Any, options: dict[str, Any]) -> Any:
    name = str(node.target)
    if name not in RULES:
        raise UnsupportedOperator(name, _source_line(node))
    try:
        return RULES[name](emitter, *arguments, **options)
    except RuleRefusal as refusal:
        raise UnsupportedOperator(name, _source_line(node), str(refusal)) from refusal
    except TypeError as error:
        raise UnsupportedOperator(name, _source_line(node), f"has arguments without an exact form: {error}") from error
    except GraphError as error:
        raise type(error)(f"{name} ({_source_line(node)}): {error}") from error


def _constant(recorded: fx.GraphModule, node: fx.Node, emitter: Emitter) -> Value:
    tensor = getattr(recorded, str(node.target))
    if not isinstance(tensor, Tensor) or tensor.numel() != 1 or tensor.dtype not in _DTYPES:
        raise UntraceableModel(
            f"a tensor made inside the model became a constant of the trace ({_source_line(node)}); "
            "register it as a buffer"
        )
    return emitter.expand(emitter.constant(tensor.item(), _DTYPES[tensor.dtype]), tuple(tensor.shape))


def _source_line(node: fx.Node) -> str:
    """The innermost line of the user's code: the last frame outside PyTorch."""
    trace = str(node.meta.get("stack_trace") or "")
    lines = trace.strip().splitlines()
    frames = [
        f"{line.strip()}: {lines[i + 1].strip()}" if i + 1 < len(lines) else line.strip()
        for i, line in enumerate(lines)
        if line.strip().startswith("File ")
    ]
    own = [frame for frame in frames if "/torch/" not in frame]
    return (own or frames or ["in the backward pass, no source line known"])[-1]


def _emit_optimiser(
    e: Emitter, optimiser: Optimiser, parameters: dict[str, Value], gradients: dict[str, Value]
) -> None:
    old = {n: Value(e.builder.input("state", SCALAR_PREFIX + n, "f32", ())) for n in optimiser.scalars()}
    scalars = optimiser.advance(e, old)
    for name, value in scalars.items():
        e.builder.output("state", SCALAR_PREFIX + name, value.id)
    for name, parameter in parameters.items():
        shape = e.shape(parameter)
        slots = {s: Value(e.builder.input("state", f"{s}/{name}", "f32", shape)) for s in optimiser.slots()}
        updated, new_slots = optimiser.update(e, parameter, gradients[name], slots, scalars)
        e.builder.output("state", PARAMETER_PREFIX + name, updated.id)
        for slot, value in new_slots.items():
            e.builder.output("state", f"{slot}/{name}", value.id)


def _emit_gradient_norm(e: Emitter, gradients: list[Value]) -> None:
    """√ of the exact sum, over parameters, of each one's exact sum of squares."""
    squares = [e.reshape(e.sum(e.mul(g, g), None, False), (1,)) for g in gradients]
    total = e.sum(e.concat(squares, 0), None, False)
    e.builder.output("grad_norm", "grad_norm", e.unary("sqrt", total).id)
