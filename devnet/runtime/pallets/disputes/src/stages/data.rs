//! One element of a batch, made from the task's data set by its rule (`docs/protocol.md`, "Data order").

use super::step::state_leaf;
use crate::{
    pallet::*,
    play::{hasher, root_over, GameOf, Move, Next},
    types::*,
};
use aipow_exact::{
    geometry::{read_word, write_word, TILE_ELEMENTS},
    opening::{array_root, claim_hash, leaf_hash, root_of_proof},
    philox::{below, derive_key},
    Dtype, Form, Node, Op, Place,
};
use alloc::{vec, vec::Vec};
use codec::Encode;
use frame_support::ensure;
use pallet_tasks::DataRule;
use sp_core::H256;

/// Most elements of an array of a data set: 2^40.
pub const MAX_ARRAY: u64 = 1 << 40;

/// Bytes of an element, by the dtype's code in tensor roots.
pub fn element_size(dtype: u8) -> Option<usize> {
    const SIZES: [usize; 11] = [4, 8, 4, 8, 4, 1, 1, 8, 1, 2, 2];
    SIZES.get(usize::from(dtype)).copied()
}

/// An integer element as an i64; nothing for a dtype that is not of integers.
fn widen(dtype: u8, bytes: &[u8]) -> Option<i64> {
    let is_signed = match dtype {
        2 | 3 | 8 | 9 => true,
        4 | 5 | 7 | 10 => false,
        _ => return None,
    };
    let fill = if is_signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [fill; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

/// Where an element of a batch comes from: array, its row-major element, and what the array must look like.
struct Origin {
    array: Vec<u8>,
    element: u64,
}

impl<T: Config> Pallet<T> {
    /// The chain makes an element of a batch from the data set and compares.
    pub(crate) fn compute_data(id: GameId, game: &GameOf<T>, array: &ArrayOpening, tile: &TileOpening) -> Move {
        ensure!(game.stage == Stage::Data, Error::<T>::WrongStage);
        let Some(PlaceClaim { place: Place::Element(element), hash }) = game.place else {
            return Err(Error::<T>::WrongStage.into());
        };
        let node = Self::node_of(id)?.node;
        let rule = Self::spec_of(game)?.data;
        let origin = Self::find_origin(game, &rule, &node, element, &array.form)?;
        Self::verify_array(&rule, array, &origin.array)?;
        let bytes = Self::verify_element(array, tile, origin.element)?;
        let value = Self::convert(&rule, &node, array.form.dtype, &bytes)?;
        let place = Place::Element(element);
        let computed = H256(claim_hash(hasher, &place, &value));
        Self::deposit_event(Event::Settled { game: id, place, computed: Answer::Value(computed) });
        Ok(Next::decided(computed == hash))
    }

    /// Which element of which array the rule names; `BadArray` where array and batch do not fit the rule.
    fn find_origin(
        game: &GameOf<T>,
        rule: &DataRule,
        node: &Node,
        element: u32,
        form: &ArrayForm,
    ) -> Result<Origin, Error<T>> {
        let Op::Input { name, .. } = &node.op else { return Err(Error::<T>::WrongStage) };
        let shape = &node.output.shape;
        let row_size = shape.iter().skip(1).fold(1u64, |size, &n| size.saturating_mul(n.into())).max(1);
        let element = u64::from(element);
        let row = element.checked_div(row_size).unwrap_or(0);
        let column = element.checked_rem(row_size).unwrap_or(0);
        let length = form.shape.first().copied().unwrap_or(0);
        if !rule.windows {
            let fits = form.shape.get(1..) == shape.get(1..) && form.dtype == node.output.dtype.encode()[0];
            ensure!(fits && !shape.is_empty(), Error::<T>::BadArray);
            let drawn = Self::draw(game, row, length)?;
            let element = drawn.saturating_mul(row_size).saturating_add(column);
            return Ok(Origin { array: name.as_bytes().to_vec(), element });
        }
        let shift = match name.as_str() {
            "inputs" => 0u64,
            "targets" => 1,
            _ => return Err(Error::<T>::BadArray),
        };
        let fits = form.shape.len() == 1 && shape.len() == 2 && node.output.dtype == Dtype::I64;
        ensure!(fits, Error::<T>::BadArray);
        let width = u32::try_from(row_size).map_err(|_| Error::<T>::BadArray)?;
        let drawn = Self::draw(game, row, length.saturating_sub(width))?;
        let element = drawn.saturating_add(column).saturating_add(shift);
        Ok(Origin { array: b"tokens".to_vec(), element })
    }

    /// The `row`-th number of the step's draw below `bound`; `BadArray` where there is nothing to draw from.
    fn draw(game: &GameOf<T>, row: u64, bound: u32) -> Result<u64, Error<T>> {
        ensure!((1..1 << 31).contains(&bound), Error::<T>::BadArray);
        let key = derive_key(hasher, &Self::seed_of(game)?.0, b"data order/v1");
        let step = Self::step_number(game)? as u32; // the counter holds its low 32 bits
        Ok(below(key, 0, step, row, bound).into())
    }

    /// The array stands in the data set under that name.
    fn verify_array(rule: &DataRule, array: &ArrayOpening, name: &[u8]) -> Result<(), Error<T>> {
        let ArrayOpening { form, inner_root, index, siblings } = array;
        let root = H256(array_root(hasher, form.dtype, &form.shape, &inner_root.0));
        let found = root_over(state_leaf(name, &root), *index, rule.arrays, siblings);
        ensure!(found == Some(rule.root), Error::<T>::BadProof);
        Ok(())
    }

    /// Bytes of a row-major element of the array, from the tile that holds it.
    fn verify_element(array: &ArrayOpening, tile: &TileOpening, element: u64) -> Result<Vec<u8>, Error<T>> {
        let size = element_size(array.form.dtype).ok_or(Error::<T>::BadArray)?;
        // Where elements lie depends on the shape only.
        let form = Form { dtype: Dtype::F32, shape: array.form.shape.to_vec() };
        let elements = form.elements();
        ensure!(element < elements && elements <= MAX_ARRAY, Error::<T>::BadArray);
        let (number, at) = form.grid().locate(element);
        ensure!(tile.data.len() == TILE_ELEMENTS.saturating_mul(size), Error::<T>::BadTile);
        let siblings = super::step::plain(&tile.siblings);
        let leaf = leaf_hash(hasher, &tile.data);
        let root = root_of_proof(hasher, leaf, number.into(), form.tile_count(), &siblings);
        ensure!(root == Ok(array.inner_root.0), Error::<T>::BadProof);
        tile.data.chunks_exact(size).nth(at).map(<[u8]>::to_vec).ok_or(Error::<T>::BadTile)
    }

    /// The element as the batch has it: tokens as i64, rows as they are with one NaN.
    fn convert(rule: &DataRule, node: &Node, dtype: u8, bytes: &[u8]) -> Result<Vec<u8>, Error<T>> {
        if rule.windows {
            return Ok(widen(dtype, bytes).ok_or(Error::<T>::BadArray)?.encode());
        }
        let to = node.output.dtype;
        let mut value = vec![0; to.size()];
        write_word(to, &mut value, 0, read_word(to, bytes, 0));
        Ok(value)
    }
}
