"""A lying peer and a damaged folder: a typed error, never wrong bytes, and the store as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from consensus.commit.hashing import Hash32, blake2_256
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.client import BlobClient, FetchPolicy
from miner.store.errors import BlobError, BlobMismatchError, StoreError, TensorFileError
from miner.store.server import BlobServer

KEPT = b"kept " * 1000
QUICK = FetchPolicy(connect_seconds=1, idle_seconds=1, total_seconds=5, retries=1, pause_seconds=0.01)


def contents(store: BlobStore) -> dict[bytes, bytes]:
    """Everything in the folder but the times of last use."""
    return {key: value for key, value in store._db.iterator() if key[:1] in (b"c", b"m", b"p")}  # noqa: SLF001


@pytest.fixture
async def liar() -> AsyncIterator[str]:
    """A server that answers every request with other bytes."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"something else")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Kind.BLOB, BlobMismatchError),
        (Kind.STATE, (TensorFileError, BlobMismatchError)),
        (Kind.TRANSCRIPT, (TensorFileError, BlobMismatchError)),
    ],
)
async def test_bytes_of_another_root_are_never_stored(
    tmp_path: Path, liar: str, kind: Kind, error: type[Exception]
) -> None:
    wanted = Address(kind, Hash32(blake2_256(b"what is wanted")))
    with BlobStore(tmp_path / "blobs") as store:
        kept = Address(Kind.BLOB, store.put_blob(KEPT))
        before = contents(store)
        async with BlobClient(QUICK) as client:
            with pytest.raises(error):
                await client.fetch_into(store, liar, wanted, pin="unit")
        assert contents(store) == before
        assert not store.is_stored(wanted)
        assert store.get(kept) == KEPT


@pytest.mark.parametrize(
    "header",
    ["bytes=0-" + "9" * 5000, "bytes=" + "0-1," * 2000, "bytes=-" + "9" * 18, "bytes=\u0661-\u0662", "=" * 9000],
)
async def test_absurd_ranges_leave_the_server_serving(tmp_path: Path, header: str) -> None:
    with BlobStore(tmp_path / "blobs") as store:
        address = Address(Kind.BLOB, store.put_blob(KEPT))
        server = BlobServer(store)
        url = f"{await server.start()}/{address}"
        async with aiohttp.ClientSession() as session:
            async with session.get(url, headers={"Range": header}) as answer:
                assert answer.status in (206, 400, 416, 431)
                assert len(await answer.read()) <= len(KEPT)
            async with session.get(url, headers={"Range": "bytes=5-9"}) as answer:
                assert (answer.status, await answer.read()) == (206, KEPT[5:10])
        await server.stop()


def make_store(path: Path) -> list[Address]:
    """A store whose blobs stand in tables, not only in LevelDB's log."""
    with BlobStore(path) as store:
        addresses = [Address(Kind.BLOB, store.put_blob(bytes([number]) * 300_000)) for number in range(5)]
    BlobStore(path).close()
    return addresses


@pytest.mark.parametrize("pattern", ["*.ldb", "MANIFEST-*", "CURRENT"])
@pytest.mark.parametrize("how", ["junk at the start", "junk in the middle", "cut", "gone"])
def test_a_damaged_file_never_gives_wrong_bytes(tmp_path: Path, pattern: str, how: str) -> None:
    """Either the store says that it is damaged, or what it gives is what was put."""
    path = tmp_path / "blobs"
    addresses = make_store(path)
    files = sorted(path.glob(pattern))
    assert files
    for file in files:
        data = file.read_bytes()
        middle = len(data) // 2
        if how == "gone":
            file.unlink()
        elif how == "cut":
            file.write_bytes(data[:middle])
        else:
            place = 0 if how == "junk at the start" else middle
            file.write_bytes(data[:place] + b"\xff" * min(64, len(data) - place) + data[place + 64 :])
    try:
        with BlobStore(path) as store:
            for number, address in enumerate(addresses):
                try:
                    assert store.get(address) == bytes([number]) * 300_000
                except BlobError as error:
                    assert str(error).startswith(str(address))
    except StoreError as error:
        assert str(path) in str(error)
