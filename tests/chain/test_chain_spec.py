"""Chain specs: what is read is written back equal; what is malformed is refused by field."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from chain import chain_spec
from chain.chain_spec import BadSpecField, RawGenesis, RuntimeGenesis, UnreadableSpec
from chain.errors import GenesisRejected

RUNTIME: dict[str, Any] = {
    "name": "Test",
    "id": "test",
    "chainType": "Local",
    "bootNodes": [],
    "protocolId": None,
    "properties": {"ss58Format": 42},
    "genesis": {"runtimeGenesis": {"code": "0x00aa", "patch": {"balances": {"balances": []}}}},
}
RAW = {**RUNTIME, "genesis": {"raw": {"top": {"0x3a636f6465": "0x00aa", "0x01": "0x"}, "childrenDefault": {}}}}


class Builder:
    """A genesis builder that stores what it is given."""

    def genesis_preset(self, preset: str | None) -> bytes | None:
        presets = {None: b'{"a":{"x":1,"y":2},"b":3}', "dev": b'{"a":{"x":7}}'}
        return presets.get(preset)

    def build_genesis(self, config: bytes) -> dict[bytes, bytes]:
        if b"bad" in config:
            raise GenesisRejected("bad")
        return {b"config": config}


def changed(path: str, value: Any, base: dict[str, Any] = RUNTIME) -> dict[str, Any]:
    spec = copy.deepcopy(base)
    *parents, last = path.split("/")
    place = spec
    for name in parents:
        place = place[name]
    place[last] = value
    return spec


def raw_with(children: Any) -> dict[str, Any]:
    """A raw genesis with child tries."""
    return {"raw": {"top": {"0x3a636f6465": "0x00aa"}, "childrenDefault": children}}


CHILDREN = {**RAW, "genesis": raw_with({"0x01": {"0x": "0x02", "0x03": "0x"}, "0x": {}})}


@pytest.mark.parametrize("spec", [RUNTIME, RAW, CHILDREN], ids=["runtime", "raw", "child tries"])
def test_round_trip(spec: dict[str, Any]) -> None:
    parsed = chain_spec.parse_chain_spec(spec)
    assert chain_spec.parse_chain_spec(json.loads(json.dumps(chain_spec.to_json(parsed)))) == parsed
    assert parsed.code == b"\x00\xaa"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("name", "", "name"),
        ("name", "x" * 257, "name"),
        ("id", 5, "id"),
        ("chainType", "Toy", "chainType"),
        ("bootNodes", "x", "bootNodes"),
        ("bootNodes", ["x"] * 257, "bootNodes"),
        ("properties", [], "properties"),
        ("protocolId", 1, "protocolId"),
        ("genesis", None, "genesis"),
        ("genesis", {}, "genesis"),
        ("genesis", {"raw": {}, "runtimeGenesis": {}}, "genesis"),
        ("genesis/runtimeGenesis", 1, "genesis.runtimeGenesis"),
        ("genesis/runtimeGenesis/code", "00aa", "genesis.runtimeGenesis.code"),
        ("genesis/runtimeGenesis/code", "0x0", "genesis.runtimeGenesis.code"),
        ("genesis/runtimeGenesis/code", "0xzz", "genesis.runtimeGenesis.code"),
        ("genesis/runtimeGenesis/code", "0x", "genesis.runtimeGenesis.code"),
        ("genesis/runtimeGenesis/config", {}, "genesis.runtimeGenesis"),
        ("genesis/runtimeGenesis/patch", [], "genesis.runtimeGenesis.patch"),
        ("genesis", {"raw": {"top": []}}, "genesis.raw.top"),
        ("genesis", {"raw": {"top": {"0x01": "0x02"}}}, "genesis.raw.top"),
        ("genesis", {"raw": {"top": {"0x3a636f6465": 1}}}, "genesis.raw.top[0x3a636f6465]"),
        ("genesis", {"raw": {"top": {"code": "0x01"}}}, "genesis.raw.top key"),
        ("genesis", {"raw": {"top": {f"0x{b':child_storage:default:c'.hex()}": "0x"}}}, "genesis.raw.top"),
        ("genesis", raw_with(["0x01"]), "genesis.raw.childrenDefault"),
        ("genesis", raw_with({"0x01": 1}), "genesis.raw.childrenDefault"),
        ("genesis", raw_with({"01": {}}), "genesis.raw.childrenDefault key"),
        ("genesis", raw_with({"0x01": {"0x": "0x0"}}), "genesis.raw.childrenDefault[0x01][0x]"),
    ],
)
def test_bad_field_is_named(path: str, value: Any, field: str) -> None:
    with pytest.raises(BadSpecField) as raised:
        chain_spec.parse_chain_spec(changed(path, value))
    assert raised.value.field == field


def test_unreadable_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "spec.json"
    with pytest.raises(UnreadableSpec):
        chain_spec.read_chain_spec(path)
    for text in ("", "{", "[]", "[" * 100_000, '"x"'):
        path.write_text(text)
        with pytest.raises(UnreadableSpec):
            chain_spec.read_chain_spec(path)
    path.write_text(json.dumps(RUNTIME))
    assert chain_spec.read_chain_spec(path).name == "Test"
    monkeypatch.setattr(chain_spec, "MAX_SPEC_BYTES", path.stat().st_size - 1)
    with pytest.raises(UnreadableSpec, match="at most"):
        chain_spec.read_chain_spec(path)


def test_merge_keeps_replaces_and_removes() -> None:
    base = {"a": {"x": 1, "y": 2}, "b": [1], "c": 1}
    merged = chain_spec.merge_json(base, {"a": {"y": 3, "z": {"n": 1}}, "b": [2], "c": None})
    assert merged == {"a": {"x": 1, "y": 3, "z": {"n": 1}}, "b": [2]}
    assert base == {"a": {"x": 1, "y": 2}, "b": [1], "c": 1}


def test_patch_is_merged_into_the_default_and_config_is_not() -> None:
    patch = chain_spec.preset_spec("dev", b"\x00", Builder())
    assert isinstance(patch.genesis, RuntimeGenesis)
    storage = chain_spec.genesis_storage(patch, Builder())
    assert json.loads(storage[b"config"]) == {"a": {"x": 7, "y": 2}, "b": 3}
    assert storage[chain_spec.CODE_KEY] == b"\x00"
    raw = chain_spec.to_raw(chain_spec.with_overrides(patch, {"b": 4}), Builder())
    assert isinstance(raw.genesis, RawGenesis)
    assert json.loads(raw.genesis.top[b"config"])["b"] == 4
    whole = chain_spec.parse_chain_spec(changed("genesis/runtimeGenesis", {"code": "0x00", "config": {"b": 1}}))
    assert json.loads(chain_spec.genesis_storage(whole, Builder())[b"config"]) == {"b": 1}


def test_refused_genesis_unknown_preset_and_overriding_raw() -> None:
    bad = chain_spec.parse_chain_spec(changed("genesis/runtimeGenesis/patch", {"bad": 1}))
    with pytest.raises(GenesisRejected):
        chain_spec.genesis_storage(bad, Builder())
    with pytest.raises(BadSpecField):
        chain_spec.preset_spec("main", b"\x00", Builder())
    with pytest.raises(BadSpecField):
        chain_spec.with_overrides(chain_spec.parse_chain_spec(RAW), {})
