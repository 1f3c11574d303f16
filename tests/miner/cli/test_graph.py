"""`aipow graph`: what its commands print, as text and as JSON; refusals in one line; exit codes of a diff."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from miner.inspect.dump import VERSION
from miner.models import build_task_graph, initial_state, load_dataset
from miner.store.tensor_file import encode_tensors
from tests.miner.cli.forked import CommandServer
from tests.miner.cli.test_bad_arguments import check_refusal

TINY = "digits-mlp-tiny"
VALUED = next(i for i, node in enumerate(build_task_graph(TINY).nodes) if node.op == "matmul")
"""The node whose whole value the dump holds."""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandServer]:
    with CommandServer(tmp_path_factory.mktemp("commands")) as server:
        yield server


@pytest.fixture(scope="module")
def dump(commands: CommandServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dump of the tiny model's first step by the reference, with one value."""
    file = tmp_path_factory.mktemp("dump") / "dump.json"
    ended = commands.run("aipow", "graph", "diff", TINY, "--a", "reference", "--dump", file, "--values", VALUED)
    assert ended.code == 0 and str(file) in ended.output, ended.errors
    return file


def make_different(dump: Path, folder: Path, node: int) -> Path:
    """The dump as another machine with another value of a node would have written it."""
    document = json.loads(dump.read_text())
    document["digests"][node] = "0" * 32
    document["values"].clear()
    file = folder / f"wrong-{node}.json"
    file.write_text(json.dumps(document))
    return file


def test_show_as_text_and_as_json(commands: CommandServer) -> None:
    graph = build_task_graph(TINY)
    text = commands.run("aipow", "graph", "show", TINY)
    assert text.code == 0, text.errors
    assert f"root 0x{graph.root().hex()}" in text.output and f"{len(graph.nodes)} nodes" in text.output
    document = json.loads(commands.run("aipow", "graph", "show", TINY, "--json").output)
    assert (document["root"], document["macs"]) == (graph.root().hex(), graph.macs())
    assert document["batch"] == {"x": {"dtype": "f32", "shape": [16, 64]}, "y": {"dtype": "i64", "shape": [16]}}
    assert sum(document["ops"].values()) == len(graph.nodes)


def test_cost_as_text_and_as_json(commands: CommandServer) -> None:
    graph = build_task_graph(TINY)
    text = commands.run("aipow", "graph", "cost", TINY)
    assert text.code == 0 and "layers.1" in text.output and "backward" in text.output
    document = json.loads(commands.run("aipow", "graph", "cost", TINY, "--json").output)
    assert document["macs"] == graph.macs() == sum(sum(layer["macs"].values()) for layer in document["layers"])


def test_a_file_is_read_like_a_model(commands: CommandServer, tmp_path: Path) -> None:
    graph, files = build_task_graph(TINY), [tmp_path / name for name in ("graph.json", "state", "batch")]
    files[0].write_bytes(graph.to_bytes())
    assert graph.root().hex() in commands.run("aipow", "graph", "show", files[0]).output
    arguments = ["aipow", "graph", "diff", str(files[0]), "--a", "numpy", "--b", "reference"]
    check_refusal(commands.run(*arguments), "needs its state", "--state FILE")
    files[1].write_bytes(encode_tensors(initial_state(TINY, bytes(32))))
    files[2].write_bytes(encode_tensors(load_dataset(TINY).batch(bytes(32), 0)))
    ended = commands.run(*arguments, "--state", files[1], "--batch", files[2])
    assert ended.code == 0 and f"equal: {len(graph.nodes)} nodes" in ended.output, ended
    files[2].write_bytes(encode_tensors({"x": np.zeros((16, 64), np.float32)}))
    check_refusal(commands.run(*arguments, "--state", files[1], "--batch", files[2]), "batch tensor 'y'", "missing")


def test_equal_backends(commands: CommandServer) -> None:
    for more in ([], ["--whole"]):
        ended = commands.run("aipow", "graph", "diff", TINY, "--a", "numpy", "--b", "reference", *more, "--json")
        assert ended.code == 0 and json.loads(ended.output)["equal"] is True, ended


