"""Makes `state/proofs.json`: `python -m tests.vectors.state_proofs` from the repository's root (format: README.md).

States with child tries of both versions, their roots and proofs, by our trie; `sp-state-machine` reads them in Rust.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from chain.runtime.genesis import compute_genesis_state
from chain.state.view import CHILD_ROOT_PREFIX
from chain.trie import StateVersion, create_child_proof, create_proof

PATH = Path(__file__).parent / "state" / "proofs.json"
Pairs = dict[bytes, bytes]


def states() -> dict[str, tuple[Pairs, dict[bytes, Pairs]]]:
    """Main and child tries by name: every kind of node, values about the 32 bytes from which they are hashed."""
    draw = random.Random(2_026)
    about_limit = {bytes([i]) * 3: bytes([i]) * i for i in range(28, 40)}
    nested = {b"a" * i: b"%d" % i * (i * 5) for i in range(12)}
    sizes = (0, 1, 31, 32, 33, 90)
    crowded = {draw.randbytes(draw.randint(1, 6)): draw.randbytes(draw.choice(sizes)) for _ in range(120)}
    long_key = {b"k" * 40: b"v", b"k" * 80: b"w" * 50, b"k" * 200: b"leaf"}
    return {
        "one key": ({b"key": b"value"}, {}),
        "values about the limit": (about_limit, {}),
        "keys within keys": (nested, {b"child": nested}),
        "long keys": (long_key, {b"": long_key}),
        "crowded": (crowded, {b"crowd": crowded, b"one": {b"": b"x" * 33}, b"empty": {}}),
    }


def _hex_pairs(pairs: Pairs) -> dict[str, str]:
    return {key.hex(): value.hex() for key, value in sorted(pairs.items())}


def _proof(proof: list[bytes], values: dict[bytes, bytes | None]) -> dict[str, Any]:
    return {
        "values": {key.hex(): None if value is None else value.hex() for key, value in values.items()},
        "nodes": sorted(node.hex() for node in proof),
    }


def _vector(name: str, main: Pairs, children: dict[bytes, Pairs], version: StateVersion) -> dict[str, Any]:
    update = compute_genesis_state(main, children, version)
    keys = [*sorted(main)[::5], b"absent"]
    proofs = [_proof(create_proof(update.nodes, update.root, keys), {key: main.get(key) for key in keys})]
    child_proofs = []
    for child, pairs in {**children, b"no such child": Pairs()}.items():
        wanted = [*sorted(pairs)[::7], b"absent"]
        nodes = create_child_proof(update.nodes, update.root, CHILD_ROOT_PREFIX + child, wanted)
        child_proofs.append({"child": child.hex(), **_proof(nodes, {key: pairs.get(key) for key in wanted})})
    return {
        "name": name,
        "version": int(version),
        "main": _hex_pairs(main),
        "children": {child.hex(): _hex_pairs(pairs) for child, pairs in children.items()},
        "root": update.root.hex(),
        "proofs": proofs,
        "child_proofs": child_proofs,
    }


def compute_text() -> str:
    """The file's exact text."""
    made = states().items()
    vectors = [_vector(name, main, children, version) for name, (main, children) in made for version in StateVersion]
    return json.dumps({"generated_by": "python -m tests.vectors.state_proofs", "states": vectors}, indent=1) + "\n"


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(compute_text())
