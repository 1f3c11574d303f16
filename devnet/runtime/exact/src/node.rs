//! The op set's rules (`consensus/graph/ops.py`): which nodes a valid graph may hold.

use crate::{
    grid::MAX_MATMUL_BITS,
    types::{Dtype, Error, Form, InputKind, Node, Op, OutputKind, Statement},
};
use alloc::{vec, vec::Vec};

/// Most inputs of a node that can be arbitrated (= 256).
pub const MAX_INPUTS: usize = 1 << 8;
/// Most dimensions of a tensor.
pub const MAX_RANK: usize = 8;
/// Most elements of a tensor (= 268,435,456).
pub const MAX_ELEMENTS: u64 = 1 << 28;
/// Largest amount of a pad, kernel, stride, dilation or step (= 1,048,576).
pub const MAX_PAD: u32 = 1 << 20;
/// Most bytes of a name.
pub const MAX_NAME_BYTES: usize = 256;
/// Most terms of one sum (= 33,554,431).
pub const MAX_TERMS: u64 = (1 << 25) - 1;

/// `Error::BadNode` unless a valid graph may hold the statement's node.
pub fn check(statement: &Statement) -> Result<(), Error> {
    let (node, inputs) = (&statement.node, &statement.inputs);
    let (op, output) = (&node.op, &node.output);
    let counted = node.inputs.len() == inputs.len() && inputs.len() <= MAX_INPUTS;
    if !counted || !output.is_legal() || !inputs.iter().all(Form::is_legal) {
        return Err(Error::BadNode);
    }
    match infer(op, inputs, output) {
        Some((dtype, shape)) if dtype == output.dtype && is_shape(&shape, &output.shape) => Ok(()),
        _ => Err(Error::BadNode),
    }
}

/// `Error::BadNode` unless a valid graph may hold this input node.
pub fn check_input(node: &Node) -> Result<InputKind, Error> {
    let Op::Input { kind, name } = &node.op else { return Err(Error::BadNode) };
    let fits = match kind {
        InputKind::State => node.output.dtype != Dtype::U32,
        InputKind::Batch => node.output.dtype != Dtype::U32 && !node.output.shape.is_empty(),
        InputKind::Seed => node.output == Form { dtype: Dtype::U32, shape: vec![2] },
        InputKind::Step => node.output == Form { dtype: Dtype::I64, shape: vec![] },
    };
    (fits && node.inputs.is_empty() && node.output.is_legal() && is_name(name)).then_some(*kind).ok_or(Error::BadNode)
}

impl Form {
    /// Whether a tensor of a graph may have this shape: bounded, and nothing empty.
    pub fn is_legal(&self) -> bool {
        self.shape.len() <= MAX_RANK && !self.shape.contains(&0) && self.elements() <= MAX_ELEMENTS
    }
}

fn is_shape(computed: &[u64], stated: &[u32]) -> bool {
    computed.iter().copied().eq(stated.iter().map(|&size| u64::from(size)))
}

type Inferred = Option<(Dtype, Vec<u64>)>;

