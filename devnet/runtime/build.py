"""Builds the runtime's Wasm blob, or checks that the committed blob belongs to the sources beside it.

    python devnet/runtime/build.py            # build, write blob/ (needs Rust; a cold build takes about 5 minutes)
    python devnet/runtime/build.py --check    # exit code 1 unless blob/SOURCES.blake2 matches the tree (needs no Rust)

With rustup's `wasm32v1-none` target installed the ordinary toolchain is used; otherwise Debian's packages `rustc-web
cargo-web rust-web-src lld-22`, which bring their own sources of `core` and `alloc`. The blob is what a Substrate chain
spec holds as `:code`: the magic prefix 52bc537646db8e05, then the Wasm module compressed with zstd.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
BLOB = HERE / "blob" / "aipow_runtime.compact.compressed.wasm"
DIGEST = HERE / "blob" / "SOURCES.blake2"
COMPRESSED_MAGIC = bytes.fromhex("52bc537646db8e05")
"""First bytes of a compressed blob (Substrate `sp-maybe-compressed-blob`, ZSTD_PREFIX)."""
MAX_BLOB_BYTES = 4 * 2**20
"""Upper bound on the blob file, 4 MiB (= 4,194,304): far above what it should be; a debug build does not fit."""
TARGET = "wasm32v1-none"


class BuildError(Exception):
    """The blob could not be built; the message says what to install or repair."""


@dataclass(frozen=True)
class Toolchain:
    """One way to compile for `wasm32v1-none`: programs, extra arguments of cargo, extra flags of rustc."""

    name: str
    cargo: str
    rustc: str
    cargo_args: tuple[str, ...]
    rust_flags: tuple[str, ...]
    bootstrap: bool


TEST_PATHS = frozenset({"mock.rs", "tests.rs", "tests"})
"""Files and folders compiled only for `cargo test`; they do not reach the blob, so the digest leaves them out."""


def source_files(root: Path = HERE) -> Iterator[Path]:
    """All files that decide the blob, sorted: lock, manifests, Rust sources without tests, and this script."""
    names = {root / "Cargo.lock", root / "Cargo.toml", root / "build.py"}
    for folder in ("runtime", "exact", "pallets"):
        names.update((root / folder).rglob("Cargo.toml"))
        names.update((root / folder).rglob("*.rs"))
    return iter(sorted(path for path in names if TEST_PATHS.isdisjoint(path.relative_to(root).parts)))


def sources_digest(root: Path = HERE) -> str:
    """Hex BLAKE2b-256 over (relative path, length, bytes) of all source files; equal trees give equal digests."""
    digest = hashlib.blake2b(digest_size=32)
    for path in source_files(root):
        name, data = path.relative_to(root).as_posix().encode(), path.read_bytes()
        for part in (name, data):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return digest.hexdigest()


def blob_digest(blob: Path = BLOB) -> str:
    """Hex BLAKE2b-256 of the blob file; `OSError` if there is none."""
    return hashlib.blake2b(blob.read_bytes(), digest_size=32).hexdigest()


def digest_text(root: Path = HERE, blob: Path = BLOB) -> str:
    """What `SOURCES.blake2` must contain: the digest of the sources, then that of the blob built from them."""
    return f"{sources_digest(root)}  sources\n{blob_digest(blob)}  {blob.name}\n"


def is_current() -> bool:
    """Whether the committed blob was built from exactly the sources in the tree."""
    try:
        return DIGEST.read_text() == digest_text()
    except OSError:
        return False


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def find_toolchain() -> Toolchain:
    """rustup's target if it is installed, else Debian's packages; `BuildError` if neither is there."""
    cargo, rustc = shutil.which("cargo"), shutil.which("rustc")
    if cargo and rustc and TARGET in _output("rustup", "target", "list", "--installed").split():
        return Toolchain("rustup", cargo, rustc, (), (), bootstrap=False)
    linkers = [found for name in ("wasm-ld", "wasm-ld-22") if (found := shutil.which(name))]
    web_cargo, web_rustc = Path("/usr/bin/cargo"), Path("/usr/bin/rustc")
    if linkers and web_cargo.exists() and web_rustc.exists():
        flags = ("-C", f"linker={linkers[0]}", "-C", "linker-flavor=wasm-ld")
        std = ("-Zbuild-std=core,alloc",)
        return Toolchain("Debian", str(web_cargo), str(web_rustc), std, flags, bootstrap=True)
    raise BuildError(
        f"no Rust toolchain for {TARGET}: run `rustup target add {TARGET}`, "
        "or on Debian `apt-get install rustc-web cargo-web rust-web-src lld-22`"
    )


def rust_flags(toolchain: Toolchain) -> list[str]:
    """Flags of rustc: what a Substrate runtime needs, and no path of the building machine in the blob."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    sysroot = Path(_output(toolchain.rustc, "--print", "sysroot") or "/usr")
    renamed = {str(path): "/crates" for path in sorted((home / "registry" / "src").glob("*"))}
    library = sysroot / "lib" / "rustlib" / "src" / "rust"
    renamed |= {str(HERE): "/aipow", str(library): "/rust", str(library.resolve()): "/rust"}
    flags = ["-C", "target-cpu=mvp", "-C", "link-arg=--import-memory", "-C", "link-arg=--export-table"]
    flags += ["-C", "link-arg=-zstack-size=1048576", "--cfg", "substrate_runtime", *toolchain.rust_flags]
    return flags + [f"--remap-path-prefix={path}={name}" for path, name in renamed.items()]


