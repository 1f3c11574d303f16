"""What Triton makes of the kernels for a Hopper GPU, compiled here: one rounding an operation, subnormals kept."""

import re
from typing import Any

import pytest
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from consensus.graph import Graph, GraphBuilder
from miner.kernels.triton import library
from miner.kernels.triton.codegen import Tiling
from miner.kernels.triton.plan import Plan
from miner.kernels.triton.program import load_kernel

TARGET = GPUTarget("cuda", 90, 32)
LIBERTIES = re.compile(r"fma\.|\.ftz|\.approx|div\.full|ex2|lg2|tanh\.")
"""Contraction, flushed subnormals, approximations."""
POINTERS = {"f32": "*fp32", "i64": "*i64", "bool": "*i8", "u32": "*u32", "i32": "*i32", "i16": "*i8"}


def compile_ptx(kernel: Any, types: dict[str, str], constants: dict[str, int | bool], warps: int) -> str:
    """The kernel's PTX; pointers are aligned."""
    signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
    places = {name: place for place, name in enumerate(kernel.arg_names)}
    aligned = {(places[name],): [["tt.divisibility", 16]] for name, kind in types.items() if kind[0] == "*"}
    source = ASTSource(kernel, signature, {(places[name],): value for name, value in constants.items()}, aligned)
    options = {"num_warps": warps, "enable_fp_fusion": False}
    return str(triton.compile(source, target=TARGET, options=options).asm["ptx"])


def make_hazards() -> Graph:
    """Sums of products, divisions by constants, roots and functions: what compilers like to take liberties with."""
    b = GraphBuilder()
    x, y = b.input("batch", "x", "f32", (33, 40)), b.input("batch", "y", "f32", (33, 40))
    b.output("result", "contraction", b.add("add", b.add("mul", x, y), b.add("mul", x, b.f32(0.3))))
    b.output("result", "division", b.add("div", b.add("sqrt", b.add("abs", x)), b.f32(6.0)))
    b.output("result", "functions", b.add("add", b.add("exp", x), b.add("mul", b.add("tanh", y), b.add("log", x))))
    b.output("result", "sums", b.add("mul", b.reduce("sum", b.add("sin", x), (1,)), b.reduce("amax", x, (1,))))
    return b.finish()


def test_generated_kernels_take_no_liberties() -> None:
    plan = Plan(make_hazards(), Tiling())
    launches = [operation.launch for operation in plan.order if operation.launch is not None]
    texts = []
    for launch in launches:
        types = {"flags": "*i32"}
        types |= {f"p{i}": POINTERS[plan.lowered.roots[root].dtype] for i, root in enumerate(launch.roots)}
        texts.append(compile_ptx(load_kernel(launch.source), types, {}, launch.warps))
    assert launches and "div.rn.f32" in "".join(texts) and "sqrt.rn.f32" in "".join(texts)
    for text in texts:
        assert not LIBERTIES.findall(text)


@pytest.mark.parametrize("is_short", [True, False])
def test_products_use_int8_tensor_cores_and_one_rounding(is_short: bool) -> None:
    types = {name: "i32" for name in library.multiply.arg_names if not name.isupper() or name in ("M", "N", "K")}
    types |= {"a": "*i8", "a_exponents": "*i32", "b": "*i8", "b_exponents": "*i32", "out": "*fp32"}
    constants = {"BM": 64, "BN": 64, "BK": 64, "EVEN": True, "SHORT": is_short}
    text = compile_ptx(library.multiply, types, constants, 4)
    assert re.search(r"mma.*\.s32\.s8\.s8", text) and "satfinite" not in text
    assert "cvt.rn.f32.f64" in text and not LIBERTIES.findall(text)