def test_equal_dump_on_either_side(commands: CommandServer, dump: Path) -> None:
    for sides in (["--a", "numpy", "--b", dump], ["--a", dump, "--b", "numpy"], ["--a", dump, "--b", dump]):
        ended = commands.run("aipow", "graph", "diff", TINY, *sides)
        assert ended.code == 0 and ended.output.startswith("equal"), ended


def test_different_dump_names_node_and_operands(commands: CommandServer, dump: Path, tmp_path: Path) -> None:
    graph = build_task_graph(TINY)
    node = next(i for i, n in enumerate(graph.nodes) if n.op == "matmul")
    wrong = make_different(dump, tmp_path, node)
    for sides in (["--a", "numpy", "--b", wrong], ["--a", wrong, "--b", dump]):
        ended = commands.run("aipow", "graph", "diff", TINY, *sides, "--json")
        assert ended.code == 3, ended
        parting = json.loads(ended.output)["parting"]
        assert (parting["index"], parting["op"]) == (node, "matmul")
        assert [operand["node"] for operand in parting["operands"]] == list(graph.nodes[node].inputs)
    ended = commands.run("aipow", "graph", "diff", TINY, "--a", "numpy", "--b", wrong)
    assert f"different at node {node}: matmul" in ended.output and f"--values {node}" in ended.output


def test_different_value_is_shown_by_element(commands: CommandServer, dump: Path, tmp_path: Path) -> None:
    """The last element has another lowest bit there."""
    document = json.loads(dump.read_text())
    data = bytearray(base64.b64decode(document["values"][str(VALUED)]))
    data[-4] ^= 1
    document["values"][str(VALUED)] = base64.b64encode(data).decode()
    document["digests"][VALUED] = hashlib.blake2b(data, digest_size=16).hexdigest()
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(document))
    ended = commands.run("aipow", "graph", "diff", TINY, "--a", "numpy", "--b", file)
    assert ended.code == 3 and f"different at node {VALUED}" in ended.output and "1 of " in ended.output
    last = [n - 1 for n in build_task_graph(TINY).nodes[VALUED].shape]
    assert ended.output.count(f"{last} = ") == 2, ended.output
    document["digests"][VALUED] = "0" * 32
    file.write_text(json.dumps(document))
    check_refusal(commands.run("aipow", "graph", "diff", TINY, "--a", "numpy", "--b", file), "another digest")


def test_other_inputs_are_told_from_wrong_kernels(commands: CommandServer, dump: Path) -> None:
    ended = commands.run("aipow", "graph", "diff", TINY, "--a", "numpy", "--b", dump, "--seed", "11" * 32)
    assert ended.code == 3 and "different inputs" in ended.output


@pytest.mark.parametrize(
    ("arguments", "wanted", "code"),
    [
        (["diff", TINY], "--dump FILE", 2),
        (["diff", TINY, "--a", "numpy", "--b", "abacus"], "abacus", 1),
        (["diff", TINY, "--a", "numpy", "--b", "reference", "--seed", "12"], "64 hexadecimal digits", 2),
        (["diff", TINY, "--a", "numpy", "--dump", "out.json", "--values", "x"], "node numbers", 2),
        (["diff", TINY, "--a", "numpy", "--dump", "out.json", "--values", "9999"], "the graph has nodes 0 to", 2),
    ],
)
def test_refusals(commands: CommandServer, arguments: list[str], wanted: str, code: int) -> None:
    check_refusal(commands.run("aipow", "graph", *arguments), wanted, code=code)


def test_files_that_are_no_graph_and_no_dump(commands: CommandServer, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("{}")
    for command in ("show", "cost"):
        check_refusal(commands.run("aipow", "graph", command, file), 'a graph is {"nodes"')
    check_refusal(commands.run("aipow", "graph", "diff", TINY, "--a", "numpy", "--b", file), f"version {VERSION}")


def test_a_dump_of_another_step(commands: CommandServer, dump: Path) -> None:
    ended = commands.run("aipow", "graph", "diff", TINY, "--a", "numpy", "--b", dump, "--step", "3")
    check_refusal(ended, "of step 0", "--step 0")
