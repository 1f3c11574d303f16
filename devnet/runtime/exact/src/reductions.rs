//! Reductions as trees of partials: sum, amax, add_rows by output element, matmul by output tile.
//!
//! A reduction's set is cut into parts of its input's tiles; a leaf is what one part contributes. Leaves combine by `FAN` (or
//! `MATMUL_FAN`) to the root. First the largest magnitude, which fixes the grid (E2); then, on that grid, the exact sum;
//! at last one rounding.
//!
//! | op       | of (set)                                   | leaves                          | quantities          | top     |
//! |----------|--------------------------------------------|---------------------------------|---------------------|---------|
//! | sum      | MAXIMUM, SUM: output element               | the parts that meet the         | MAXIMUM, SUM        | element |
//! |          |                                            | set, row-major                  |                     |         |
//! | amax     | MAXIMUM: output element                    | the same                        | MAXIMUM             | element |
//! | add_rows | MAXIMUM: column d                          | ⌈N/32⌉ value tiles              | MAXIMUM             | element |
//! |          | SUM: output element (r, d)                 | value tile and index tile       | SUM                 |         |
//! | matmul   | MAXIMUM: matrix · ⌈M/32⌉ + I               | ⌈K/32⌉ parts of A               | MAXIMUM of 32 rows  | tile or |
//! |          | RIGHT_MAXIMUM: matrix · ⌈N/32⌉ + J         | ⌈K/32⌉ parts of B               | … of 32 columns     | element |
//! |          | SUM: (matrix, I, J)                        | a part of A and one of B        | 32×32 SUM           |         |
//!
//! Cut are the matrices of the last two axes, at multiples of 32: a part lies in one tile even where small axes count as
//! one. There a tile of a matmul's output holds several matrices and is made of elements; elsewhere (matrix, I, J) is its
//! number.
//!
//! Values: a maximum is 4 bytes a lane (the f32's bits), a sum 8 bytes (i64); lanes are 1, for matmul 32 and 1,024.
//! Operands of a leaf: its input tiles, then the roots of the maxima that a sum needs; of an inner node: its children;
//! of the top: the roots of the maxima, then of the sum.

use crate::{
    float::larger,
    geometry::{product, ravel, read_word, tiles_over, unravel, Planes, TILE_ELEMENTS, TILE_SIDE},
    grid::{exponent, quantise, rescale, SUM_BITS, SUM_LIMIT},
    operands::{check_finite, check_index, check_no_top, write_element, Operands, Part, Stop, Tile, TileWriter},
    types::{Dtype, Error, Op, Partial, Place, Quantity, Source, Statement},
};
use alloc::{vec, vec::Vec};

/// Children of an inner node.
pub const FAN: u64 = 16;
/// Children of an inner node of matmul's sums, 8 KiB each (= 32,768 bytes).
pub const MATMUL_FAN: u64 = 4;

/// Quantities of an op's partials, in the order in which they are agreed; none for ops that reduce nothing.
pub fn quantities(op: &Op) -> &'static [Quantity] {
    match op {
        Op::Sum { .. } | Op::AddRows => &[Quantity::Maximum, Quantity::Sum],
        Op::Amax { .. } => &[Quantity::Maximum],
        Op::Matmul { .. } => &[Quantity::Maximum, Quantity::RightMaximum, Quantity::Sum],
        _ => &[],
    }
}

// --- the form of a tree ---------------------------------------------------------------------------------------------

/// Numbers in one partial.
fn lanes(op: &Op, quantity: Quantity) -> usize {
    match (op, quantity) {
        (Op::Matmul { .. }, Quantity::Sum) => TILE_ELEMENTS,
        (Op::Matmul { .. }, _) => TILE_SIDE as usize,
        _ => 1,
    }
}

/// Children of an inner node.
fn fan(op: &Op, quantity: Quantity) -> u64 {
    match (op, quantity) {
        (Op::Matmul { .. }, Quantity::Sum) => MATMUL_FAN,
        _ => FAN,
    }
}

/// Parts of a matmul's result that its kind of set counts, down and across a matrix.
struct MatmulGrid {
    down: u64,
    across: u64,
}

impl MatmulGrid {
    fn new(statement: &Statement, quantity: Quantity) -> Self {
        let output = statement.node.output.matrices();
        Self {
            down: if quantity == Quantity::RightMaximum { 1 } else { tiles_over(output.rows) },
            across: if quantity == Quantity::Maximum { 1 } else { tiles_over(output.columns) },
        }
    }

