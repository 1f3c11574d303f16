"""The blob server: what this store holds, over HTTP on loopback unless told otherwise.

GET and HEAD /{blob|state|transcript}/{root}, single byte ranges, strong ETag (the root never changes its bytes);
GET /proof/{state root}/{tensor name}?tile=N as JSON; GET /health. 202 with Retry-After: a dropped checkpoint that is
being made again; 404 not here, 413 request with a body, 416 range, 503 with Retry-After when too much is asked at once.

What strangers cost is bounded: transfers in all and of one peer, how long a peer may take for a piece, and the share of
this machine's time that proofs and (`Recoverer`) checkpoints made again may take.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiohttp import web
from consensus.commit.hashing import Hash32
from consensus.commit.merkle import ProofError
from consensus.commit.state import (
    StateCommitment,
    StateNameError,
    compute_state_commitment,
    compute_tensor_opening,
)
from consensus.commit.tensor import Array, compute_tile_opening

from miner.kernels.native.hashing import get_hasher
from miner.listen import listen
from miner.store.address import Address, Kind
from miner.store.allowance import Allowance
from miner.store.blobs import CHUNK_BYTES, BlobStore
from miner.store.errors import BlobCorruptError, BlobNotFoundError, RecoveryBusyError

MAX_REQUEST_BYTES = 1024  # a GET has no body worth more
MAX_TRANSFERS = 32
MAX_PEER_TRANSFERS = 16  # of one peer's address, so that one cannot take them all
PIECE_SECONDS = 30.0  # within which a peer must take a piece of CHUNK_BYTES: 35 kB/s at least
MAX_PROOFS = 2  # a proof reads a state and hashes a whole tensor of it
PROOFS_SHARE = 0.05  # of the time of one core
PROOFS_BURST = 30.0  # seconds of it that may be saved up
MAX_COMMITMENTS = 8  # states whose tensor roots are kept for further proofs
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_ROOT = "{root:[0-9a-fA-F]{64}}"


class RangeError(ValueError):
    """A Range header that is malformed, has several ranges or lies outside the blob."""

    def __init__(self, header: str, size: int) -> None:
        super().__init__(f"range {header[:64]!r} does not fit {size} bytes; ask for one range bytes=first-last")
        self.size = size


def compute_range(header: str | None, size: int) -> tuple[int, int]:
    """First byte and number of bytes that a Range header asks for; raises `RangeError`."""
    if header is None:
        return 0, size
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        raise RangeError(header, size)
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if start >= end:
        raise RangeError(header, size)
    return start, end - start


class Recoverer(Protocol):
    """What can make blobs again that the store dropped."""

    async def request(self, address: Address) -> float | None:
        """Begins to make a blob, or goes on; seconds after which it is worth asking again, None for one that it cannot
        make. Raises `RecoveryBusyError`."""


class BlobServer:
    """Serves one store; `await start()`, then `url`; `await stop()`."""

    def __init__(
        self, store: BlobStore, host: str = "127.0.0.1", port: int = 0, recoverer: Recoverer | None = None
    ) -> None:
        """Port 0 takes a free one. Without a recoverer what is not in the store is 404."""
        self._store = store
        self._recoverer = recoverer
        self._commitments: OrderedDict[Hash32, StateCommitment] = OrderedDict()
        self._host, self._port = host, port
        self._transfers: Counter[str] = Counter()
        self._proofs = asyncio.Semaphore(MAX_PROOFS)
        self._allowance = Allowance(PROOFS_SHARE, PROOFS_BURST)
        self._runner: web.AppRunner | None = None
        self.bytes_served = 0

    @property
    def url(self) -> str:
        """Base URL without a slash at its end, as it goes on chain; valid after `start`."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> str:
        """Listens; returns the URL. Raises PortInUseError."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[_refuse_bodies])
        app.router.add_get(f"/{{kind:blob|state|transcript}}/{_ROOT}", self._on_blob)
        app.router.add_get(f"/proof/{_ROOT}/{{name:.+}}", self._on_proof)
        app.router.add_get("/health", self._on_health)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        self._port = await listen(self._runner, self._host, self._port, "--blob-port")
        return self.url

    async def stop(self) -> None:
        """Closes the socket and all transfers; harmless when repeated."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _on_health(self, _: web.Request) -> web.Response:
        return web.json_response({"bytes": self._store.total_bytes, "limit": self._store.limit_bytes})

    async def _on_blob(self, request: web.Request) -> web.StreamResponse:
        address = Address(Kind(request.match_info["kind"]), Hash32(bytes.fromhex(request.match_info["root"])))
        try:
            size = self._store.size(address)
            start, length = compute_range(request.headers.get("Range"), size)
            async with self._take_turn(request.remote or ""):
                return await self._send(request, address, start, length, size)
        except BlobNotFoundError as error:
            return await self._recover(address, error)
        except RangeError as error:
            raise web.HTTPRequestRangeNotSatisfiable(
                text=str(error), headers={"Content-Range": f"bytes */{error.size}"}
            ) from error

    @asynccontextmanager
    async def _take_turn(self, peer: str) -> AsyncIterator[None]:
        """One of the transfers; raises 503 when there are too many."""
        if self._transfers.total() >= MAX_TRANSFERS or self._transfers[peer] >= MAX_PEER_TRANSFERS:
            raise _refuse_for(1.0, "too many transfers; try again")
        self._transfers[peer] += 1
        try:
            yield
        finally:
            self._transfers[peer] -= 1
            self._transfers += Counter()  # forgets peers without a transfer

    async def _recover(self, address: Address, error: BlobNotFoundError) -> web.Response:
        """202 for a blob that is being made again; raises 404 or 503."""
        try:
            seconds = None if self._recoverer is None else await self._recoverer.request(address)
        except RecoveryBusyError as busy:
            raise _refuse_for(busy.seconds, str(busy)) from busy
        if seconds is None:
            raise web.HTTPNotFound(text=str(error)) from error
        return web.Response(status=202, text="being made again; try again", headers=_retry_after(seconds))

    async def _send(
        self, request: web.Request, address: Address, start: int, length: int, size: int
    ) -> web.StreamResponse:
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "public, max-age=31536000, immutable",
            "Content-Type": "application/octet-stream",
            "ETag": f'"{address.root.hex()}"',
            "Content-Length": str(length),
        }
        partial = "Range" in request.headers
        if partial:
            headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
        response = web.StreamResponse(status=206 if partial else 200, headers=headers)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        end = start + length
        while start < end:
            try:
                data = await asyncio.to_thread(self._store.read, address, start, min(CHUNK_BYTES, end - start))
            except (BlobNotFoundError, BlobCorruptError):
                break  # evicted or damaged under our hands: the short answer makes the client try elsewhere
            try:
                await asyncio.wait_for(response.write(data), PIECE_SECONDS)
            except (TimeoutError, ConnectionError):  # a peer that does not take it, or is gone
                if request.transport is not None:
                    request.transport.abort()
                break
            self.bytes_served += len(data)
            start += len(data)
        return response

    async def _on_proof(self, request: web.Request) -> web.Response:
        root = Hash32(bytes.fromhex(request.match_info["root"]))
        tile = request.query.get("tile")
        if tile is not None and not re.fullmatch(r"\d{1,10}", tile):
            raise web.HTTPBadRequest(text="tile must be a number")
        wait = self._allowance.compute_wait()
        if wait or self._proofs.locked():
            raise _refuse_for(wait, "too many proofs; try again")
        async with self._proofs:
            started = time.monotonic()
            try:
                answer = await asyncio.to_thread(self._make_proof, root, request.match_info["name"], tile)
            except BlobNotFoundError as error:
                return await self._recover(Address(Kind.STATE, root), error)
            except (StateNameError, ProofError) as error:
                raise web.HTTPNotFound(text=str(error)) from error
            finally:
                self._allowance.spend(time.monotonic() - started)
        return web.json_response(answer)

    def _make_proof(self, root: Hash32, name: str, tile: str | None) -> dict[str, Any]:
        """Runs in a thread; the tensor roots of a state are computed for its first proof only."""
        state = self._store.get_state(root)
        commitment = self._commitments.get(root)
        if commitment is None:
            commitment = compute_state_commitment(state, get_hasher().compute_tensor_root)
            self._commitments[root] = commitment
            while len(self._commitments) > MAX_COMMITMENTS:
                self._commitments.popitem(last=False)
        return make_proof_document(commitment, state, name, None if tile is None else int(tile))


