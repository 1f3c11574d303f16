"""Exact matrix products against PyTorch's sgemm.

    python -m benchmarks.gemm [--json] [--threads 1 2] [--products NAME …]

Each exact product is a graph of one matmul node run by the native executor, so that the grids of both operands (E2),
the integer product and the scaling (E3) are all in it; `product` is the integer product and scaling alone. They take
turns and the least time counts. One thread is timed by its CPU time, which waiting for other processes does not touch,
several threads by the wall. Each thread count has a process of its own.

Bar of issue 4: at (1024, 768, 3072), (1024, 256, 1024) and (4096, 64, 4096) no slower than sgemm on a CPU with AVX2.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

TOKENS = 2048
BITS = 12
LIMIT, SPREAD = 2**BITS, 2**BITS / 5
"""Integers of the product alone: as a grid of normal values has them, up to about five standard deviations."""


@dataclass(frozen=True)
class Product:
    """C (m × n) = A (m × k) · B (k × n), `batch` times; a transposed operand is stored as its transpose."""

    name: str
    m: int
    k: int
    n: int
    batch: int = 1
    is_a_transposed: bool = False
    is_b_transposed: bool = False


def _linear(name: str, tokens: int, inputs: int, outputs: int) -> list[Product]:
    """The three products of a linear layer with weights (outputs × inputs)."""
    return [
        Product(f"{name} forward", tokens, inputs, outputs, is_b_transposed=True),
        Product(f"{name} dX", tokens, outputs, inputs),
        Product(f"{name} dW", outputs, tokens, inputs, is_a_transposed=True),
    ]


PRODUCTS = [
    Product("1024x768x3072", 1024, 768, 3072),
    Product("1024x256x1024", 1024, 256, 1024),
    Product("4096x64x4096", 4096, 64, 4096),
    *_linear("10M MLP", TOKENS, 256, 1024),
    *_linear("30M MLP", TOKENS, 512, 2048),
    *_linear("30M attention", TOKENS, 512, 512),
    Product("attention scores", 256, 64, 256, 48, is_b_transposed=True),
    Product("attention values", 256, 256, 64, 48),
    Product("attention dV", 256, 256, 64, 48, is_a_transposed=True),
]
BARRED = ("1024x768x3072", "1024x256x1024", "4096x64x4096")


@dataclass(frozen=True)
class Figure:
    """Milliseconds of one product, the least of many runs."""

    name: str
    shape: tuple[int, int, int, int]
    threads: int
    sgemm_ms: float
    exact_ms: float
    product_ms: float

    @property
    def ratio(self) -> float:
        """Of the exact product, quantisation included, to sgemm."""
        return self.exact_ms / self.sgemm_ms

    @property
    def macs_per_second(self) -> float:
        """Of the exact product."""
        batch, m, k, n = self.shape
        return batch * m * k * n / self.exact_ms * 1e3


def _interleave(calls: list[Callable[[], object]], clock: Callable[[], float], seconds: float) -> list[float]:
    """The least milliseconds of each call, in about ``seconds`` for each."""
    best, started = [float("inf")] * len(calls), time.perf_counter()
    rounds = 0
    while rounds < 5 or time.perf_counter() - started < seconds * len(calls):
        for i, call in enumerate(calls):
            before = clock()
            call()
            best[i] = min(best[i], clock() - before)
        rounds += 1
    return [1e3 * least for least in best]


def measure(product: Product, threads: int, seconds: float) -> Figure:
    """One product on ``threads`` threads, in this process, for about three times ``seconds``."""
    import numpy as np
    import torch

    from consensus.graph.builder import GraphBuilder
    from miner.kernels.native.program import NativeProgram

    torch.set_num_threads(threads)
    p, random = product, np.random.default_rng(0)
    stored_a = (p.batch, p.k, p.m) if p.is_a_transposed else (p.batch, p.m, p.k)
    stored_b = (p.batch, p.n, p.k) if p.is_b_transposed else (p.batch, p.k, p.n)
    a, b = (random.standard_normal(s).astype(np.float32) for s in (stored_a, stored_b))
    builder = GraphBuilder()
    left = builder.input("state", "a", "f32", stored_a)
    right = builder.input("state", "b", "f32", stored_b)
    left = builder.transpose(left, (0, 2, 1)) if p.is_a_transposed else left
    right = builder.transpose(right, (0, 2, 1)) if p.is_b_transposed else right
    builder.output("result", "c", builder.matmul(left, right))
    program = NativeProgram(builder.finish(), threads)
    inputs = {("state", "a"): a, ("state", "b"): b}

    ta, tb = torch.from_numpy(a), torch.from_numpy(b)
    ta = ta.transpose(1, 2) if p.is_a_transposed else ta
    tb = tb.transpose(1, 2) if p.is_b_transposed else tb
    out = torch.empty(p.batch, p.m, p.n)
    if p.batch == 1:
        ta, tb, out = ta[0], tb[0], out[0]
    multiply = torch.bmm if p.batch > 1 else torch.mm
    clock = time.thread_time if threads == 1 else time.perf_counter
    calls = [lambda: multiply(ta, tb, out=out), lambda: program.run(inputs), _make_product(p, threads)]
    return Figure(p.name, (p.batch, p.m, p.k, p.n), threads, *_interleave(calls, clock, seconds))


def _make_product(p: Product, threads: int) -> Callable[[], object]:
    """A call of the integer product and scaling alone."""
    import numpy as np

    from miner.kernels.native.gemm import choose_kernel, make_gemm, make_scratch
    from miner.kernels.native.library import load_library

    random = np.random.default_rng(0)
    a, b = (
        np.rint(random.standard_normal((p.batch, size, p.k)) * SPREAD).clip(-LIMIT, LIMIT).astype(np.int16)
        for size in (p.m, p.n)
    )
    a = np.ascontiguousarray(a.swapaxes(1, 2)).swapaxes(1, 2) if p.is_a_transposed else a
    b = b.swapaxes(1, 2) if p.is_b_transposed else np.ascontiguousarray(b.swapaxes(1, 2))
    ea, eb = np.zeros((p.batch, p.m), np.int32), np.zeros((p.batch, p.n), np.int32)
    c = np.empty((p.batch, p.m, p.n), np.float32)
    gemm, library = make_gemm(a, b, ea, eb, BITS, c), load_library()
    pool, scratch = library.get_pool(threads), make_scratch(gemm, threads)
    kernel, held = choose_kernel(gemm, pool), (a, b, ea, eb, c, scratch)
    return lambda: library.gemm_run(gemm, kernel, pool, held[-1].ctypes.data)


def _measure_here(names: list[str], threads: int, seconds: float) -> None:
    """Print the figures of this process, a JSON object a line."""
    for product in PRODUCTS:
        if product.name in names:
            print(json.dumps(asdict(measure(product, threads, seconds))), flush=True)


def _measure_apart(names: list[str], threads: int, seconds: float) -> list[Figure]:
    """The figures of a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gemm", "--here", "--threads", str(threads), "--seconds", str(seconds)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    command += ["--products", *names]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [Figure(**{**figure, "shape": tuple(figure["shape"])}) for figure in found]


