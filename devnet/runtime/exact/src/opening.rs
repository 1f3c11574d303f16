//! Arbitration: an opening checked against what both sides of a dispute agree on, then computed
//! (`consensus/arbiter/opening.py`).
//!
//! A tile of an input opens under the input's tensor root: leaf H(0x00 ‖ padded tile), inner H(0x01 ‖ left ‖ right), an
//! odd node promoted, on top H("tensor/v1" ‖ dtype ‖ rank ‖ dimensions ‖ inner root). The top proves dtype and shape, so
//! that one inner root for each input proves its form, opened or not. The node is a leaf of the graph root.

use crate::{
    compute::compute,
    json::canonical_json,
    node,
    types::{Agreed, Error, Form, Hash, Opened, Opening, Outcome, Place, Source, Statement},
};
use alloc::vec::Vec;
use codec::Encode;

/// H, BLAKE2b-256, as the host has it: hashing in Wasm would cost more than all the rest.
pub type Hasher = fn(&[u8]) -> Hash;

/// H(0x00 ‖ data).
pub fn leaf_hash(hash: Hasher, data: &[u8]) -> Hash {
    hash(&[&[0], data].concat())
}

/// Root of the tree of `count` leaves in which `leaf` stands at `index`; `BadProof` where the index or the number of
/// `siblings` (from the leaf up, none for a level at which the node is promoted) does not fit.
pub fn root_of_proof(hash: Hasher, leaf: Hash, index: u64, count: u64, siblings: &[Hash]) -> Result<Hash, Error> {
    if index >= count {
        return Err(Error::BadProof);
    }
    let (mut node, mut index, mut width) = (leaf, index, count);
    let mut siblings = siblings.iter();
    while width > 1 {
        if index ^ 1 < width {
            let sibling = siblings.next().ok_or(Error::BadProof)?;
            let (left, right) = if index & 1 == 1 { (sibling, &node) } else { (&node, sibling) };
            node = hash(&[&[1], left.as_slice(), right.as_slice()].concat());
        }
        index >>= 1;
        width = width.div_ceil(2);
    }
    siblings.next().is_none().then_some(node).ok_or(Error::BadProof)
}

/// The tensor root over the root of the tiles' tree.
pub fn tensor_root(hash: Hasher, form: &Form, inner: &Hash) -> Hash {
    array_root(hash, form.dtype.encode()[0], &form.shape, inner)
}

/// The tensor root of any array, also of a dtype that graphs do not have, by the dtype's code.
pub fn array_root(hash: Hasher, dtype: u8, shape: &[u32], inner: &Hash) -> Hash {
    let mut bytes = Vec::from(*b"tensor/v1");
    bytes.extend([dtype, shape.len() as u8]);
    for &size in shape {
        bytes.extend(u64::from(size).to_le_bytes());
    }
    bytes.extend(inner);
    hash(&bytes)
}

/// A side's word on a place: the leaf hash for a tile, else H("claim/v1" ‖ place ‖ data).
pub fn claim_hash(hash: Hasher, place: &Place, data: &[u8]) -> Hash {
    match place {
        Place::Tile(_) => leaf_hash(hash, data),
        _ => hash(&[b"claim/v1".as_slice(), &place.encode(), data].concat()),
    }
}

/// The only right value of the opened place, or how the unit ends there.
///
/// In this order: the node (`BadNode`, `BadProof`), the inputs' forms (`BadForm`), each operand (`BadProof`, `NotAgreed`),
/// then `compute`'s checks. After a refusal nothing is settled. Still trusted: that `agreed` is agreed. An honest side
/// never meets `Inconsistent`: both sides have lied.
pub fn arbitrate(hash: Hasher, agreed: &Agreed, opening: &Opening) -> Result<Outcome, Error> {
    let statement = &opening.statement;
    verify_node(hash, agreed, statement, &opening.node_siblings)?;
    verify_forms(hash, agreed, statement, &opening.inner_roots)?;
    verify_operands(hash, agreed, opening)?;
    compute(statement, opening.operands.iter().map(|opened| (opened.source, opened.data.as_slice())))
}

/// `BadNode` for a node with no valid rule, `BadProof` unless it is the disputed one of the graph.
fn verify_node(hash: Hasher, agreed: &Agreed, statement: &Statement, siblings: &[Hash]) -> Result<(), Error> {
    node::check(statement)?;
    let leaf = leaf_hash(hash, &canonical_json(&statement.node));
    let root = root_of_proof(hash, leaf, agreed.node_index.into(), agreed.node_count.into(), siblings)?;
    (root == agreed.graph_root).then_some(()).ok_or(Error::BadProof)
}

/// `BadForm` unless the statement's input forms are those under the agreed roots.
fn verify_forms(hash: Hasher, agreed: &Agreed, statement: &Statement, inner_roots: &[Hash]) -> Result<(), Error> {
    let roots = statement.inputs.iter().zip(inner_roots).map(|(form, inner)| tensor_root(hash, form, inner));
    let fits = statement.inputs.len() == inner_roots.len() && roots.eq(agreed.input_roots.iter().copied());
    fits.then_some(()).ok_or(Error::BadForm)
}

/// `BadProof` unless input tiles open under their inner roots, `NotAgreed` unless claims are the agreed ones,
/// `BadOperands` when there are more or fewer of these. The forms are verified already.
fn verify_operands(hash: Hasher, agreed: &Agreed, opening: &Opening) -> Result<(), Error> {
    let mut claims = agreed.claims.iter();
    for opened in &opening.operands {
        match &opened.source {
            Source::Input { input, tile } => verify_tile(hash, opening, opened, usize::from(*input), *tile)?,
            Source::Claim(place) => {
                let agreed = claims.next().filter(|_| opened.siblings.is_empty()).ok_or(Error::BadOperands)?;
                if claim_hash(hash, place, &opened.data) != *agreed {
                    return Err(Error::NotAgreed);
                }
            }
        }
    }
    claims.next().is_none().then_some(()).ok_or(Error::BadOperands)
}

fn verify_tile(hash: Hasher, opening: &Opening, opened: &Opened, input: usize, tile: u32) -> Result<(), Error> {
    let (Some(form), Some(inner)) = (opening.statement.inputs.get(input), opening.inner_roots.get(input)) else {
        return Err(Error::BadOperands);
    };
    let root = root_of_proof(hash, leaf_hash(hash, &opened.data), tile.into(), form.tile_count(), &opened.siblings)?;
    (root == *inner).then_some(()).ok_or(Error::BadProof)
}