def make_proof_document(
    commitment: StateCommitment, state: dict[str, Array], name: str, tile: int | None
) -> dict[str, Any]:
    """JSON form of a tensor's opening in a state and, when asked, of one of its tiles; hex without 0x."""
    opening = compute_tensor_opening(commitment, name)
    entry = commitment.entries[opening.proof.index]
    document: dict[str, Any] = {
        "name": name,
        "dtype": entry.form.dtype,
        "shape": list(entry.form.shape),
        "tensor_root": opening.tensor_root.hex(),
        "index": opening.proof.index,
        "tensors": opening.proof.leaf_count,
        "siblings": [sibling.hex() for sibling in opening.proof.siblings],
    }
    if tile is not None:
        opened = compute_tile_opening(state[name], tile, get_hasher().compute_tile_hashes)
        siblings = [sibling.hex() for sibling in opened.siblings]
        document["tile"] = {"index": tile, "data": opened.data.hex(), "siblings": siblings}
    return document


def _retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _refuse_for(seconds: float, text: str) -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(text=text, headers=_retry_after(seconds))


@web.middleware
async def _refuse_bodies(request: web.Request, handler: Any) -> web.StreamResponse:
    if (request.content_length or 0) > MAX_REQUEST_BYTES or request.headers.get("Transfer-Encoding"):
        raise web.HTTPRequestEntityTooLarge(MAX_REQUEST_BYTES, request.content_length or 0)
    answer: web.StreamResponse = await handler(request)
    return answer
