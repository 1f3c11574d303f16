"""Generates the typed ABI: one module per pallet and one for the runtime's APIs, from the metadata
of the committed runtime blob.

`python -m pallets_abi.generate` writes the modules beside this file; `--check` compares and exits 1 on a difference.
"""

from __future__ import annotations

import argparse
import keyword
import re
import subprocess
import sys
from pathlib import Path

from pallets_abi.metadata import (
    ApiInfo,
    ConstantInfo,
    Metadata,
    MetadataError,
    PalletInfo,
    StorageInfo,
    TypeInfo,
    VariantInfo,
    parse_metadata,
)

FOLDER = Path(__file__).parent
COMMAND = "python -m pallets_abi.generate"
LINE = 120
"""Longest line of a generated module."""

_TRANSPARENT = {"BoundedVec", "WeakBoundedVec", "BoundedSlice", "Perbill", "Permill", "Percent", "Slot", "SlotDuration"}
"""Wrappers that substrate-interface shows as what they wrap."""


def to_snake(name: str) -> str:
    """`BlockRights` -> `block_rights`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def to_pascal(name: str) -> str:
    """`withdraw_unbonded` -> `WithdrawUnbonded`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def safe_name(name: str) -> str:
    """A Python identifier for an on-chain one."""
    return name + "_" if keyword.iskeyword(name) else name


