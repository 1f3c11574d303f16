"""The committed modules are what the committed blob's metadata gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from pallets_abi.generate import Generator, compare, read_blob_metadata
from pallets_abi.metadata import Metadata, MetadataError, parse_metadata


@pytest.fixture(scope="module")
def metadata() -> Metadata:
    return parse_metadata(read_blob_metadata())


def test_committed_modules_equal_the_blobs_metadata(metadata: Metadata) -> None:
    assert compare(Generator(metadata).modules()) == [], "run python -m pallets_abi.generate"


def test_a_changed_module_is_noticed(metadata: Metadata, tmp_path: Path) -> None:
    files = Generator(metadata).modules()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "stakes.py").write_text(files["stakes.py"].replace("amount", "price"))
    (tmp_path / "beacon.py").unlink()
    assert compare(files, tmp_path) == ["stakes.py", "beacon.py"]


def test_every_call_of_our_pallets_is_documented(metadata: Metadata) -> None:
    own = [pallet for pallet in metadata.pallets if pallet.index >= 10]
    assert [pallet.name for pallet in own] == [
        "Stakes", "Tasks", "Verification", "Beacon", "BlockRights", "Disputes", "Availability",
        "Evidence", "Jackpot",
    ]  # fmt: skip
    for pallet in own:
        for variant in (*metadata.variants_of(pallet.calls), *metadata.variants_of(pallet.errors)):
            assert variant.docs, f"{pallet.name}.{variant.name} has no documentation"


@pytest.mark.parametrize("data", [b"", b"meta\x0e", b"meta\x0f", b"meta\x0f" + b"\xff" * 100, b"x" * 50])
def test_malformed_metadata_is_refused(data: bytes) -> None:
    with pytest.raises(MetadataError):
        parse_metadata(data)
