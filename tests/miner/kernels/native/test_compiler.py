"""Finding a compiler, compiling, and the cache: what a missing, broken or hanging compiler and bad files do."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
from pathlib import Path

import pytest

from miner.kernels.native import cache, compiler
from miner.kernels.native.compiler import compile_library, find_compiler
from miner.kernels.native.errors import CacheUnusable, CompilationFailed, CompilerMissing

SOURCE = {"answer.c": '#include "answer.h"\nint answer(void) { return ANSWER; }\n', "answer.h": "#define ANSWER 42\n"}

pytestmark = pytest.mark.skipif(not any(map(shutil.which, compiler.CANDIDATES)), reason="no C compiler")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("AIPOW_KERNEL_CACHE", str(tmp_path / "kernels"))
    monkeypatch.delenv("AIPOW_CC", raising=False)
    find_compiler.cache_clear()
    yield tmp_path / "kernels"
    find_compiler.cache_clear()


def make_compiler(path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that is a shell script; ``$REAL`` is the machine's own."""
    real = find_compiler()[0]
    path.write_text(f"#!/bin/sh\nREAL={real}\n{script}\n")
    path.chmod(0o700)
    monkeypatch.setenv("AIPOW_CC", str(path))
    find_compiler.cache_clear()


def libraries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.so"))


def test_compiles_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_compiler(tmp_path / "cc", f'echo x >> {tmp_path}/calls; exec $REAL "$@"', monkeypatch)
    assert compile_library(SOURCE).answer() == 42
    assert compile_library(SOURCE).answer() == 42
    assert (tmp_path / "calls").read_text().count("x") == 3  # the version, one compilation, its link
    assert len(libraries(folder)) == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_other_sources_other_library(folder: Path) -> None:
    compile_library(SOURCE)
    assert compile_library(SOURCE | {"answer.h": "#define ANSWER 43\n"}).answer() == 43
    assert len(libraries(folder)) == 2


def test_ziglang_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ziglang")
    monkeypatch.setattr(compiler, "CANDIDATES", ("no-such-compiler",))
    assert find_compiler() == (sys.executable, "-m", "ziglang", "cc")
    assert compile_library(SOURCE).answer() == 42


def test_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "CANDIDATES", ("no-such-compiler",))
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CompilerMissing, match="AIPOW_CC"):
        compile_library(SOURCE)


def test_named_compiler_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPOW_CC", "no-such-compiler -O9")
    with pytest.raises(CompilerMissing, match="no-such-compiler"):
        compile_library(SOURCE)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo broken >&2; exit 3", "exit code 3"),
        (
            '[ "$1" = --version ] && exec $REAL "$@"; echo internal compiler error >&2; exit 4',
            "internal compiler error",
        ),
        ('[ "$1" = --version ] && exec $REAL "$@"; exit 0', "no library"),
        ('[ "$1" = --version ] && exec $REAL "$@"; echo junk > made.so', "cannot be loaded"),
    ],
)
def test_broken_compiler(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, problem: str
) -> None:
    make_compiler(tmp_path / "cc", script, monkeypatch)
    with pytest.raises(CompilationFailed, match=problem):
        compile_library(SOURCE)
    assert not list(folder.glob("build-*"))


def test_syntax_error_leaves_nothing(folder: Path) -> None:
    with pytest.raises(CompilationFailed, match="error"):
        compile_library({"wrong.c": "int f( {"})
    assert [p.name for p in folder.iterdir()] == ["lock"]


def test_hanging_compiler_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "TIME_LIMIT", 0.3)
    script = f'[ "$1" = --version ] && exec $REAL "$@"; sleep 600 & echo $! > {tmp_path}/child; wait'
    make_compiler(tmp_path / "cc", script, monkeypatch)
    with pytest.raises(CompilationFailed, match="not done after"):
        compile_library(SOURCE)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        status = Path(f"/proc/{child}/stat")
        if not status.exists() or status.read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the compiler's child still runs")


@pytest.mark.parametrize("damage", [b"", b"junk", None])
def test_damaged_library_is_made_again(folder: Path, damage: bytes | None) -> None:
    compile_library(SOURCE)
    library = libraries(folder)[0]
    data = library.read_bytes()
    library.unlink()  # this process has the old file mapped
    library.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if damage is None else damage)
    assert compile_library(SOURCE).answer() == 42
    assert compiler.compute_digest(library.stem, library.read_bytes()) == library.with_suffix(".digest").read_text()


def test_library_of_other_sources_is_not_taken(folder: Path) -> None:
    compile_library(SOURCE)
    compile_library(SOURCE | {"answer.h": "#define ANSWER 43\n"})
    keys = {answer: compiler.compute_key(SOURCE | {"answer.h": f"#define ANSWER {answer}\n"}, find_compiler())
            for answer in (42, 43)}  # fmt: skip
    for suffix in (".so", ".digest"):
        target = folder / (keys[42] + suffix)
        target.unlink()
        shutil.copy(folder / (keys[43] + suffix), target)
    assert compile_library(SOURCE).answer() == 42


def test_link_is_not_taken(folder: Path) -> None:
    compile_library(SOURCE)
    library = libraries(folder)[0]
    library.rename(folder / "elsewhere")
    library.symlink_to(folder / "elsewhere")
    assert compile_library(SOURCE).answer() == 42
    assert not library.is_symlink()


def test_folder_open_to_others_is_refused(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(CacheUnusable, match="chmod"):
        compile_library(SOURCE)


def test_file_in_place_of_folder_is_refused(folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(CacheUnusable):
        compile_library(SOURCE)


def test_longest_unused_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_library(SOURCE)
    first = libraries(folder)[0]
    os.utime(first, (1, 1))
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", first.stat().st_size + 1)
    compile_library(SOURCE | {"answer.h": "#define ANSWER 43\n"})
    assert not first.exists()
    assert not first.with_suffix(".digest").exists()
    assert len(libraries(folder)) == 1


def test_files_are_compiled_side_by_side_and_the_first_error_ends_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {f"unit{i}.c": f"int unit{i}(void) {{ return {i}; }}\n" for i in range(5)}
    loaded = compile_library(sources)
    assert [loaded[f"unit{i}"]() for i in range(5)] == list(range(5))
    script = 'case "$*" in *wrong.c*) exit 5;; *slow.c*) sleep 600;; esac'
    make_compiler(tmp_path / "cc", f'{script}; exec $REAL "$@"', monkeypatch)
    with pytest.raises(CompilationFailed, match="exit code 5"):  # or the test's time is up
        compile_library({"wrong.c": "/* the longest, so the first */", "slow.c": "int slow(void);"})
    assert [p.name for p in folder.iterdir() if p.suffix not in (".so", ".digest")] == ["lock"]
