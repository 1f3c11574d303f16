"""Known hazards (each broke somebody's exactness): the reference has none of them, and the golden vectors notice each.

A *mutant* is an op as a careless backend computes it. Whoever passes the vectors is none of these mutants.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import consensus
from consensus.exact import elementwise, matmul, random, sums, transcendental
from consensus.exact.grid import quantise, rescale
from consensus.graph.node import Node
from consensus.graph.ops import NUMPY_DTYPES, OPS
from tests.consensus.exact.replay import compute_reference, verify_results

Array = npt.NDArray[Any]
F = np.float32
TINY = np.finfo(F).tiny


def flush(value: Array) -> Array:
    """Subnormals as zeros of their sign, as with FTZ or DAZ."""
    if value.dtype != F:
        return value
    return np.where(np.abs(value) < TINY, np.copysign(F(0), value), value).astype(F)


def flush_operands(node: Node, values: list[Array]) -> Array:
    """The op under DAZ."""
    return compute_reference(node, [flush(v) for v in values])


def flush_results(node: Node, values: list[Array]) -> Array:
    """The op under FTZ."""
    return flush(compute_reference(node, values))


def wide_library(name: str) -> Callable[..., Array]:
    """A correctly rounded function of a good library."""
    return lambda node, values: getattr(np, name)(values[0].astype(np.float64)).astype(F)


def library(name: str) -> Callable[..., Array]:
    """NumPy's f32 function."""
    return lambda node, values: getattr(np, name)(values[0])


def _erf(node: Node, values: list[Array]) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(values[0]), F)


class Contracted(np.ndarray[Any, np.dtype[Any]]):
    """f32 values whose products stay unrounded until they are added: a·b ± c in one rounding, as with an FMA.

    (Through float64: its second rounding changes nothing that these tests see.)
    """

    product: Array | None = None

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **rest: Any) -> Any:
        plain = [np.asarray(i) for i in inputs]
        products = [getattr(i, "product", None) for i in inputs]
        found = getattr(ufunc, method)(*plain, **rest)
        if ufunc in (np.add, np.subtract) and found.dtype == F and any(p is not None for p in products):
            place = 0 if products[0] is not None else 1
            terms: list[Any] = [products[i] if i == place else p.astype(np.float64) for i, p in enumerate(plain)]
            found = np.asarray(ufunc(*terms), F)
        target: Any = np.asarray(found) if out is None else out[0]
        if out is not None:
            target.view(np.ndarray)[...] = found
        result = target.view(Contracted)
        is_product = ufunc is np.multiply and found.dtype == F
        result.product = plain[0].astype(np.float64) * plain[1].astype(np.float64) if is_product else None
        return result


class ContractingNumpy:
    """NumPy for `consensus.exact.transcendental`, with f32 arrays that contract."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def asarray(self, value: Any, order: Any = None) -> Any:
        return value if isinstance(value, Contracted) else self._contract(np.asarray(value, order=order))

    def where(self, *operands: Any) -> Any:
        return self._contract(np.asarray(np.where(*(np.asarray(o) for o in operands))))

    def full(self, *args: Any, **named: Any) -> Any:
        return self._contract(np.full(*args, **named))

    def _contract(self, value: Array) -> Array:
        return value.view(Contracted) if value.dtype == F else value


def fused_horner(coefficients: tuple[np.float32, ...], x: Array) -> Array:
    """Horner's rule with a fused multiply-add for each step."""
    result = np.full(x.shape, coefficients[0], dtype=F)
    for coefficient in coefficients[1:]:
        result = (result.astype(np.float64) * x + float(coefficient)).astype(F)
    return result


def _without_grid(node: Node, values: list[Array]) -> Array:
    return np.asarray(np.matmul(values[0], values[1]))


def _wide_product(node: Node, values: list[Array]) -> Array:
    return np.asarray(np.matmul(values[0].astype(np.float64), values[1].astype(np.float64)), F)


