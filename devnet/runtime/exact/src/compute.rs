//! The arbiter: the only right value of a place, from its operands (`consensus/arbiter/compute.py`).
//!
//! `compute` never trusts the statement: a node that no valid graph holds, a place that it has not, and operands other
//! than those needed are refused. What is still trusted is where operands come from: `opening::arbitrate` checks that.

use crate::{
    elements::{compute_element, is_movement},
    geometry::{as_f32, read_word},
    node,
    operands::{
        check_finite, check_index, check_no_top, BlankOperands, GivenOperands, Operands, Stop, Tile, TileWriter,
    },
    reductions::{compute_partial, compute_product_element, compute_top, quantities},
    tiles::{compute_tile, is_tile_op},
    types::{Dtype, Error, Node, Op, Outcome, Place, Requirement, Source, Statement},
};
use alloc::vec::Vec;

/// The bytes of the statement's place, or the ending that an operand brings.
pub fn compute<'a>(
    statement: &Statement,
    operands: impl Iterator<Item = (Source, &'a [u8])>,
) -> Result<Outcome, Error> {
    let mut given = GivenOperands(operands);
    let outcome = match compute_from(statement, &mut given) {
        Ok(value) => Outcome::Value(value),
        Err(Stop::Ends(ending)) => Outcome::Ends(ending),
        Err(Stop::Refused(error)) => return Err(error),
    };
    given.0.next().is_none().then_some(outcome).ok_or(Error::BadOperands)
}

/// What `compute` will ask for, in order. For take_rows and pick the second source is right only for an index of 0.
pub fn required(statement: &Statement) -> Result<Vec<Requirement>, Error> {
    let mut blank = BlankOperands::default();
    match compute_from(statement, &mut blank) {
        Err(Stop::Refused(error)) => Err(error),
        _ => Ok(blank.0),
    }
}

/// Whether tiles of the node's value are made of its elements, one by one: who has such a tile has all of these.
pub fn is_made_of_elements(node: &Node) -> bool {
    match node.op {
        Op::Matmul { .. } => node.output.grid() != node.output.matrices(),
        _ => !is_tile_op(&node.op),
    }
}

/// `compute` with operands on demand.
pub fn compute_from<'a>(statement: &Statement, operands: &mut impl Operands<'a>) -> Result<Vec<u8>, Stop> {
    node::check(statement)?;
    let (op, output) = (&statement.node.op, &statement.node.output);
    let reduces = !quantities(op).is_empty();
    match statement.place {
        Place::Tile(tile) if u64::from(tile) < output.tile_count() => match op {
            _ if is_made_of_elements(&statement.node) => collect_elements(statement, tile, operands),
            Op::Matmul { .. } => compute_top(statement, tile, operands),
            _ => compute_tile(statement, tile, operands),
        },
        Place::Element(element) if u64::from(element) < output.elements() => match op {
            _ if is_movement(op) => compute_element(statement, element.into(), operands),
            Op::Matmul { .. } if output.grid() != output.matrices() => {
                compute_product_element(statement, element, operands)
            }
            Op::Matmul { .. } => Err(Error::BadPlace.into()),
            _ if reduces => compute_top(statement, element, operands),
            _ => Err(Error::BadPlace.into()),
        },
        Place::Partial(partial) if reduces => compute_partial(statement, partial, operands),
        Place::Check { input, tile } if usize::from(input) < statement.inputs.len() => {
            check_input(statement, input.into(), tile, operands)
        }
        _ => Err(Error::BadPlace.into()),
    }
}

/// An output tile from its agreed elements.
fn collect_elements<'a>(statement: &Statement, tile: u32, operands: &mut impl Operands<'a>) -> Result<Vec<u8>, Stop> {
    let output = &statement.node.output;
    let region = output.region(tile);
    let mut writer = TileWriter::new(output.dtype);
    for row in 0..region.height {
        let first = output.grid().element(region.batch, region.row + row, region.column);
        for column in 0..region.width {
            let source = Source::Claim(Place::Element((first + column) as u32));
            let data = operands.take(source, output.dtype.size())?;
            writer.set(row, column, read_word(output.dtype, &data, 0));
        }
    }
    Ok(writer.finish())
}

/// Empty unless the input tile ends the unit at this node; `BadPlace` for an input that never does.
fn check_input<'a>(
    statement: &Statement,
    input: usize,
    tile: u32,
    operands: &mut impl Operands<'a>,
) -> Result<Vec<u8>, Stop> {
    let (op, form) = (&statement.node.op, &statement.inputs[input]);
    let table = match (op, input) {
        (Op::TakeRows, 1) => statement.inputs[0].shape.first(),
        (Op::Pick, 1) => statement.inputs[0].shape.last(),
        (Op::AddRows, 1) => statement.node.output.shape.first(),
        _ => None,
    };
    let finite = match op {
        Op::Matmul { .. } => true,
        Op::Sum { .. } | Op::Amax { .. } | Op::AddRows | Op::Output { .. } => input == 0 && form.dtype == Dtype::F32,
        _ => false,
    };
    if u64::from(tile) >= form.tile_count() || !(finite || table.is_some()) {
        return Err(Error::BadPlace.into());
    }
    let values = Tile::take(statement, operands, input, tile)?;
    let region = form.region(tile);
    for row in 0..region.height {
        for column in 0..region.width {
            let word = values.at(row, column);
            match (table, op) {
                (Some(&size), _) => _ = check_index(word, size.into())?,
                (None, Op::Amax { .. }) => check_no_top(as_f32(word))?,
                (None, _) => check_finite(as_f32(word))?,
            }
        }
    }
    Ok(Vec::new())
}