/// The dtype and shape that the op gives for legal inputs; nothing where its rule is broken.
fn infer(op: &Op, inputs: &[Form], output: &Form) -> Inferred {
    if !matches!(op, Op::Uniform { .. }) && inputs.iter().any(|form| form.dtype == Dtype::U32) {
        return None;
    }
    match (op, inputs) {
        (Op::Const { value }, []) => infer_const(output.dtype, *value),
        (Op::Iota, []) => match output.shape.as_slice() {
            &[n] => Some((Dtype::I64, vec![n.into()])),
            _ => None,
        },
        (Op::Add | Op::Sub | Op::Mul, [a, b]) => elementwise(&[a, b], &[Dtype::F32, Dtype::I64]),
        (Op::Div, [a, b]) => elementwise(&[a, b], &[Dtype::F32]),
        (Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge, [a, b]) => {
            let (_, shape) = elementwise(&[a, b], &[Dtype::F32, Dtype::I64])?;
            Some((Dtype::Bool, shape))
        }
        (Op::And | Op::Or, [a, b]) => elementwise(&[a, b], &[Dtype::Bool]),
        (Op::Not, [a]) => elementwise(&[a], &[Dtype::Bool]),
        (Op::Neg | Op::Abs, [a]) => elementwise(&[a], &[Dtype::F32, Dtype::I64]),
        (Op::Sqrt | Op::Exp | Op::Log | Op::Tanh | Op::Erf | Op::Sin | Op::Cos, [a]) => {
            elementwise(&[a], &[Dtype::F32])
        }
        (Op::Where, [condition, a, b]) => {
            let fits = condition.dtype == Dtype::Bool && a.dtype == b.dtype;
            fits.then_some((a.dtype, broadcast(&[&condition.shape, &a.shape, &b.shape])?))
        }
        (Op::Cast, [a]) => {
            let to = output.dtype;
            let legal = [(Dtype::Bool, Dtype::F32), (Dtype::I64, Dtype::F32), (Dtype::Bool, Dtype::I64)];
            legal.contains(&(a.dtype, to)).then(|| (to, wide(&a.shape)))
        }
        (Op::Sum { axes } | Op::Amax { axes }, [a]) => infer_reduce(op, axes, a),
        (Op::Matmul { bits }, [a, b]) => infer_matmul(*bits, a, b),
        (Op::Reshape, [a]) => (a.elements() == output.elements()).then(|| (a.dtype, wide(&output.shape))),
        (Op::Expand, [a]) => Some((a.dtype, broadcast(&[&a.shape, &output.shape])?)),
        (Op::Transpose { perm }, [a]) => {
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            sorted.iter().map(|&axis| usize::from(axis)).eq(0..a.shape.len()).then_some(())?;
            Some((a.dtype, perm.iter().map(|&axis| a.shape[usize::from(axis)].into()).collect()))
        }
        (&Op::Slice { axis, start, stop, step }, [a]) => infer_slice(axis.into(), start, stop, step, a),
        (Op::Concat { axis }, [first, ..]) => infer_concat(usize::from(*axis), first, inputs),
        (Op::Pad { low, high, interior }, [a, fill]) => infer_pad(low, high, interior, a, fill),
        (Op::Windows { kernel, stride, dilation }, [a]) => infer_windows(kernel, stride, dilation, a),
        (Op::TakeRows, [table, index]) => {
            let (_, row) = table.shape.split_first()?;
            (index.dtype == Dtype::I64).then(|| (table.dtype, [wide(&index.shape), wide(row)].concat()))
        }
        (Op::Pick, [values, index]) => {
            let (_, leading) = values.shape.split_last()?;
            let (_, index_leading) = index.shape.split_last()?;
            let fits = index.dtype == Dtype::I64 && leading == index_leading;
            fits.then(|| (values.dtype, wide(&index.shape)))
        }
        (Op::AddRows, [values, index]) => match (values.shape.as_slice(), output.shape.as_slice()) {
            (&[terms, columns], &[rows, _]) => {
                let fits = values.dtype == Dtype::F32 && index.dtype == Dtype::I64 && index.shape == [terms];
                (fits && u64::from(terms) <= MAX_TERMS).then(|| (Dtype::F32, wide(&[rows, columns])))
            }
            _ => None,
        },
        (Op::Uniform { .. }, [seed, step]) => {
            let fits = seed.dtype == Dtype::U32 && seed.shape == [2] && step.dtype == Dtype::I64;
            (fits && step.shape.is_empty()).then(|| (Dtype::F32, wide(&output.shape)))
        }
        (Op::Output { kind, name }, [a]) => {
            let scalar = a.dtype == Dtype::F32 && a.shape.is_empty();
            let fits = scalar || matches!(kind, OutputKind::State | OutputKind::Result);
            (fits && is_name(name)).then(|| (a.dtype, wide(&a.shape)))
        }
        _ => None,
    }
}

fn wide(shape: &[u32]) -> Vec<u64> {
    shape.iter().map(|&size| size.into()).collect()
}

/// Names have 1 to 256 bytes and no control characters.
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// NumPy's rule: aligned at the last axis, sizes are equal or 1.
fn broadcast(shapes: &[&[u32]]) -> Option<Vec<u64>> {
    let rank = shapes.iter().map(|shape| shape.len()).max()?;
    let mut result = vec![1; rank];
    for shape in shapes {
        for (size, &own) in result.iter_mut().rev().zip(shape.iter().rev()) {
            if *size == 1 {
                *size = own.into();
            } else if own != 1 && *size != u64::from(own) {
                return None;
            }
        }
    }
    Some(result)
}