def _product(node: Node, values: list[Array], multiply: Callable[[Array, Array], Array], zero: float = 0.0) -> Array:
    """E3 with other integer products; a zero of ``zero``'s sign."""
    bits = int(str(node.attrs["bits"]))
    q_a, e_a = quantise(values[0], -1, bits)
    q_b, e_b = quantise(values[1], -2, bits)
    found = rescale(multiply(q_a, q_b), e_a + e_b - 2 * bits)
    return np.where(found == 0, F(zero), found)


def _saturating_pairs(a: Array, b: Array) -> Array:
    """Products of neighbours added with saturation at 16 bits, as vpmaddubsw does."""
    odd = a.shape[-1] % 2
    if odd:
        a = np.concatenate([a, a[..., :1] * 0], axis=-1)
        b = np.concatenate([b, b[..., :1, :] * 0], axis=-2)
    pairs = a[..., :, 0::2, None] * b[..., None, 0::2, :] + a[..., :, 1::2, None] * b[..., None, 1::2, :]
    return np.asarray(np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=-2))


def _wrapping(a: Array, b: Array) -> Array:
    """int32 accumulators that nobody flushes."""
    return np.asarray(np.matmul(a, b), np.int32).astype(np.int64)


def _sum_in(dtype: type) -> Callable[..., Array]:
    def call(node: Node, values: list[Array]) -> Array:
        axes: Any = node.attrs["axes"]
        return np.asarray(values[0].sum(axis=axes, keepdims=True, dtype=dtype)).astype(F)

    return call


def _sum_rounded_away(node: Node, values: list[Array]) -> Array:
    axes: Any = node.attrs["axes"]
    exponent = quantise(values[0], axes, 28)[1]
    scaled = np.ldexp(values[0].astype(np.float64), 28 - exponent)
    away = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)
    return rescale(away.sum(axis=axes, keepdims=True), exponent - 28)


def _add_rows_by_group(node: Node, values: list[Array]) -> Array:
    """A grid for each group of rows instead of one for each column."""
    rows = int(str(node.attrs["rows"]))
    found = np.zeros((rows, values[0].shape[1]), dtype=F)
    for row in set(values[1].tolist()):
        found[row] = sums.reduce_sum(values[0][values[1] == row], (0,))[0]
    return found


def _amax_of_any_zero(node: Node, values: list[Array]) -> Array:
    axes: Any = node.attrs["axes"]
    found = values[0].max(axis=axes, keepdims=True)
    return np.where(found == 0, F(0), found)


def _nine_rounds(node: Node, values: list[Array]) -> Array:
    rounds, random.ROUNDS = random.ROUNDS, 9
    try:
        return compute_reference(node, values)
    finally:
        random.ROUNDS = rounds