    /// Matrix, band and column of parts of a set.
    fn split(&self, of: u32) -> (u64, u64, u64) {
        let (batch, rest) = (u64::from(of) / (self.down * self.across), u64::from(of) % (self.down * self.across));
        (batch, rest / self.across, rest % self.across)
    }
}

/// How many sets the quantity is reduced over.
fn count_sets(statement: &Statement, quantity: Quantity) -> u64 {
    let output = &statement.node.output;
    match statement.node.op {
        Op::AddRows if quantity == Quantity::Maximum => output.matrices().columns,
        Op::Matmul { .. } => {
            let grid = MatmulGrid::new(statement, quantity);
            output.matrices().count * grid.down * grid.across
        }
        _ => output.elements(),
    }
}

/// Number of nodes of each level, leaves first, the last 1.
fn count_levels(statement: &Statement, quantity: Quantity) -> Vec<u64> {
    let (op, input) = (&statement.node.op, &statement.inputs[0]);
    let mut width = match op {
        Op::AddRows => tiles_over(input.matrices().rows),
        Op::Matmul { .. } => tiles_over(input.matrices().columns),
        _ => product(&ReducedSet::new(statement).pieces),
    };
    let mut counts = vec![width];
    while width > 1 {
        width = width.div_ceil(fan(op, quantity));
        counts.push(width);
    }
    counts
}

/// The place of a tree's root.
fn root(statement: &Statement, quantity: Quantity, of: u32) -> Partial {
    Partial { quantity, of, level: (count_levels(statement, quantity).len() - 1) as u8, index: 0 }
}

/// The set of sum and amax: their input's shape with a dimension 1 in front of rank 1, and what is reduced of it.
struct ReducedSet {
    shape: Vec<u32>,
    reduced: Vec<bool>,
    /// Pieces that tiles cut each axis of the set into: 1 where it is not reduced.
    pieces: Vec<u32>,
}

impl ReducedSet {
    fn new(statement: &Statement) -> Self {
        let (Op::Sum { axes } | Op::Amax { axes }) = &statement.node.op else {
            return Self { shape: vec![1; 2], reduced: vec![false; 2], pieces: vec![1; 2] };
        };
        let input = &statement.inputs[0].shape;
        let missing = 2_usize.saturating_sub(input.len());
        let shape = [&vec![1; missing], input.as_slice()].concat();
        let reduced: Vec<bool> =
            (0..shape.len()).map(|axis| axes.iter().any(|&given| usize::from(given) + missing == axis)).collect();
        let tiled = shape.len() - 2;
        let pieces = (0..shape.len()).map(|axis| match (reduced[axis], axis < tiled) {
            (false, _) => 1,
            (true, true) => shape[axis],
            (true, false) => shape[axis].div_ceil(TILE_SIDE as u32),
        });
        Self { pieces: pieces.collect(), shape, reduced }
    }

    /// First row (or column) and length of a piece along one of the last two axes.
    fn range(&self, axis: usize, piece: u64, fixed: u64) -> (u64, u64) {
        if self.reduced[axis] {
            let start = piece * TILE_SIDE;
            (start, (u64::from(self.shape[axis]) - start).min(TILE_SIDE))
        } else {
            (fixed, 1)
        }
    }
}

// --- values ---------------------------------------------------------------------------------------------------------

/// The value of a node of a tree.
pub fn compute_partial<'a>(
    statement: &Statement,
    place: Partial,
    operands: &mut impl Operands<'a>,
) -> Result<Vec<u8>, Stop> {
    let (op, quantity) = (&statement.node.op, place.quantity);
    if !quantities(op).contains(&quantity) {
        return Err(Error::BadPlace.into());
    }
    let counts = count_levels(statement, quantity);
    let count = counts.get(usize::from(place.level)).copied().unwrap_or(0);
    if u64::from(place.of) >= count_sets(statement, quantity) || u64::from(place.index) >= count {
        return Err(Error::BadPlace.into());
    }
    match (usize::from(place.level).checked_sub(1), op) {
        (Some(below), _) => inner_node(statement, place, counts[below], operands),
        (None, Op::AddRows) => rows_leaf(statement, place, operands),
        (None, Op::Matmul { bits }) => matmul_leaf(statement, place, i32::from(*bits), operands),
        (None, _) => set_leaf(statement, place, operands),
    }
}