class Generator:
    """Renders the modules of one metadata; `modules` maps file names to their text."""

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        self.crates = {"pallet_" + to_snake(pallet.name): to_snake(pallet.name) for pallet in metadata.pallets}
        self.own = {
            "pallet_" + to_snake(pallet.name) for pallet in metadata.pallets if pallet.index >= FIRST_OWN_PALLET
        }

    def modules(self) -> dict[str, str]:
        """All generated files: one per pallet and `registry.py`."""
        files = {to_snake(pallet.name) + ".py": self._module(pallet) for pallet in self.metadata.pallets}
        files["runtime_apis.py"] = self._runtime_apis()
        files["registry.py"] = self._registry()
        return files

    def _begin(self, module: str) -> None:
        self._imports: dict[str, set[str]] = {}
        self._here = module
        self._emitted: list[str] = []
        self._done: set[int] = set()

    def _module(self, pallet: PalletInfo) -> str:
        self._begin(to_snake(pallet.name))
        for call in self.metadata.variants_of(pallet.calls):
            self._emitted.append(self._class(pallet.name, call, "Call"))
        for event in self.metadata.variants_of(pallet.events):
            self._emitted.append(self._class(pallet.name, event, "Event"))
        errors = self._errors(pallet)
        storage = [self._storage(pallet.name, item) for item in pallet.storage]
        storage += [self._constant(pallet, constant) for constant in pallet.constants]
        body = "\n\n\n".join([*self._emitted, *([errors] if errors else [])])
        items = "\n\n".join(storage)
        parts = [self._head(f"Pallet {pallet.name} (index {pallet.index})."), body, items]
        return "\n\n\n".join(part for part in parts if part) + "\n"

    def _head(self, title: str) -> str:
        lines = [f'"""{title}', "", f"Generated from the runtime's metadata by `{COMMAND}`; do not edit.", '"""', ""]
        lines += [
            "# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports", "",
            "from __future__ import annotations", "", "from dataclasses import dataclass", "from enum import StrEnum",
        ]  # fmt: skip
        lines += ["from typing import Any, ClassVar", ""]
        base = "AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant"
        lines += [f"from pallets_abi.base import {base}"]
        for module, names in sorted(self._imports.items()):
            lines.append(f"from pallets_abi.{module} import {', '.join(sorted(names))}")
        return "\n".join(lines)

    def _class(self, pallet: str, variant: VariantInfo, base: str) -> str:
        label = "FUNCTION" if base == "Call" else "NAME"
        lines = ["@dataclass(frozen=True)", f"class {to_pascal(variant.name)}{base}({base}):"]
        lines += _docstring(variant.docs or (f"{pallet}.{variant.name}.",))
        lines += ["", f'    PALLET: ClassVar[str] = "{pallet}"', f'    {label}: ClassVar[str] = "{variant.name}"']
        lines += self._fields(variant.fields)
        return "\n".join(lines)

    def _fields(self, fields: tuple[object, ...]) -> list[str]:
        lines: list[str] = []
        for position, field in enumerate(fields):
            name = safe_name(getattr(field, "name", "") or f"value_{position}")
            lines.append(f"    {name}: {self._python_type(getattr(field, 'type_id', 0))}")
            docs = getattr(field, "docs", ())
            if docs:
                lines += _docstring(docs)
        return [""] + lines if lines else []

    def _errors(self, pallet: PalletInfo) -> str:
        errors = self.metadata.variants_of(pallet.errors)
        if not errors:
            return ""
        lines = [f"class {pallet.name}Error(StrEnum):", f'    """Errors of the calls of pallet {pallet.name}."""']
        for error in errors:
            lines += ["", f'    {safe_name(to_snake(error.name)).upper()} = "{error.name}"']
            lines += _docstring(error.docs or (error.name,))
        return "\n".join(lines)

    def _storage(self, pallet: str, item: StorageInfo) -> str:
        keys = [self._python_type(key) for key in item.keys]
        value = self._python_type(item.value)
        shown = f"{value} | None" if item.optional else value
        name = safe_name(to_snake(item.name)).upper()
        key_tuple = "(" + "".join(f"{key}, " for key in keys).rstrip() + ")"
        arguments = f'"{pallet}", "{item.name}", {key_tuple}, {value}, {item.optional}'
        text = f"{name}: StorageItem[{shown}] = StorageItem({arguments})"
        return "\n".join([text, *(line[4:] for line in _docstring(item.docs or (f"{pallet}.{item.name}.",)))])

    def _constant(self, pallet: PalletInfo, constant: ConstantInfo) -> str:
        kind, name = self._python_type(constant.type_id), safe_name(to_snake(constant.name)).upper()
        if constant.name in {item.name for item in pallet.storage}:
            name += "_CONSTANT"
        text = f'{name}: Constant[{kind}] = Constant("{pallet.name}", "{constant.name}", {kind})'
        docs = _docstring(constant.docs or (f"{pallet.name}.{constant.name}.",))
        return "\n".join([text, *(line[4:] for line in docs)])

    def _runtime_apis(self) -> str:
        self._begin("runtime_apis")
        classes = [self._api(api) for api in self.metadata.apis]
        return "\n\n\n".join([self._head("The runtime's APIs."), *classes]) + "\n"

    def _api(self, api: ApiInfo) -> str:
        lines = [f"class {api.name}:", *_docstring(api.docs or (f"Runtime API {api.name}.",))]
        for method in api.methods:
            result, name = self._python_type(method.output), safe_name(to_snake(method.name)).upper()
            arguments = "".join(f'("{field.name}", {self._python_type(field.type_id)}), ' for field in method.inputs)
            lines += ["", f"    {name}: ClassVar[RuntimeCall[{result}]] = RuntimeCall("]
            lines += [f'        "{api.name}", "{method.name}", ({arguments.rstrip()}), {result}', "    )"]
            lines += _docstring(method.docs or (f"{api.name}_{method.name}.",))
        return "\n".join(lines)

    def _python_type(self, type_id: int) -> str:
        info = self.metadata.types[type_id]
        if info.kind == "primitive":
            return {"bool": "bool", "str": "str", "char": "str"}.get(str(info.definition).lower(), "int")
        if info.kind == "compact":
            return self._python_type(info.definition["type"])
        if info.kind == "array":
            element = info.definition["type"]
            return "Hash" if self._is_u8(element) else f"list[{self._python_type(element)}]"
        if info.kind == "sequence":
            inner = info.definition["type"]
            return "bytes" if self._is_u8(inner) else f"list[{self._python_type(inner)}]"
        if info.kind == "tuple":
            parts = [self._python_type(part) for part in info.definition]
            return f"tuple[{', '.join(parts)}]" if parts else "None"
        return self._named_type(type_id, info)

    def _is_u8(self, type_id: int) -> bool:
        info = self.metadata.types[type_id]
        return info.kind == "primitive" and str(info.definition).lower() == "u8"

    def _named_type(self, type_id: int, info: TypeInfo) -> str:
        name = info.path[-1] if info.path else ""
        if name == "AccountId32":
            return "AccountId"
        if name in ("H256", "H160", "H512") or (name == "Public" and len(info.fields) == 1):
            return "Hash"
        if name in _TRANSPARENT and len(info.fields) == 1:
            return self._python_type(info.fields[0].type_id)
        if name == "Option" and info.kind == "variant":
            inner = next(variant for variant in info.variants if variant.name == "Some").fields[0]
            kind = self._python_type(inner.type_id)
            return "None" if kind == "None" else f"{kind} | None"
        if info.path and info.path[0] in self.own and name not in ("Call", "Event", "Error"):
            return self._own_type(type_id, info)
        return "Any"

    def _own_type(self, type_id: int, info: TypeInfo) -> str:
        module, name = self.crates[info.path[0]], info.path[-1]
        if module != self._here:
            self._imports.setdefault(module, set()).add(name)
        elif type_id not in self._done:
            self._done.add(type_id)
            self._emitted.append(self._definition(name, info))
        return name

    def _definition(self, name: str, info: TypeInfo) -> str:
        """Text of a type of one of our pallets; what it needs is emitted before it."""
        docs = _docstring(info.docs or (f"{'::'.join(info.path)}.",))
        if info.kind == "composite":
            fields = self._fields(info.fields)
            return "\n".join(["@dataclass(frozen=True)", f"class {name}:", *docs, *fields])
        if all(not variant.fields for variant in info.variants):
            lines = [f"class {name}(StrEnum):", *docs]
            for variant in info.variants:
                lines += ["", f'    {safe_name(to_snake(variant.name)).upper()} = "{variant.name}"']
                lines += _docstring(variant.docs) if variant.docs else []
            return "\n".join(lines)
        kinds, names = [], []
        for variant in info.variants:
            types = "".join(self._python_type(field.type_id) + ", " for field in variant.fields).rstrip()
            kinds.append(f'        "{variant.name}": ({types}),')
            if variant.fields and all(field.name for field in variant.fields):
                listed = "".join(f'"{field.name}", ' for field in variant.fields).rstrip()
                names.append(f'        "{variant.name}": ({listed}),')
        lines = ["@dataclass(frozen=True)", f"class {name}(Variant):", *docs]
        lines += ["", "    VARIANTS: ClassVar[dict[str, tuple[Any, ...]]] = {", *kinds, "    }"]
        lines += ["    FIELDS: ClassVar[dict[str, tuple[str, ...]]] = {", *names, "    }"] if names else []
        return "\n".join(lines)

    def _registry(self) -> str:
        lines = ['"""Every event and call class by its on-chain name.', ""]
        lines += [f"Generated from the runtime's metadata by `{COMMAND}`; do not edit.", '"""', ""]
        lines += ["# ruff: noqa: F401, I001", "", "from __future__ import annotations", ""]
        names = sorted(to_snake(pallet.name) for pallet in self.metadata.pallets)
        lines += ["from pallets_abi import (", *(f"    {name}," for name in names), ")"]
        lines += ["from pallets_abi.base import Call, Event", ""]
        for label, base in (("EVENTS", "Event"), ("CALLS", "Call")):
            lines += [f"{label}: dict[tuple[str, str], type[{base}]] = {{"]
            for pallet in self.metadata.pallets:
                enum = pallet.events if base == "Event" else pallet.calls
                for variant in self.metadata.variants_of(enum):
                    target = f"{to_snake(pallet.name)}.{to_pascal(variant.name)}{base}"
                    lines.append(f'    ("{pallet.name}", "{variant.name}"): {target},')
            lines += ["}", f'"""{base} classes by (pallet, name)."""', ""]
        return "\n".join(lines).rstrip() + "\n"


