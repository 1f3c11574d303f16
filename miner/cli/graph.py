"""`aipow graph`: what a committed graph holds and costs, and where two executions of it part.

Exit codes of `diff`: 0 equal, 3 different; the others as everywhere (`miner.cli.common`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from consensus.exact.errors import ExactError

from miner.cli.common import describe, fail
from miner.cli.progress import Progress
from miner.console import format_amount

if TYPE_CHECKING:
    from consensus.graph import Graph

    from miner.inspect.diff import Comparison, Element, Operand, Parting
    from miner.inspect.dump import Dump
    from miner.inspect.layers import GraphCost
    from miner.inspect.source import StepInputs

app = typer.Typer(no_args_is_help=True, help="Look at the committed graph of a model's training step.")

EXIT_DIFFERENT = 3
"""Exit code of a diff that found a difference."""
SHOWN_ATTRIBUTE = 60
"""Most characters of an attribute's value."""

Name = Annotated[
    str, typer.Argument(metavar="MODEL", help="Built-in model, benchmark model, or file of a graph's canonical JSON.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@contextmanager
def _refusals() -> Iterator[None]:
    """Expected errors become one line and exit code 1."""
    from consensus.graph import GraphError

    from miner.inspect.errors import InspectError
    from miner.kernels import KernelError
    from miner.store.errors import StoreError

    try:
        yield
    except (InspectError, GraphError, KernelError, ExactError, StoreError, OSError) as error:
        fail(describe(error))


def _load(name: str) -> Graph:
    from miner.inspect.source import load_graph

    with Progress(f"reading or tracing {name}"):
        return load_graph(name)


@app.command("show")
def show(name: Name, is_json: AsJson = False) -> None:
    """A graph's root, purpose, cost, inputs, outputs and operations.

    Example: aipow graph show byte-gpt-tiny
    """
    with _refusals():
        graph = _load(name)
    summary = _summarise(graph)
    if is_json:
        typer.echo(json.dumps(summary))
        return
    typer.echo(f"root 0x{summary['root']}")
    typer.echo(
        f"{summary['purpose']} step: {summary['nodes']} nodes, {format_amount(summary['macs'])}MAC, "
        f"{summary['bytes']} bytes{', draws random numbers' if summary['needs_seed'] else ''}"
    )
    for kind in ("state", "batch", "results"):
        entries = summary[kind]
        elements = sum(prod(entry["shape"]) for entry in entries.values())
        if entries:
            typer.echo(f"{kind}: {len(entries)} tensors, {format_amount(elements)}elements")
        if kind != "state":
            for entry_name, entry in entries.items():
                typer.echo(f"        {entry_name}  {entry['dtype']}{_format_shape(entry['shape'])}")
    for op, count in summary["ops"].items():
        typer.echo(f"{count:>6}  {op}")


def _summarise(graph: Graph) -> dict[str, Any]:
    signature = graph.signature()
    counts = Counter(node.op for node in graph.nodes)
    tables = {"state": signature.state, "batch": signature.batch, "results": signature.results}
    return {
        "root": graph.root().hex(), "purpose": signature.purpose, "nodes": len(graph.nodes), "macs": graph.macs(),
        "bytes": len(graph.to_bytes()), "needs_seed": signature.needs_seed,
        **{kind: {name: asdict(spec) for name, spec in table.items()} for kind, table in tables.items()},
        "ops": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
    }  # fmt: skip


@app.command("cost")
def cost(name: Name, is_json: AsJson = False) -> None:
    """Nodes and MACs of each layer, by pass (forward, backward, optimiser), and of each operation.

    Layers are told from the parameters that nodes meet; the totals are those that the chain pays for.

    Example: aipow graph cost gpt2-10m
    """
    from miner.inspect.layers import compute_cost

    with _refusals():
        found = compute_cost(_load(name))
    if is_json:
        typer.echo(json.dumps(asdict(found)))
        return
    _print_cost(found)


def _print_cost(found: GraphCost) -> None:
    from miner.inspect.layers import PASSES

    width = max(len(layer.layer) for layer in found.layers)
    typer.echo(f"{'layer':<{width}} {'nodes':>6} {''.join(f'{p:>11}' for p in PASSES)} {'MACs':>9} {'share':>6}")
    rows = [(row.layer, row.nodes, [row.macs[p] for p in PASSES]) for row in found.layers]
    totals = [sum(macs[i] for _, _, macs in rows) for i in range(len(PASSES))]
    for layer, nodes, macs in [*rows, ("all", found.nodes, totals)]:
        amounts = "".join(f"{format_amount(amount):>11}" for amount in macs)
        share = sum(macs) / max(1, found.macs)
        typer.echo(f"{layer:<{width}} {nodes:>6} {amounts} {format_amount(sum(macs)):>9} {share:>6.1%}")
    typer.echo("")
    typer.echo(f"{'op':<{width}} {'nodes':>6} {'MACs':>9} {'share':>6}")
    for op, nodes, amount in found.ops:
        typer.echo(f"{op:<{width}} {nodes:>6} {format_amount(amount):>9} {amount / max(1, found.macs):>6.1%}")


@app.command("diff")
def diff(  # noqa: PLR0913 - the command's options
    name: Name,
    a: Annotated[str, typer.Option("--a", help="One side: a backend of this machine, or a dump file.")] = "native",
    b: Annotated[str | None, typer.Option("--b", help="The other side: a backend or a dump file.")] = None,
    dump: Annotated[
        Path | None, typer.Option(help="Write side a's digests of all nodes to this file, for another machine.")
    ] = None,
    values: Annotated[str, typer.Option(help="Nodes whose whole values go into the dump, as 117 or 117,118.")] = "",
    whole: Annotated[
        bool, typer.Option(help="Compare whole steps as they really run, and narrow by cutting the graph shorter.")
    ] = False,
    state: Annotated[Path | None, typer.Option(help="State (safetensors); a named model has its own.")] = None,
    batch: Annotated[Path | None, typer.Option(help="Batch (safetensors); a named model has its own.")] = None,
    seed: Annotated[str, typer.Option(help="Unit seed, 64 hexadecimal digits.")] = "00" * 32,
    step: Annotated[int, typer.Option(min=0, help="Number of the step.")] = 0,
    is_json: AsJson = False,
) -> None:
    """Find the first node at which two executions of one step part: two backends here, or two machines.

    Two backends: aipow graph diff digits-mlp --a native --b reference

    Two machines: there  aipow graph diff digits-mlp --a native --dump there.json
                  here   aipow graph diff digits-mlp --a native --b there.json

    A dump holds digests; with --values 117 it holds node 117's value too, so that elements can be shown. What no node
    alone shows but the fused whole does, --whole finds. Exit code 0: equal, 3: different.
    """
    if (b is None) == (dump is None):
        fail("give either --b (a backend or a dump file) or --dump FILE", 2)
    with _refusals():
        graph = _load(name)
        sides = [_open_side(text, graph) for text in (a, b) if text is not None]
        needs_inputs = any(isinstance(side, str) for side in sides)
        inputs = _load_inputs(name, graph, state, batch, seed, step) if needs_inputs else None
        if dump is not None:
            _write_dump(graph, inputs, a, dump, values)
        elif whole:
            _compare_whole(graph, inputs, sides, is_json)
        else:
            _report(_compare(graph, inputs, sides), a, str(b), is_json)


def _open_side(text: str, graph: Graph) -> str | Dump:
    """A backend's name, or the dump in a file."""
    from miner.inspect.backends import ALL_BACKENDS
    from miner.inspect.dump import read_dump

    if text in ALL_BACKENDS or not Path(text).is_file():
        return text
    return read_dump(Path(text), graph)


def _load_inputs(
    name: str, graph: Graph, state: Path | None, batch: Path | None, seed: str, step: int
) -> StepInputs:
    from miner.inspect.source import load_inputs, verify_inputs

    try:
        unit_seed = bytes.fromhex(seed)
    except ValueError:
        unit_seed = b""
    if len(unit_seed) != 32:
        fail("--seed is 64 hexadecimal digits", 2)
    with Progress(f"reading the state and the batch of {name}"):
        inputs = load_inputs(name, graph, state, batch, unit_seed, step)
    verify_inputs(graph, inputs)
    return inputs


def _compare(graph: Graph, inputs: StepInputs | None, sides: list[str | Dump]) -> Comparison:
    from miner.inspect.diff import compare_backends, compare_dumps, compare_with_dump
    from miner.inspect.values import make_tracer

    left, right = sides
    if inputs is None:
        if isinstance(left, str) or isinstance(right, str):
            raise TypeError("a backend needs inputs")
        return compare_dumps(graph, left, right)
    dumps = [side for side in sides if not isinstance(side, str)]
    if dumps and dumps[0].step != inputs.step:
        fail(f"the dump is of step {dumps[0].step}; add --step {dumps[0].step}")
    tracers = [make_tracer(side) for side in sides if isinstance(side, str)]
    with Progress("comparing") as progress:

        def tell(index: int) -> None:
            progress.tell(f"comparing: node {index + 1} of {len(graph.nodes)}")

        if not dumps:
            return compare_backends(graph, inputs, tracers[0], tracers[1], tell)
        found = compare_with_dump(graph, inputs, tracers[0], dumps[0], tell)
    return found if isinstance(left, str) else found.swapped()


def _write_dump(graph: Graph, inputs: StepInputs | None, backend: str, file: Path, values: str) -> None:
    from miner.inspect.diff import make_dump
    from miner.inspect.machine import describe_machine
    from miner.inspect.values import make_tracer

    if inputs is None:
        fail("--a must be a backend to make a dump", 2)
    try:
        nodes = {int(text) for text in values.split(",") if text}
    except ValueError:
        fail("--values are node numbers, like 117 or 117,118", 2)
    if any(not 0 <= node < len(graph.nodes) for node in nodes):
        fail(f"--values: the graph has nodes 0 to {len(graph.nodes) - 1}", 2)
    with Progress("executing") as progress:
        made = make_dump(
            graph, inputs, make_tracer(backend), nodes, describe_machine(),
            lambda index: progress.tell(f"executing: node {index + 1} of {len(graph.nodes)}"),
        )  # fmt: skip
    file.write_bytes(made.to_bytes())
    typer.echo(f"{len(made.digests)} digests of step {made.step} by {backend} on {made.machine} in {file}")


def _compare_whole(graph: Graph, inputs: StepInputs | None, sides: list[str | Dump], is_json: bool) -> None:
    from miner.inspect.diff import compare_steps, narrow_step

    left, right = sides
    if inputs is None or not isinstance(left, str) or not isinstance(right, str):
        fail("--whole compares two backends, not dumps", 2)
    with Progress(f"running whole steps by {left} and {right}") as progress:
        wrong = compare_steps(graph, inputs, left, right)
        node = narrow_step(graph, inputs, left, right, progress.tell) if wrong else None
    if is_json:
        typer.echo(json.dumps({"equal": not wrong, "outputs": wrong, "node": node}))
    elif not wrong:
        typer.echo(f"equal: whole steps of {left} and {right} give the same bytes")
    else:
        typer.echo(f"different outputs: {', '.join(wrong[:8])}{' …' if len(wrong) > 8 else ''}")
        if node is None:
            typer.echo("no shorter graph differs: only the plan of the whole graph does")
        else:
            typer.echo(f"the graph cut after node {node} is the shortest that differs: {_format_node(graph, node)}")
    if wrong:
        raise typer.Exit(EXIT_DIFFERENT)


def _format_node(graph: Graph, index: int) -> str:
    node = graph.nodes[index]
    return f"{node.op} {node.dtype}{_format_shape(node.shape)} of {', '.join(str(i) for i in node.inputs)}"


def _report(found: Comparison, a: str, b: str, is_json: bool) -> None:
    if is_json:
        document = None if found.parting is None else asdict(found.parting)
        typer.echo(json.dumps({"equal": document is None, "nodes": found.nodes, "parting": document}))
    elif found.parting is None:
        typer.echo(f"equal: {found.nodes} nodes, the same bytes from {a} and {b}")
    else:
        _print_parting(found.parting, a, b)
    if found.parting is not None:
        raise typer.Exit(EXIT_DIFFERENT)


def _print_parting(parting: Parting, a: str, b: str) -> None:
    attributes = ", ".join(f"{k} {str(v)[:SHOWN_ATTRIBUTE]}" for k, v in parting.attrs.items())
    typer.echo(
        f"different at node {parting.index}: {parting.op} {parting.dtype}{_format_shape(parting.shape)}"
        + (f" ({attributes})" if attributes else "")
    )
    if parting.op == "input":
        typer.echo("  the sides were given different inputs: another --seed, --state or --batch?")
    if parting.refusal:
        typer.echo(f"  {parting.refusal}")
    elif parting.differing is None:
        typer.echo(
            f"  only digests are known; make the dump with --values {parting.index} to see elements, or compare with "
            "another backend here"
        )
    else:
        typer.echo(f"  {parting.differing} of {prod(parting.shape)} elements differ; the first:")
        for side, element in ((a, parting.first_a), (b, parting.first_b)):
            typer.echo(f"    {side}: {_format_element(element)}")
    typer.echo("  operands, the same on both sides:" if parting.operands else "  no operands")
    for operand in parting.operands:
        typer.echo(f"    {_format_operand(operand)}")


def _format_operand(operand: Operand) -> str:
    spread = "" if operand.minimum is None else f", from {operand.minimum:g} to {operand.maximum:g}"
    element = "" if operand.element is None else f"; {_format_element(operand.element)}"
    form = f"{operand.op} {operand.dtype}{_format_shape(operand.shape)}"
    return f"node {operand.node}: {form}, digest {operand.digest}{spread}{element}"


def _format_element(element: Element | None) -> str:
    return "not known" if element is None else f"{list(element.index)} = {element.value!r} ({element.bits})"


def _format_shape(shape: tuple[int, ...] | list[int]) -> str:
    return f"[{', '.join(str(n) for n in shape)}]"
