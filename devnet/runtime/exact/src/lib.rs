//! The arbiter of exact/v1: the only right value of one place of one node, from an opening of at most 64 KiB.
//!
//! The same as `consensus/arbiter` in Python, which documents the statements and their encoding; `tests/vectors/exact`
//! and `tests/vectors/arbiter` hold both to the same bytes.
//!
//! - numbers: `float` (E1), `grid` (E2, E3, E4), `transcendental` (E5), `philox` (E7)
//! - the question: `types`, `decode`, `encode`, `geometry` (tiles), `node` (the op set's rules), `json` (the graph's leaves)
//! - the answer: `compute`, by family `tiles`, `elements`, `reductions`; `operands` (what they need)
//! - `opening`: operands proved under agreed roots
//! - `weights`: what it costs

#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod compute;
pub mod decode;
mod elements;
mod encode;
mod float;
pub mod geometry;
pub mod grid;
pub mod json;
pub mod node;
pub mod opening;
pub mod operands;
pub mod philox;
pub mod reductions;
#[cfg(test)]
mod tests;
mod tiles;
mod transcendental;
pub mod types;
pub mod weights;

pub use compute::{compute, is_made_of_elements, required};
pub use decode::decode;
pub use opening::{arbitrate, Hasher};
pub use types::*;

use alloc::vec::Vec;

/// The answer to an encoded statement and encoded operands, neither of them trusted.
pub fn compute_encoded(statement: &[u8], operands: &[u8]) -> Result<Outcome, Error> {
    let (statement, operands): (Statement, Vec<Operand>) = (decode(statement)?, decode(operands)?);
    compute(&statement, operands.iter().map(|operand| (operand.source, operand.data.as_slice())))
}

/// The answer to an encoded opening, proved against what is agreed.
pub fn arbitrate_encoded(hash: Hasher, agreed: &[u8], opening: &[u8]) -> Result<Outcome, Error> {
    arbitrate(hash, &decode(agreed)?, &decode(opening)?)
}