/// An output element from the roots of its trees; of a matmul the 32×32 results at (matrix, I, J).
pub fn compute_top<'a>(statement: &Statement, of: u32, operands: &mut impl Operands<'a>) -> Result<Vec<u8>, Stop> {
    let maximum_of = match statement.node.op {
        Op::Matmul { bits } => return matmul_top(statement, of, i32::from(bits), operands),
        Op::AddRows => (u64::from(of) % statement.node.output.matrices().columns) as u32,
        _ => of,
    };
    let largest = take_maximum(statement, maximum_of, operands)?;
    if matches!(statement.node.op, Op::Amax { .. }) {
        return Ok(write_element(Dtype::F32, largest.to_bits().into()));
    }
    let total = take_sums(statement, root(statement, Quantity::Sum, of), operands)?;
    let value = rescale(total[0], exponent(largest) - SUM_BITS);
    Ok(write_element(Dtype::F32, value.to_bits().into()))
}

/// An element of a matmul whose matrices have at most 32 elements each, and so one 32×32 result each.
pub fn compute_product_element<'a>(
    statement: &Statement,
    element: u32,
    operands: &mut impl Operands<'a>,
) -> Result<Vec<u8>, Stop> {
    let Planes { rows, columns, .. } = statement.node.output.matrices();
    let (matrix, rest) = (u64::from(element) / (rows * columns), u64::from(element) % (rows * columns));
    let results = compute_top(statement, matrix as u32, operands)?;
    let place = rest / columns * TILE_SIDE + rest % columns;
    Ok(write_element(Dtype::F32, read_word(Dtype::F32, &results, place as usize)))
}

/// Agreed maxima; refuses what no execution has.
fn take_maxima<'a>(statement: &Statement, place: Partial, operands: &mut impl Operands<'a>) -> Result<Vec<f32>, Stop> {
    let op = &statement.node.op;
    let data = operands.take(Source::Claim(Place::Partial(place)), lanes(op, place.quantity) * 4)?;
    let maxima: Vec<f32> = data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let signed = matches!(op, Op::Amax { .. });
    let legal = |x: &f32| !x.is_nan() && *x != f32::INFINITY && (signed || x.is_sign_positive());
    if maxima.iter().all(legal) {
        Ok(maxima)
    } else {
        Err(Error::Inconsistent.into())
    }
}

/// The one agreed maximum of a set of sum, amax or add_rows.
fn take_maximum<'a>(statement: &Statement, of: u32, operands: &mut impl Operands<'a>) -> Result<f32, Stop> {
    Ok(take_maxima(statement, root(statement, Quantity::Maximum, of), operands)?[0])
}

/// Agreed sums; refuses what no execution has.
fn take_sums<'a>(statement: &Statement, place: Partial, operands: &mut impl Operands<'a>) -> Result<Vec<i64>, Stop> {
    let data = operands.take(Source::Claim(Place::Partial(place)), lanes(&statement.node.op, place.quantity) * 8)?;
    let sums: Vec<i64> = data.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect();
    check_sums(sums)
}

fn check_sums(sums: Vec<i64>) -> Result<Vec<i64>, Stop> {
    if sums.iter().all(|sum| sum.unsigned_abs() < SUM_LIMIT.unsigned_abs()) {
        Ok(sums)
    } else {
        Err(Error::Inconsistent.into())
    }
}

/// The largest or the sum of up to `FAN` children, of which `below` stand on their level.
fn inner_node<'a>(
    statement: &Statement,
    place: Partial,
    below: u64,
    operands: &mut impl Operands<'a>,
) -> Result<Vec<u8>, Stop> {
    let (op, quantity) = (&statement.node.op, place.quantity);
    let first = u64::from(place.index) * fan(op, quantity);
    let children = first..(first + fan(op, quantity)).min(below);
    let child = |index: u64| Partial { level: place.level - 1, index: index as u32, ..place };
    if quantity == Quantity::Sum {
        let mut total = vec![0; lanes(op, quantity)];
        for index in children {
            let sums = take_sums(statement, child(index), operands)?;
            total.iter_mut().zip(sums).for_each(|(all, one): (&mut i64, i64)| *all += one);
            // under 2^57
        }
        return Ok(write_sums(&check_sums(total)?));
    }
    let mut all: Vec<f32> = Vec::new();
    for index in children {
        let maxima = take_maxima(statement, child(index), operands)?;
        if all.is_empty() {
            all = maxima;
        } else {
            all.iter_mut().zip(maxima).for_each(|(all, one)| *all = larger(*all, one));
        }
    }
    Ok(write_maxima(&all))
}

fn write_sums(sums: &[i64]) -> Vec<u8> {
    sums.iter().flat_map(|sum| sum.to_le_bytes()).collect()
}

fn write_maxima(maxima: &[f32]) -> Vec<u8> {
    maxima.iter().flat_map(|maximum| maximum.to_le_bytes()).collect()
}