FIRST_OWN_PALLET = 10
"""Pallets from this index on are ours (docs/protocol.md); their types get classes, those of others are `Any`."""


def _docstring(docs: tuple[str, ...]) -> list[str]:
    lines = [line.replace("\\", "\\\\").replace('"""', "'''").rstrip() for line in docs]
    lines = [line[1:] if line.startswith(" ") else line for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    if not lines:
        return []
    if lines[-1].endswith('"'):
        lines[-1] += " "
    text = ['    """' + lines[0], *("    " + line if line else "" for line in lines[1:])]
    return [*text[:-1], text[-1] + '"""'] if len(text) == 1 else [*text, '    """']


def read_blob_metadata() -> bytes:
    """Metadata V15 of the committed blob, as it gives it itself, run by the chain client's executor.

    In a process of its own: `pallets_abi` imports nothing of the other packages. Raises MetadataError.
    """
    command = [sys.executable, "-m", "chain.runtime.metadata"]
    done = subprocess.run(command, capture_output=True, check=False, cwd=FOLDER.parent)
    if done.returncode:
        raise MetadataError(f"{' '.join(command)} failed: {done.stderr.decode(errors='replace')[-500:]}")
    return done.stdout


def compare(files: dict[str, str], folder: Path = FOLDER) -> list[str]:
    """Names of files that differ from what the metadata gives."""
    return [name for name, text in files.items() if not (folder / name).exists() or (folder / name).read_text() != text]


def main() -> int:
    """The command; exit code 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit code 1 on a difference")
    parser.add_argument("--metadata", type=Path, help="file with metadata V15 instead of the committed blob")
    options = parser.parse_args()
    data = options.metadata.read_bytes() if options.metadata else read_blob_metadata()
    files = Generator(parse_metadata(data)).modules()
    different = compare(files)
    if options.check:
        for name in different:
            print(f"pallets_abi/{name} differs from the blob's metadata; run {COMMAND}", file=sys.stderr)
        return 1 if different else 0
    for name in different:
        (FOLDER / name).write_text(files[name])
        print(f"wrote pallets_abi/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
