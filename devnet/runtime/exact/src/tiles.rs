//! Ops that a whole output tile is computed for at once: elementwise ones (E1, E5), expand, output and the sources.
//!
//! NumPy's broadcasting lines dimensions up from the right, and a tile covers the last two, or more where they are small.
//! So an output tile needs exactly one tile of each input, that of the element which its first element comes from.
//!
//! | tile of     | operands, in order        | value                                      |
//! |-------------|---------------------------|--------------------------------------------|
//! | const, iota | none                      | from attributes and place                  |
//! | uniform     | seed tile, step tile      | Philox words of the tile's elements (E7)   |
//! | others      | one tile of each input    | the op, element by element                 |

use crate::{
    float::sqrt,
    geometry::{as_f32, Planes, Region, Word},
    operands::{check_finite, Operands, Stop, Tile, TileWriter},
    philox::uniform,
    transcendental::{cos, erf, exp, log, sin, tanh},
    types::{Dtype, Form, Op, Statement},
};
use alloc::vec::Vec;

/// Whether an op belongs here.
pub fn is_tile_op(op: &Op) -> bool {
    use Op::*;
    match op {
        Const { .. } | Iota | Uniform { .. } | Output { .. } | Expand | Where | Cast => true,
        Add | Sub | Mul | Div | Eq | Ne | Lt | Le | Gt | Ge | And | Or | Not | Neg | Abs => true,
        Sqrt | Exp | Log | Tanh | Erf | Sin | Cos => true,
        Sum { .. } | Amax { .. } | Matmul { .. } | AddRows | Reshape | Transpose { .. } | Slice { .. } => false,
        Concat { .. } | Pad { .. } | Windows { .. } | TakeRows | Pick | Input { .. } => false,
    }
}

/// The padded bytes of an output tile.
pub fn compute_tile<'a>(statement: &Statement, tile: u32, operands: &mut impl Operands<'a>) -> Result<Vec<u8>, Stop> {
    let output = &statement.node.output;
    let region = output.region(tile);
    let mut writer = TileWriter::new(output.dtype);
    match statement.node.op {
        Op::Const { value } => writer.set(0, 0, value),
        Op::Iota => (0..region.width).for_each(|column| writer.set(0, column, region.column + column)),
        Op::Uniform { stream } => write_uniform(statement, &region, stream, operands, &mut writer)?,
        _ => write_elementwise(statement, &region, operands, &mut writer)?,
    }
    Ok(writer.finish())
}

/// The tile of an input that an output's region reads.
struct Broadcast<'a> {
    tile: Tile<'a>,
    grid: Planes,
    /// For each axis of the output, from the last: its size, and the distance of neighbours in the input (0: the same).
    axes: Vec<(u64, u64)>,
}

impl<'a> Broadcast<'a> {
    fn take(statement: &Statement, number: usize, first: u64, operands: &mut impl Operands<'a>) -> Result<Self, Stop> {
        let form = &statement.inputs[number];
        let (grid, axes) = (form.grid(), broadcast(form, &statement.node.output));
        let (tile, _) = grid.locate(find(&axes, first));
        Ok(Self { tile: Tile::take(statement, operands, number, tile)?, grid, axes })
    }

    /// What an element of the output reads.
    fn at(&self, element: u64) -> Word {
        self.tile.word(self.grid.locate(find(&self.axes, element)).1)
    }
}

fn broadcast(form: &Form, output: &Form) -> Vec<(u64, u64)> {
    let mut distance = 1;
    let own = form.shape.iter().rev().map(|&size| u64::from(size)).chain(core::iter::repeat(1));
    let axis = |(size, own): (&u32, u64)| {
        let step = if own == 1 { 0 } else { distance };
        distance *= own;
        (u64::from(*size), step)
    };
    output.shape.iter().rev().zip(own).map(axis).collect()
}

/// Row-major index of the input's element that an output's element reads.
fn find(axes: &[(u64, u64)], mut element: u64) -> u64 {
    let mut index = 0;
    for &(size, step) in axes {
        index += element % size * step;
        element /= size;
    }
    index
}