/// A finite value on the grid of its set's agreed maximum (E2); refuses a value above it.
fn quantise_under(value: f32, largest: f32, bits: i32) -> Result<i64, Stop> {
    if value.abs() > largest {
        return Err(Error::Inconsistent.into());
    }
    Ok(quantise(value, bits, exponent(largest)))
}

/// Largest value, largest magnitude or sum of the part of a set that lies in one tile.
fn set_leaf<'a>(statement: &Statement, place: Partial, operands: &mut impl Operands<'a>) -> Result<Vec<u8>, Stop> {
    let set = ReducedSet::new(statement);
    let kept: Vec<u32> = set.shape.iter().zip(&set.reduced).map(|(&n, &gone)| if gone { 1 } else { n }).collect();
    let (piece, fixed) = (unravel(&set.pieces, place.index.into()), unravel(&kept, place.of.into()));
    let down = set.shape.len() - 2;
    let leading: Vec<u64> = piece.iter().zip(&fixed).take(down).map(|(p, f)| p + f).collect();
    let batch = ravel(&set.shape[..down], &leading);
    let (row, height) = set.range(down, piece[down], fixed[down]);
    let (column, width) = set.range(down + 1, piece[down + 1], fixed[down + 1]);
    let part = Part::take(statement, operands, 0, (batch, row, column))?;
    let mut values = Vec::with_capacity((height * width) as usize);
    for y in 0..height {
        values.extend((0..width).map(|x| part.at(y, x)));
    }
    if matches!(statement.node.op, Op::Amax { .. }) {
        values.iter().try_for_each(|&value| check_no_top(value))?;
        let largest = values.iter().copied().fold(f32::NEG_INFINITY, larger);
        return Ok(write_maxima(&[largest]));
    }
    if place.quantity == Quantity::Maximum {
        return largest_magnitude(&values);
    }
    let largest = take_maximum(statement, place.of, operands)?;
    values.iter().try_for_each(|&value| check_finite(value))?;
    let mut sum = 0;
    for &value in &values {
        sum += quantise_under(value, largest, SUM_BITS)?;
    }
    Ok(write_sums(&[sum]))
}

/// The leaf of a set's largest magnitude.
fn largest_magnitude(values: &[f32]) -> Result<Vec<u8>, Stop> {
    values.iter().try_for_each(|&value| check_finite(value))?;
    let largest = values.iter().fold(0.0, |largest, value| larger(largest, value.abs()));
    Ok(write_maxima(&[largest]))
}

/// Largest magnitude of values in column d of add_rows, or the sum of those that the index sends to row r.
fn rows_leaf<'a>(statement: &Statement, place: Partial, operands: &mut impl Operands<'a>) -> Result<Vec<u8>, Stop> {
    let (input, output) = (statement.inputs[0].matrices(), statement.node.output.matrices());
    let row = u64::from(place.index) * TILE_SIDE;
    let column = u64::from(place.of) % output.columns;
    let count = (input.rows - row).min(TILE_SIDE);
    let part = Part::take(statement, operands, 0, (0, row, column))?;
    let values: Vec<f32> = (0..count).map(|y| part.at(y, 0)).collect();
    if place.quantity == Quantity::Maximum {
        return largest_magnitude(&values);
    }
    let index = Tile::take(statement, operands, 1, place.index)?;
    let target = u64::from(place.of) / output.columns;
    let largest = take_maximum(statement, column as u32, operands)?;
    values.iter().try_for_each(|&value| check_finite(value))?;
    for at in 0..count {
        check_index(index.at(0, at), output.rows)?;
    }
    let mut sum = 0;
    for (at, &value) in values.iter().enumerate() {
        let quantised = quantise_under(value, largest, SUM_BITS)?;
        if index.word(at) == target {
            sum += quantised;
        }
    }
    Ok(write_sums(&[sum]))
}

/// Where a part of a matmul's result (or a band or column of them) stands.
struct MatmulPart {
    matrix: u64,
    row: u64,
    column: u64,
    height: u64,
    width: u64,
}

impl MatmulPart {
    fn new(statement: &Statement, quantity: Quantity, of: u32) -> Self {
        let output = statement.node.output.matrices();
        let (matrix, band, across) = MatmulGrid::new(statement, quantity).split(of);
        let (row, column) = (band * TILE_SIDE, across * TILE_SIDE);
        let (height, width) = ((output.rows - row).min(TILE_SIDE), (output.columns - column).min(TILE_SIDE));
        Self { matrix, row, column, height, width }
    }