def _show(figures: list[Figure]) -> None:
    from miner.kernels.native.gemm import get_sound_kernels
    from miner.kernels.native.library import load_library

    names = [load_library().gemm_kernels()[kernel] for kernel in get_sound_kernels()]
    table = Table(title=f"exact products against sgemm; kernels here: {', '.join(names)}")
    headings = ("product", "batch", "m", "k", "n", "threads", "sgemm ms", "exact ms", "product ms", "ratio", "GMAC/s")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "product" else "right")
    for f in figures:
        style = "red" if f.name in BARRED and f.ratio > 1 else None
        table.add_row(
            f.name, *(str(size) for size in f.shape), str(f.threads), f"{f.sgemm_ms:.2f}", f"{f.exact_ms:.2f}",
            f"{f.product_ms:.2f}", f"{f.ratio:.2f}", f"{f.macs_per_second / 1e9:.1f}", style=style,
        )  # fmt: skip
    Console(width=120).print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--products", nargs="+", default=[p.name for p in PRODUCTS], choices=[p.name for p in PRODUCTS])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each kind of each product (default 2)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        _measure_here(options.products, options.threads[0], options.seconds)
        return
    found = [_measure_apart(options.products, threads, options.seconds) for threads in options.threads]
    figures = [figure for part in found for figure in part]
    if options.json:
        rows = [asdict(f) | {"ratio": f.ratio, "macs_per_second": f.macs_per_second} for f in figures]
        print(json.dumps(rows, indent=1))
    else:
        _show(figures)


if __name__ == "__main__":
    main()