MUTANTS: dict[str, tuple[str, Callable[..., Array]]] = {
    "div as a multiplication by the reciprocal": ("div", lambda n, v: v[0] * (F(1) / v[1])),
    "sqrt by a reciprocal square root": ("sqrt", lambda n, v: v[0] * (F(1) / np.sqrt(v[0]))),
    "neg as 0 − x": ("neg", lambda n, v: v[0].dtype.type(0) - v[0]),
    "abs as a maximum": ("abs", lambda n, v: np.maximum(v[0], -v[0])),
    "where as a blend": ("where", lambda n, v: (v[0] * v[1] + ~v[0] * v[2]).astype(v[1].dtype)),
    "cast through float64": ("cast", lambda n, v: v[0].astype(np.float64).astype(F).astype(NUMPY_DTYPES[n.dtype])),
    "matmul in f32": ("matmul", _without_grid),
    "matmul in float64 without a grid": ("matmul", _wide_product),
    "matmul with a zero of the GEMM's sign": ("matmul", lambda n, v: _product(n, v, np.matmul, -0.0)),
    "matmul with saturating int8 pairs": ("matmul", lambda n, v: _product(n, v, _saturating_pairs)),
    "matmul with int32 accumulators": ("matmul", lambda n, v: _product(n, v, _wrapping)),
    "sum in f32": ("sum", _sum_in(np.float32)),
    "sum in float64 without a grid": ("sum", _sum_in(np.float64)),
    "sum with ties away from zero": ("sum", _sum_rounded_away),
    "add_rows with a grid for each row": ("add_rows", _add_rows_by_group),
    "amax that takes any zero": ("amax", _amax_of_any_zero),
    "uniform of nine rounds": ("uniform", _nine_rounds),
    **{f"{op} of NumPy": (op, library(op)) for op in ("exp", "log", "tanh", "sin", "cos")},
    **{f"{op} correctly rounded": (op, wide_library(op)) for op in ("exp", "log", "tanh", "sin", "cos")},
    "erf correctly rounded": ("erf", _erf),
    **{f"{op} with subnormal operands flushed": (op, flush_operands) for op in
       ("add", "sub", "mul", "div", "sqrt", "log", "tanh", "erf", "sin", "eq", "lt", "neg", "abs", "amax", "where")},
    **{f"{op} with subnormal results flushed": (op, flush_results) for op in
       ("add", "sub", "mul", "div", "exp", "tanh", "erf", "sin", "matmul", "take_rows")},
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_vectors_notice_the_mutant(name: str) -> None:
    op, compute = MUTANTS[name]
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match="differ|expected"):
        verify_results(op, compute, layouts=False)


@pytest.mark.parametrize(("name", "replacement"), [("_horner", fused_horner), ("np", ContractingNumpy())])
@pytest.mark.parametrize("op", sorted(transcendental.FUNCTIONS))
def test_vectors_notice_contraction_into_an_fma(
    op: str, name: str, replacement: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcendental, name, replacement)
    with pytest.raises(AssertionError, match="differ"):
        verify_results(op, compute_reference, layouts=False)


# --- what the reference is made of --------------------------------------------------------------------------------

ALLOWED_NUMPY = {
    # single IEEE operations, comparisons, bits
    "add", "subtract", "multiply", "divide", "negative", "abs", "sqrt", "equal", "not_equal", "less", "less_equal",
    "greater", "greater_equal", "logical_and", "logical_or", "logical_not", "copysign", "signbit", "isnan", "isfinite",
    "isposinf", "minimum", "maximum", "max", "where",
    # rounding to integers, exponents and powers of two: exact
    "rint", "frexp", "ldexp",
    # of integers only
    "einsum", "prod", "arange",
    # movement and containers
    "add.at", "asarray", "array", "ascontiguousarray", "frombuffer", "full", "zeros", "empty", "stack", "concatenate",
    "broadcast_to", "take_along_axis", "ogrid", "lib", "lib.stride_tricks", "errstate",
    # types and constants
    "float32", "float64", "int32", "int64", "uint8", "uint32", "uint64", "bool_", "dtype", "ndarray", "inf", "nan",
}  # fmt: skip
"""All that the reference takes from NumPy. Nothing here may depend on a library's choice of algorithm, nor on order."""
ALLOWED_MATH = {"prod"}
FOLDERS = ("exact", "graph", "arbiter")


