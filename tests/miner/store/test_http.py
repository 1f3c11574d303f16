"""Server and client over a real socket: ranges, limits, liars, broken connections."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from consensus.commit.hashing import Hash32, blake2_256
from consensus.commit.merkle import MerkleProof
from consensus.commit.state import TensorOpening, verify_tensor_opening
from consensus.commit.tensor import TensorForm, TileOpening, verify_tile_opening
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.client import BlobClient, FetchPolicy, verify_endpoint
from miner.store.errors import (
    BadAnswerError,
    BlobMismatchError,
    BlobNotFoundError,
    BlobTooLargeError,
    EndpointError,
    UnreachableError,
)
from miner.store.server import BlobServer, RangeError, compute_range

DATA = np.random.default_rng(3).bytes(3_000_000)
STATE = {"w": np.arange(40 * 50, dtype=np.float32).reshape(40, 50), "b": np.ones(3, np.float32)}
QUICK = FetchPolicy(connect_seconds=1, idle_seconds=1, total_seconds=5, retries=2, pause_seconds=0.01)
ADDRESS = Address(Kind.BLOB, blake2_256(DATA))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[BlobServer]:
    with BlobStore(tmp_path / "served") as store:
        store.put_blob(DATA)
        store.put_state(STATE)
        running = BlobServer(store)
        await running.start()
        yield running
        await running.stop()


@pytest.fixture
async def client() -> AsyncIterator[BlobClient]:
    async with BlobClient(QUICK) as opened:
        yield opened


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        (None, 10, (0, 10)), ("bytes=0-0", 10, (0, 1)), ("bytes=3-", 10, (3, 7)), ("bytes=-4", 10, (6, 4)),
        ("bytes=0-99", 10, (0, 10)), ("bytes=-99", 10, (0, 10)), (None, 0, (0, 0)),
    ],
)  # fmt: skip
def test_valid_ranges(header: str | None, size: int, expected: tuple[int, int]) -> None:
    assert compute_range(header, size) == expected


@pytest.mark.parametrize(
    "header",
    ["bytes=10-", "bytes=5-4", "bytes=-0", "bytes=-", "bytes=0-1,3-4", "items=0-1", "", "bytes=0-" + "9" * 19],
)
def test_invalid_ranges(header: str) -> None:
    with pytest.raises(RangeError):
        compute_range(header, 10)


async def test_get_head_and_range(server: BlobServer) -> None:
    url = f"{server.url}/{ADDRESS}"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert answer.status == 200 and await answer.read() == DATA
            assert answer.headers["ETag"] == f'"{ADDRESS.root.hex()}"'
        async with session.head(url) as answer:
            assert answer.status == 200 and int(answer.headers["Content-Length"]) == len(DATA)
        async with session.get(url, headers={"Range": "bytes=1048570-1048580"}) as answer:
            assert answer.status == 206 and await answer.read() == DATA[1048570:1048581]
            assert answer.headers["Content-Range"] == f"bytes 1048570-1048580/{len(DATA)}"


async def test_refusals(server: BlobServer) -> None:
    url = f"{server.url}/{ADDRESS}"
    async with aiohttp.ClientSession() as session:
        for path, status in (
            ("/blob/" + "00" * 32, 404), ("/blob/zz", 404), ("/other/" + "00" * 32, 404),
            (f"/state/{ADDRESS.root.hex()}", 404), ("/blob/../../etc/passwd", 404),
        ):  # fmt: skip
            async with session.get(server.url + path) as answer:
                assert answer.status == status, path
        for header in ("bytes=9999999-", "bytes=0-1,2-3", "junk"):
            async with session.get(url, headers={"Range": header}) as answer:
                assert answer.status == 416 and answer.headers["Content-Range"] == f"bytes */{len(DATA)}"
        async with session.get(url, data=b"x" * 5000) as answer:
            assert answer.status == 413
        async with session.post(url) as answer:
            assert answer.status == 405
        async with session.get(server.url + "/health") as answer:
            assert answer.status == 200 and (await answer.json())["bytes"] > len(DATA)


async def test_proof_verifies(server: BlobServer, tmp_path: Path) -> None:
    with BlobStore(tmp_path / "other") as other:
        root = other.put_state(STATE)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/proof/{root.hex()}/w?tile=3") as answer:
            document = await answer.json()
        for path, status in (("nothing", 404), ("w?tile=4", 404), ("w?tile=x", 400)):
            async with session.get(f"{server.url}/proof/{root.hex()}/{path}") as answer:
                assert answer.status == status
    tensor_root = Hash32(bytes.fromhex(document["tensor_root"]))
    siblings = tuple(Hash32(bytes.fromhex(s)) for s in document["siblings"])
    verify_tensor_opening(
        root, TensorOpening("w", tensor_root, MerkleProof(document["index"], document["tensors"], siblings))
    )
    tile = document["tile"]
    opening = TileOpening(
        TensorForm(document["dtype"], tuple(document["shape"])), tile["index"], bytes.fromhex(tile["data"]),
        tuple(Hash32(bytes.fromhex(s)) for s in tile["siblings"]),
    )  # fmt: skip
    assert verify_tile_opening(tensor_root, opening)[0, 0] == STATE["w"][32, 32]


async def test_client_fetches_into_store(server: BlobServer, client: BlobClient, tmp_path: Path) -> None:
    with BlobStore(tmp_path / "mine") as mine:
        await client.fetch_into(mine, server.url, ADDRESS, pin="unit 1")
        await client.fetch_into(mine, "http://127.0.0.1:1", ADDRESS)
        assert mine.get(ADDRESS) == DATA


async def test_client_limits_and_missing(server: BlobServer, client: BlobClient) -> None:
    assert await client.fetch(server.url + "/", ADDRESS, max_bytes=len(DATA)) == DATA
    with pytest.raises(BlobTooLargeError):
        await client.fetch(server.url, ADDRESS, max_bytes=len(DATA) - 1)
    with pytest.raises(BlobNotFoundError):
        await client.fetch(server.url, Address(Kind.BLOB, Hash32(bytes(32))))
    with pytest.raises(UnreachableError, match="3 attempts"):
        await client.fetch("http://127.0.0.1:1", ADDRESS)


class Liar:
    """A peer that misbehaves on purpose."""

    def __init__(self, mode: str) -> None:
        self.mode, self.requests = mode, 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests += 1
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        if self.mode == "wrong bytes":
            return web.Response(body=DATA[:-1] + b"?")
        if self.mode == "redirect":
            raise web.HTTPFound("http://127.0.0.1:1/")
        if self.mode == "no length":
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            await response.write(b"x")
            return response
        if self.mode == "wrong range" and start:
            return web.Response(status=206, body=DATA[start:], headers={"Content-Range": f"bytes 0-9/{len(DATA)}"})
        if self.mode == "busy" and self.requests < 3:
            raise web.HTTPServiceUnavailable
        headers = {"Content-Length": str(len(DATA) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        part = DATA[start : start + 1_200_000] if self.mode != "busy" else DATA[start:]
        await response.write(part)
        if self.mode == "stalls":
            await asyncio.sleep(30)
        if len(part) < len(DATA) - start and request.transport is not None:
            request.transport.close()
        return response


async def lie(mode: str, client: BlobClient) -> tuple[bytes, int]:
    liar = Liar(mode)
    runner = web.ServerRunner(web.Server(liar), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        return await client.fetch(f"http://127.0.0.1:{runner.addresses[0][1]}", ADDRESS), liar.requests
    finally:
        await runner.cleanup()


async def test_client_resumes_broken_transfers(client: BlobClient) -> None:
    assert await lie("breaks", client) == (DATA, 3)
    assert await lie("busy", client) == (DATA, 3)


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("wrong bytes", BlobMismatchError), ("redirect", BadAnswerError), ("no length", BadAnswerError),
        ("wrong range", BadAnswerError),
    ],
)  # fmt: skip
async def test_client_believes_no_liar(mode: str, error: type[Exception], client: BlobClient) -> None:
    with pytest.raises(error):
        await lie(mode, client)


async def test_client_gives_up_on_a_stall() -> None:
    async with BlobClient(FetchPolicy(1, 0.2, 0.5, 0, 0.01)) as impatient:
        with pytest.raises(UnreachableError):
            await lie("stalls", impatient)


def test_endpoints() -> None:
    assert verify_endpoint("http://127.0.0.1:80/") == "http://127.0.0.1:80"
    for url in (
        "", "ftp://host", "file:///etc/passwd", "http://", "http://u:p@host", "http://host?x=1", "http://host#f",
        "http://ho st", "http://host:99999", "http://host:0", "http://[", "http://h/" + "x" * 128, "http://h\n",
    ):  # fmt: skip
        with pytest.raises(EndpointError):
            verify_endpoint(url)


async def test_port_in_use(server: BlobServer, tmp_path: Path) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    with BlobStore(tmp_path / "second") as store:
        second = BlobServer(store, port=port)
        with pytest.raises(OSError, match="in use"):
            await second.start()