    /// Agreed maxima of the part's 32 rows and 32 columns.
    fn take_maxima<'a>(
        &self,
        statement: &Statement,
        operands: &mut impl Operands<'a>,
    ) -> Result<(Vec<f32>, Vec<f32>), Stop> {
        let output = statement.node.output.matrices();
        let left = self.matrix * tiles_over(output.rows) + self.row / TILE_SIDE;
        let right = self.matrix * tiles_over(output.columns) + self.column / TILE_SIDE;
        Ok((
            take_maxima(statement, root(statement, Quantity::Maximum, left as u32), operands)?,
            take_maxima(statement, root(statement, Quantity::RightMaximum, right as u32), operands)?,
        ))
    }
}

/// What a part of A, a part of B, or both give: maxima of rows, maxima of columns, or exact products on the grid.
fn matmul_leaf<'a>(
    statement: &Statement,
    place: Partial,
    bits: i32,
    operands: &mut impl Operands<'a>,
) -> Result<Vec<u8>, Stop> {
    let k = u64::from(place.index) * TILE_SIDE;
    let depth = (statement.inputs[0].matrices().columns - k).min(TILE_SIDE);
    let at = MatmulPart::new(statement, place.quantity, place.of);
    let (a_start, b_start) = ((at.matrix, at.row, k), (at.matrix, k, at.column));
    // Rows of A and columns of B, so that both sides are lists of `depth` numbers.
    let rows = |part: Part| lines(at.height, depth, |row, step| part.at(row, step));
    let columns = |part: Part| lines(at.width, depth, |column, step| part.at(step, column));
    match place.quantity {
        Quantity::Maximum => line_maxima(&rows(Part::take(statement, operands, 0, a_start)?)),
        Quantity::RightMaximum => line_maxima(&columns(Part::take(statement, operands, 1, b_start)?)),
        Quantity::Sum => {
            let a = rows(Part::take(statement, operands, 0, a_start)?);
            let b = columns(Part::take(statement, operands, 1, b_start)?);
            let (largest_a, largest_b) = at.take_maxima(statement, operands)?;
            a.iter().chain(&b).flatten().try_for_each(|&value| check_finite(value))?;
            let (a, b) = (quantise_lines(&a, &largest_a, bits)?, quantise_lines(&b, &largest_b, bits)?);
            let mut writer = TileWriter::new(Dtype::I64);
            for (row, left) in (0..).zip(&a) {
                for (column, right) in (0..).zip(&b) {
                    let sum: i64 = left.iter().zip(right).map(|(x, y)| x * y).sum(); // at most 32 · 2^28
                    writer.set(row, column, sum as u64);
                }
            }
            Ok(writer.finish())
        }
    }
}

fn lines(count: u64, depth: u64, at: impl Fn(u64, u64) -> f32) -> Vec<Vec<f32>> {
    (0..count).map(|line| (0..depth).map(|step| at(line, step)).collect()).collect()
}

/// The largest magnitude of each line, +0 for lines beyond the tensor's edge.
fn line_maxima(lines: &[Vec<f32>]) -> Result<Vec<u8>, Stop> {
    lines.iter().flatten().try_for_each(|&value| check_finite(value))?;
    let mut maxima = [0.0; TILE_SIDE as usize];
    for (largest, line) in maxima.iter_mut().zip(lines) {
        *largest = line.iter().fold(0.0, |largest, value| larger(largest, value.abs()));
    }
    Ok(write_maxima(&maxima))
}

fn quantise_lines(lines: &[Vec<f32>], largest: &[f32], bits: i32) -> Result<Vec<Vec<i64>>, Stop> {
    let line = |(values, &largest): (&Vec<f32>, &f32)| {
        values.iter().map(|&value| quantise_under(value, largest, bits)).collect()
    };
    lines.iter().zip(largest).map(line).collect()
}

/// 32×32 results of a matmul: each agreed sum on its row's and column's grid, rounded once.
fn matmul_top<'a>(
    statement: &Statement,
    of: u32,
    bits: i32,
    operands: &mut impl Operands<'a>,
) -> Result<Vec<u8>, Stop> {
    let at = MatmulPart::new(statement, Quantity::Sum, of);
    let (largest_a, largest_b) = at.take_maxima(statement, operands)?;
    let total = take_sums(statement, root(statement, Quantity::Sum, of), operands)?;
    let mut writer = TileWriter::new(Dtype::F32);
    for row in 0..TILE_SIDE {
        for column in 0..TILE_SIDE {
            let scale = exponent(largest_a[row as usize]) + exponent(largest_b[column as usize]) - 2 * bits;
            let value = rescale(total[(row * TILE_SIDE + column) as usize], scale);
            writer.set(row, column, value.to_bits().into());
        }
    }
    Ok(writer.finish())
}