fn elementwise(inputs: &[&Form], dtypes: &[Dtype]) -> Inferred {
    let dtype = inputs.first()?.dtype;
    let legal = dtypes.contains(&dtype) && inputs.iter().all(|form| form.dtype == dtype);
    let shapes: Vec<&[u32]> = inputs.iter().map(|form| form.shape.as_slice()).collect();
    legal.then_some((dtype, broadcast(&shapes)?))
}

fn infer_const(dtype: Dtype, value: u64) -> Inferred {
    let legal = match dtype {
        Dtype::F32 => u32::try_from(value).is_ok_and(|bits| !f32::from_bits(bits).is_nan()),
        Dtype::I64 => true,
        Dtype::Bool => value <= 1,
        Dtype::U32 => false,
    };
    legal.then(|| (dtype, vec![]))
}

fn infer_reduce(op: &Op, axes: &[u8], a: &Form) -> Inferred {
    let rising = axes.windows(2).all(|pair| pair[0] < pair[1]);
    let last = usize::from(*axes.last()?);
    if a.dtype != Dtype::F32 || !rising || last >= a.shape.len() {
        return None;
    }
    let mut shape = wide(&a.shape);
    let mut terms = 1;
    for &axis in axes {
        terms *= core::mem::replace(&mut shape[usize::from(axis)], 1);
    }
    let bounded = terms <= MAX_TERMS || matches!(op, Op::Amax { .. });
    bounded.then_some((Dtype::F32, shape))
}

fn infer_matmul(bits: u8, a: &Form, b: &Form) -> Inferred {
    let ([leading @ .., m, k], [b_leading @ .., b_k, n]) = (a.shape.as_slice(), b.shape.as_slice()) else {
        return None;
    };
    let fits = a.dtype == Dtype::F32 && b.dtype == Dtype::F32 && leading == b_leading && k == b_k;
    let exact = (1..=MAX_MATMUL_BITS).contains(&bits) && u64::from(*k) < 1 << (53 - 2 * u32::from(bits));
    (fits && exact).then(|| (Dtype::F32, [wide(leading), wide(&[*m, *n])].concat()))
}

fn infer_slice(axis: usize, start: u32, stop: u32, step: u32, a: &Form) -> Inferred {
    let size = *a.shape.get(axis)?;
    let legal = start < stop && stop <= size && (1..=MAX_PAD).contains(&step);
    let mut shape = wide(&a.shape);
    shape[axis] = legal.then(|| (stop - start).div_ceil(step).into())?;
    Some((a.dtype, shape))
}

fn infer_concat(axis: usize, first: &Form, inputs: &[Form]) -> Inferred {
    let mut shape = wide(&first.shape);
    *shape.get_mut(axis)? = 0;
    for form in inputs {
        let along = u64::from(*form.shape.get(axis)?);
        let mut own = wide(&form.shape);
        own[axis] = shape[axis];
        if form.dtype != first.dtype || own != shape {
            return None;
        }
        shape[axis] += along;
    }
    Some((first.dtype, shape))
}

fn infer_pad(low: &[u32], high: &[u32], interior: &[u32], a: &Form, fill: &Form) -> Inferred {
    let amounts = [low, high, interior];
    let legal = amounts.iter().all(|list| list.len() == a.shape.len() && list.iter().all(|&n| n <= MAX_PAD));
    if !legal || fill.dtype != a.dtype || !fill.shape.is_empty() {
        return None;
    }
    let size = |axis: usize| {
        let [before, after, between] = amounts.map(|list| u64::from(list[axis]));
        before + (u64::from(a.shape[axis]) - 1) * (between + 1) + 1 + after
    };
    Some((a.dtype, (0..a.shape.len()).map(size).collect()))
}

fn infer_windows(kernel: &[u32], stride: &[u32], dilation: &[u32], a: &Form) -> Inferred {
    let [leading @ .., height, width] = a.shape.as_slice() else {
        return None;
    };
    let legal = [kernel, stride, dilation]
        .iter()
        .all(|list| list.len() == 2 && list.iter().all(|&n| (1..=MAX_PAD).contains(&n)));
    if !legal {
        return None;
    }
    let places = |axis: usize, size: u32| {
        let span = u64::from(dilation[axis]) * u64::from(kernel[axis] - 1) + 1;
        Some(u64::from(size).checked_sub(span)? / u64::from(stride[axis]) + 1)
    };
    let windows = vec![places(0, *height)?, places(1, *width)?];
    Some((a.dtype, [wide(leading), windows, wide(kernel)].concat()))
}
