"""Fuzz of what an operator's folder holds: chain specs, secret URIs, keystore and node key files."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from chain.blockchain import Blockchain
from chain.chain_spec import (
    MAX_SPEC_BYTES,
    ChainSpec,
    ChainSpecError,
    RawGenesis,
    genesis_storage,
    merge_json,
    parse_chain_spec,
    read_chain_spec,
    to_json,
    with_overrides,
)
from chain.identity import NODE_KEY_FILE, BadNodeKey, BadSecretUri, ed25519_from_uri, load_node_key, sr25519_from_uri
from chain.keystore import Keystore, KeystoreError
from chain.open_chain import load_chain_spec
from chain.runtime.genesis import GenesisCalls
from tests.chain.devchain import DevChain, executor
from tests.chain.node_process import NodeProcess
from tests.fuzz import Target, make_tests

ALICE = sr25519_from_uri("//Alice")
SPEC: dict[str, Any] = {
    "name": "Test", "id": "test", "chainType": "Local", "bootNodes": ["/ip4/1.2.3.4/tcp/1/p2p/x"], "protocolId": "p",
    "properties": {"ss58Format": 42}, "genesis": {"runtimeGenesis": {"code": "0x00aa", "patch": {"a": {"b": [1]}}}},
}  # fmt: skip
RAW = {**SPEC, "genesis": {"raw": {"top": {"0x3a636f6465": "0x00aa", "0x01": "0x"}, "childrenDefault": {}}}}


def read_spec(data: bytes) -> ChainSpec:
    """A spec file of these bytes; its genesis takes overrides and is written back to an equal spec."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.json"
        path.write_bytes(data)
        spec = read_chain_spec(path)
    if not isinstance(spec.genesis, RawGenesis):
        with_overrides(spec, spec.genesis.config)
        merge_json({}, spec.genesis.config)
    return spec


def deep(depth: int) -> bytes:
    """A spec whose patch is so deep."""
    return json.dumps(SPEC).replace('{"b": [1]}', '{"a":' * depth + "1" + "}" * depth).encode()


def derive(data: bytes) -> None:
    """Keys of a secret URI, as JSON text (so that any characters can stand in it)."""
    try:
        uri = json.loads(data)
    except ValueError as error:
        raise BadSecretUri("no text") from error
    if not isinstance(uri, str):
        raise BadSecretUri("no text")
    sr25519_from_uri(uri)
    ed25519_from_uri(uri)


def read_key_file(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / ("61757261" + ALICE.public.hex())).write_bytes(data)
        assert Keystore(Path(folder)).has(b"aura", ALICE.public)


def read_node_key(data: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / NODE_KEY_FILE).write_bytes(data)
        return load_node_key(Path(folder)).seed


URIS = ("//Alice", "//Bob//stash", "0x" + "12" * 32 + "//1", "//Alice///pw")
TARGETS = [
    Target("chain spec", read_spec, (ChainSpecError,),
           (json.dumps(SPEC).encode(), json.dumps(RAW).encode(), deep(60)),
           lambda spec: json.dumps(to_json(spec)).encode(), is_exact=False, bombs=(
               deep(500), deep(900), deep(100_000), b"[" * (1 << 20),
               b"[" + b"[]," * ((MAX_SPEC_BYTES - 4) // 3) + b"[]]",
           )),
    Target("secret uri", derive, (BadSecretUri,), tuple(json.dumps(uri).encode() for uri in URIS),
           bombs=(b'"//' + b"a" * (1 << 20) + b'"', b'"' + b"/a" * 500 + b'"', b'"' + b"a " * 500 + b'"')),
    Target("keystore file", read_key_file, (KeystoreError,), (b'"//Alice"',), bombs=(b"[" * 4_096, b'"' * (1 << 20))),
    Target("node key", read_node_key, (BadNodeKey,), (b"12" * 32,), lambda seed: seed.hex().encode(), is_exact=False),
]  # fmt: skip
test_fuzz, test_fuzz_long, test_bombs, test_corpus = make_tests(TARGETS)


@pytest.mark.parametrize("key", ["0x 01", "0x01\n", "0x0 1"])
def test_blanks_in_hex_are_refused(key: str) -> None:
    top = {**RAW["genesis"]["raw"]["top"], key: "0x00"}
    with pytest.raises(ChainSpecError, match="hex"):
        parse_chain_spec({**RAW, "genesis": {"raw": {"top": top}}})


def test_a_key_that_stands_twice_in_a_raw_genesis_is_refused() -> None:
    top = {**RAW["genesis"]["raw"]["top"], "0xaa": "0x00", "0xAA": "0x01"}
    with pytest.raises(ChainSpecError, match="twice"):
        parse_chain_spec({**RAW, "genesis": {"raw": {"top": top}}})


def test_a_node_killed_while_it_makes_its_key_starts_again(tmp_path: Path) -> None:
    (tmp_path / (NODE_KEY_FILE + ".new")).write_text("12")  # what was written so far
    key = load_node_key(tmp_path)
    assert load_node_key(tmp_path) == key


def test_a_folder_of_another_chain_is_refused_with_both_hashes(tmp_path: Path) -> None:
    dev = DevChain(tmp_path / "node" / "db")
    before, ours = dev.snapshot(), dev.chain.genesis_hash
    dev.chain.close()
    node = NodeProcess(tmp_path / "node", chain="local")
    done = subprocess.run(node.arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    spec = load_chain_spec("local")
    theirs = Blockchain.open(tmp_path / "other", genesis_storage(spec, GenesisCalls(executor()))).genesis_hash
    assert f"genesis 0x{ours.hex()}, the chain spec gives 0x{theirs.hex()}" in done.stderr
    dev.reopen()
    assert dev.snapshot() == before