def used_names(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(library, name) of each attribute taken from numpy or math, and of each import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("np", "math"):
            yield node.value.id, node.attr
        if isinstance(node, ast.ImportFrom) and node.module == "math":
            yield from (("math", alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from (("import", alias.name) for alias in node.names)


@pytest.mark.parametrize("folder", FOLDERS)
def test_reference_uses_no_library_function_that_may_differ(folder: str) -> None:
    """No np.exp, np.log, np.sin, np.power, np.dot, np.mean, float sums …: the allowed names are listed."""
    paths = sorted((Path(str(consensus.__file__)).parent / folder).rglob("*.py"))
    assert paths
    for path in paths:
        for library_name, name in used_names(ast.parse(path.read_text())):
            allowed = {"np": ALLOWED_NUMPY, "math": ALLOWED_MATH}.get(library_name)
            if allowed is None:
                assert name.split(".")[0] not in ("scipy", "torch", "math", "random", "numexpr"), (path.name, name)
            else:
                assert name in allowed, f"{path.name}: {library_name}.{name}"


def test_reference_has_no_power_float_product_or_statistics() -> None:
    """``**`` stands between constants only, ``@`` nowhere, and of the reducing methods ``sum`` on integers only."""
    sums_of = []
    for path in sorted((Path(str(consensus.__file__)).parent / "exact").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.MatMult):
                assert isinstance(node.op, ast.Pow) and isinstance(node.left, ast.Constant), f"line {node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in {"mean", "std", "var", "dot", "cumsum", "cumprod", "trace"}, path.name
                if node.func.attr == "sum":
                    sums_of.append(ast.unparse(node.func.value))
    assert sums_of == ["quantised"]


# --- hazards of training steps --------------------------------------------------------------------------------------


def test_there_is_no_power_in_the_op_set() -> None:
    """AdamW's bias correction keeps β^t as a state scalar, multiplied once a step: `powf` forked at step 15 of 20."""
    assert not {"pow", "powf", "exp2", "rsqrt", "reciprocal", "mean"} & set(OPS)


@pytest.mark.parametrize("beta", [0.9, 0.95, 0.999])
def test_bias_correction_by_multiplication_is_one_sequence_and_powers_are_another(beta: float) -> None:
    multiply = OPS["mul"].run
    assert multiply is not None
    kept, exact, differing = np.ones((), dtype=F), Fraction(1), 0
    node = Node("mul", (0, 1), "f32", ())
    for step in range(1, 101):
        kept = multiply(node, [kept, np.array(beta, dtype=F)])
        exact = exact * Fraction(float(F(beta)))
        differing += float(kept) != float(F(float(exact)))  # what a perfect powf would give
        assert abs(Fraction(float(kept)) / exact - 1) < Fraction(step, 2**23)
    assert differing > 10


@pytest.mark.parametrize("n", [3, 5, 6, 7, 10, 12, 100])
def test_a_division_by_n_is_not_a_multiplication_by_its_reciprocal(n: int) -> None:
    """``x / 6`` is a reciprocal multiply on some devices, and a mean by ``sum · (1/n)`` is not a mean."""
    totals = np.arange(1, 4001, dtype=F)
    found = elementwise.BINARY["div"](totals, np.full((), n, dtype=F))
    exact = np.array([float(Fraction(t, n)) for t in range(1, 4001)]).astype(F)  # small terms: no tie is met
    assert found.tobytes() == exact.tobytes() and (found != totals * (F(1) / F(n))).any()


def test_gemm_may_return_a_negative_zero_and_the_product_does_not() -> None:
    """−1 · 2^−149 rounds to −0 in any GEMM that ends in f32; here to +0, as do sums that cancel."""
    a, b = np.array([[-1e-30, 0.0]], dtype=F), np.array([[1e-30], [0.0]], dtype=F)
    assert np.signbit(np.matmul(a.astype(np.float64), b.astype(np.float64)).astype(F))[0, 0]
    for found in (matmul.matmul(a, b), sums.reduce_sum(np.array([[-0.0, -0.0]], dtype=F), (1,))):
        assert found[0, 0] == 0 and not np.signbit(found[0, 0])


def test_a_thread_that_flushes_subnormals_fails_the_vectors() -> None:
    """The real thing: the processor's own mode, as PyTorch sets it."""
    torch = pytest.importorskip("torch")
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormals")
    try:
        for op in ("add", "mul", "div", "exp", "sin"):
            with pytest.raises(AssertionError, match="differ"):
                verify_results(op, compute_reference, layouts=False)
    finally:
        torch.set_flush_denormal(False)
    verify_results("mul", compute_reference)