def compile_wasm() -> bytes:
    """Runs cargo (locked) and returns the bytes of the module; `BuildError` with cargo's exit code on failure."""
    toolchain = find_toolchain()
    target_dir = Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    environment = dict(os.environ, RUSTC=toolchain.rustc, CARGO_TARGET_DIR=str(target_dir))
    subprocess.run([toolchain.cargo, "fetch", "--locked"], cwd=HERE, env=environment, check=False)
    environment["CARGO_ENCODED_RUSTFLAGS"] = "\x1f".join(rust_flags(toolchain))
    if toolchain.bootstrap:
        environment["RUSTC_BOOTSTRAP"] = "1"
    command = [toolchain.cargo, "build", "--locked", "--release", "--target", TARGET, "--package", "aipow-runtime"]
    command += ["--no-default-features", *toolchain.cargo_args]
    print(f"building with {toolchain.name}: {' '.join(command)}", flush=True)
    done = subprocess.run(command, cwd=HERE, env=environment, check=False)
    if done.returncode != 0:
        raise BuildError(f"cargo ended with exit code {done.returncode}; its messages are above")
    return (target_dir / TARGET / "release" / "aipow_runtime.wasm").read_bytes()


def compress(module: bytes) -> bytes:
    """The blob of a module: magic prefix and zstd frame; `BuildError` above `MAX_BLOB_BYTES`."""
    import zstandard

    blob = COMPRESSED_MAGIC + zstandard.ZstdCompressor(level=19, write_content_size=True).compress(module)
    if len(blob) > MAX_BLOB_BYTES:
        raise BuildError(f"the blob has {len(blob):,} bytes, more than {MAX_BLOB_BYTES:,}: was it a debug build?")
    return blob


def build() -> None:
    """Compiles, compresses and writes blob and digest."""
    module = compile_wasm()
    blob = compress(module)
    BLOB.parent.mkdir(exist_ok=True)
    BLOB.write_bytes(blob)
    DIGEST.write_text(digest_text())
    print(f"{BLOB.relative_to(HERE)}: {len(module):,} bytes of Wasm, {len(blob):,} compressed")


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the runtime's Wasm blob, or check that it is current.")
    parser.add_argument("--check", action="store_true", help="only compare blob/SOURCES.blake2 with the tree")
    if parser.parse_args(arguments).check:
        if is_current():
            print("the blob is current")
            return 0
        print("the blob is not that of these sources: run `python devnet/runtime/build.py`", file=sys.stderr)
        return 1
    try:
        build()
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