fn write_elementwise<'a>(
    statement: &Statement,
    region: &Region,
    operands: &mut impl Operands<'a>,
    writer: &mut TileWriter,
) -> Result<(), Stop> {
    let grid = statement.node.output.grid();
    let first = grid.element(region.batch, region.row, region.column);
    let mut inputs = Vec::with_capacity(statement.inputs.len());
    for number in 0..statement.inputs.len() {
        inputs.push(Broadcast::take(statement, number, first, operands)?);
    }
    let (op, output) = (&statement.node.op, statement.node.output.dtype);
    let dtype = statement.inputs.last().map_or(output, |form| form.dtype);
    let ends_at_infinity = matches!(op, Op::Output { .. }) && output == Dtype::F32;
    let mut words = [0; 3];
    for row in 0..region.height {
        for column in 0..region.width {
            let element = first + row * grid.columns + column;
            for (word, input) in words.iter_mut().zip(&inputs) {
                *word = input.at(element);
            }
            if ends_at_infinity {
                check_finite(as_f32(words[0]))?;
            }
            writer.set(row, column, apply(op, dtype, output, words));
        }
    }
    Ok(())
}

/// One element of an elementwise op, for operands of `dtype` (where: after the condition) and a result of `output`.
fn apply(op: &Op, dtype: Dtype, output: Dtype, words: [Word; 3]) -> Word {
    let [a, b, _] = words;
    let [x, y] = [as_f32(a), as_f32(b)];
    let real = |value: f32| u64::from(value.to_bits());
    match (op, dtype) {
        (Op::Add, Dtype::F32) => real(x + y),
        (Op::Add, _) => a.wrapping_add(b),
        (Op::Sub, Dtype::F32) => real(x - y),
        (Op::Sub, _) => a.wrapping_sub(b),
        (Op::Mul, Dtype::F32) => real(x * y),
        (Op::Mul, _) => a.wrapping_mul(b),
        (Op::Div, _) => real(x / y),
        (Op::Neg, Dtype::F32) => real(-x),
        (Op::Neg, _) => a.wrapping_neg(),
        (Op::Abs, Dtype::F32) => real(x.abs()),
        (Op::Abs, _) => (a as i64).wrapping_abs() as u64,
        (Op::Sqrt, _) => real(sqrt(x)),
        (Op::Exp, _) => real(exp(x)),
        (Op::Log, _) => real(log(x)),
        (Op::Tanh, _) => real(tanh(x)),
        (Op::Erf, _) => real(erf(x)),
        (Op::Sin, _) => real(sin(x)),
        (Op::Cos, _) => real(cos(x)),
        (Op::Eq, Dtype::F32) => (x == y).into(),
        (Op::Eq, _) => (a == b).into(),
        (Op::Ne, Dtype::F32) => (x != y).into(),
        (Op::Ne, _) => (a != b).into(),
        (Op::Lt, _) => less(dtype, a, b, |x, y| x < y, |a, b| a < b),
        (Op::Le, _) => less(dtype, a, b, |x, y| x <= y, |a, b| a <= b),
        (Op::Gt, _) => less(dtype, b, a, |x, y| x < y, |a, b| a < b),
        (Op::Ge, _) => less(dtype, b, a, |x, y| x <= y, |a, b| a <= b),
        (Op::And, _) => a & b,
        (Op::Or, _) => a | b,
        (Op::Not, _) => a ^ 1,
        (Op::Where, _) => words[if a == 1 { 1 } else { 2 }],
        (Op::Cast, _) if output == Dtype::F32 => real(a as i64 as f32),
        _ => a, // expand, output, cast to i64
    }
}

/// A comparison of two f32 or two i64.
fn less(dtype: Dtype, a: Word, b: Word, reals: fn(f32, f32) -> bool, integers: fn(i64, i64) -> bool) -> Word {
    match dtype {
        Dtype::F32 => reals(as_f32(a), as_f32(b)).into(),
        _ => integers(a as i64, b as i64).into(),
    }
}

fn write_uniform<'a>(
    statement: &Statement,
    region: &Region,
    stream: u32,
    operands: &mut impl Operands<'a>,
    writer: &mut TileWriter,
) -> Result<(), Stop> {
    let seed = Tile::take(statement, operands, 0, 0)?;
    let step = Tile::take(statement, operands, 1, 0)?;
    let key = [seed.at(0, 0) as u32, seed.at(0, 1) as u32];
    let grid = statement.node.output.grid();
    for row in 0..region.height {
        for column in 0..region.width {
            let index = grid.element(region.batch, region.row + row, region.column + column);
            let value = uniform(key, stream, step.at(0, 0) as u32, index);
            writer.set(row, column, value.to_bits().into());
        }
    }
    Ok(())
}
