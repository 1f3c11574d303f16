"""`tests/vectors/grandpa/` is what `python -m tests.vectors.grandpa_vectors` makes; Rust reads the same files."""

from __future__ import annotations

from tests.vectors.grandpa_vectors import FOLDER, compute_files


def test_the_golden_files_are_current() -> None:
    files = compute_files()
    assert {path.name for path in FOLDER.iterdir()} == set(files)
    for name, text in files.items():
        assert (FOLDER / name).read_text() == text, "run python -m tests.vectors.grandpa_vectors"
