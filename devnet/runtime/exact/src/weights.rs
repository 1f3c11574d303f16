//! What an answer costs.
//!
//! The unit is the MAC of the graph's cost (an elementwise result or summed term 1, a transcendental one 16). No place
//! needs more than `MAX_MACS`, so that a call's weight is known from its length alone.

use crate::{
    elements::is_movement,
    geometry::{TILE_ELEMENTS, TILE_SIDE},
    reductions::{FAN, MATMUL_FAN},
    types::{Op, Place, Quantity, Statement},
};

/// Most MACs of a place (= 32,768): a leaf of a matmul's sums, 32×32×32.
pub const MAX_MACS: u64 = 1 << 15;

/// MACs of a place, counted as a full tile wherever it may be one; for a statement that is accepted.
pub fn count_macs(statement: &Statement) -> u64 {
    let tile = TILE_ELEMENTS as u64;
    match (&statement.node.op, statement.place) {
        (Op::Exp | Op::Log | Op::Tanh | Op::Erf | Op::Sin | Op::Cos | Op::Uniform { .. }, Place::Tile(_)) => 16 * tile,
        (_, Place::Tile(_) | Place::Check { .. }) => tile,
        (op, Place::Element(_)) if is_movement(op) => 1,
        (Op::Matmul { .. }, Place::Partial(partial)) => match (partial.level, partial.quantity) {
            (0, Quantity::Sum) => tile * TILE_SIDE,
            (0, _) => tile,
            (_, Quantity::Sum) => MATMUL_FAN * tile,
            _ => FAN * TILE_SIDE,
        },
        (_, Place::Element(_)) => 2,
        (_, Place::Partial(partial)) if partial.level == 0 => tile,
        (_, Place::Partial(_)) => FAN,
    }
}
