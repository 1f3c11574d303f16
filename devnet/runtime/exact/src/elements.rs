//! Ops that move values from scattered places: one output element at a time.
//!
//! | element of                  | operands, in order                | value                                            |
//! |-----------------------------|-----------------------------------|--------------------------------------------------|
//! | reshape transpose slice     | the input's tile that holds it    | the element there                                |
//! | concat windows              | the same                          | the element there                                |
//! | pad                         | the same, or the fill's tile      | the element there, or the fill                   |
//! | take_rows pick              | index tile, then the tile that    | the element there; ends the unit where the index |
//! |                             | the index names                   | is out of range                                  |

use crate::{
    geometry::{product, ravel, unravel, Word},
    operands::{check_index, write_element, Operands, Stop, Tile},
    types::{Error, Op, Statement},
};
use alloc::vec::Vec;

/// Whether an op belongs here.
pub fn is_movement(op: &Op) -> bool {
    use Op::*;
    matches!(
        op,
        Reshape | Transpose { .. } | Slice { .. } | Concat { .. } | Pad { .. } | Windows { .. } | TakeRows | Pick
    )
}

/// The bytes of an output element.
pub fn compute_element<'a>(
    statement: &Statement,
    element: u64,
    operands: &mut impl Operands<'a>,
) -> Result<Vec<u8>, Stop> {
    let (number, index) = match statement.node.op {
        Op::TakeRows | Op::Pick => (0, gather(statement, element, operands)?),
        _ => find_source(statement, element)?,
    };
    let word = take_element(statement, number, index, operands)?;
    Ok(write_element(statement.node.output.dtype, word))
}

/// A row-major element of an input, from the tile that holds it.
fn take_element<'a>(
    statement: &Statement,
    number: usize,
    index: u64,
    operands: &mut impl Operands<'a>,
) -> Result<Word, Stop> {
    let (tile, place) = statement.inputs[number].grid().locate(index);
    Ok(Tile::take(statement, operands, number, tile)?.word(place))
}

/// Row-major index in the table (pick: in the values) of what the index says.
fn gather<'a>(statement: &Statement, element: u64, operands: &mut impl Operands<'a>) -> Result<u64, Stop> {
    let (source, index) = (&statement.inputs[0], &statement.inputs[1]);
    if matches!(statement.node.op, Op::Pick) {
        let (row_size, picks) = (source.matrices().columns, index.matrices().columns);
        let picked = check_index(take_element(statement, 1, element, operands)?, row_size)?;
        return Ok(element / picks * row_size + picked);
    }
    let row_size = product(&source.shape[1..]);
    let word = take_element(statement, 1, element / row_size, operands)?;
    let picked = check_index(word, source.shape[0].into())?;
    Ok(picked * row_size + element % row_size)
}

/// The input, and the row-major index in it, that an output element is a copy of (no take_rows, no pick).
fn find_source(statement: &Statement, element: u64) -> Result<(usize, u64), Error> {
    let inputs = &statement.inputs;
    let mut at = unravel(&statement.node.output.shape, element);
    match &statement.node.op {
        Op::Reshape => return Ok((0, element)),
        Op::Transpose { perm } => {
            let moved = at.clone();
            for (&axis, coordinate) in perm.iter().zip(moved) {
                at[usize::from(axis)] = coordinate;
            }
        }
        &Op::Slice { axis, start, step, .. } => {
            let along = &mut at[usize::from(axis)];
            *along = u64::from(start) + *along * u64::from(step);
        }
        Op::Concat { axis } => {
            let axis = usize::from(*axis);
            for (number, form) in inputs.iter().enumerate() {
                let size = u64::from(form.shape[axis]);
                if at[axis] < size {
                    return Ok((number, ravel(&form.shape, &at)));
                }
                at[axis] -= size;
            }
            return Err(Error::BadPlace);
        }
        Op::Windows { stride, dilation, .. } => {
            let kept = at.len() - 4;
            let [y, x, i, j] = [at[kept], at[kept + 1], at[kept + 2], at[kept + 3]];
            at.truncate(kept);
            at.push(y * u64::from(stride[0]) + i * u64::from(dilation[0]));
            at.push(x * u64::from(stride[1]) + j * u64::from(dilation[1]));
        }
        Op::Pad { low, interior, .. } => {
            for (axis, coordinate) in at.iter_mut().enumerate() {
                let period = u64::from(interior[axis]) + 1;
                match coordinate.checked_sub(low[axis].into()) {
                    Some(inside) if inside % period == 0 && inside / period < inputs[0].shape[axis].into() => {
                        *coordinate = inside / period;
                    }
                    _ => return Ok((1, 0)),
                }
            }
        }
        _ => return Err(Error::BadPlace),
    }
    Ok((0, ravel(&inputs[0].shape, &at)))
}
