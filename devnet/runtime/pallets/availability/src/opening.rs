//! Whether an opening is what was asked for: a record, or a tile with its way to a root that the chain knows.

use crate::{asking::Asked, pallet::*, types::*};
use aipow_exact::{
    geometry::TILE_ELEMENTS,
    opening::{array_root, leaf_hash, root_of_proof},
    Dtype, Form,
};
use alloc::vec::Vec;
use codec::Encode;
use frame_support::ensure;
use pallet_disputes::{
    element_size,
    play::{hasher, root_over},
    state_leaf, OpenedRecord, TileOpening, MAX_ARRAY,
};
use pallet_tasks::TaskSpec;
use pallet_verification::merkle::compute_root;
use sp_core::H256;

/// Root of the tree of no tiles.
const EMPTY: H256 = H256::zero();

impl Chunk {
    /// Whether units of the task have such a chunk.
    pub fn is_in(&self, spec: &TaskSpec) -> bool {
        match *self {
            Chunk::Transcript { segment } => segment < spec.segments_per_unit,
            Chunk::Checkpoint { checkpoint, entry, .. } => {
                checkpoint <= spec.segments_per_unit && entry < spec.state_count
            }
            Chunk::Data { array, .. } => array < spec.data.arrays,
        }
    }
}

impl<T: Config> Pallet<T> {
    /// Raises unless the opening answers the ask, about the result of a unit or about a data set.
    pub(crate) fn verify(ask: &Ask<T::AccountId>, opening: &Opening) -> Result<(), Error<T>> {
        let Chunk::Data { array, tile } = ask.chunk else {
            let asked = Self::find_result(ask.task, ask.unit).filter(|asked| asked.attempt == ask.attempt);
            return Self::verify_result(&asked.ok_or(Error::<T>::NoAsk)?, ask, opening);
        };
        let Opening::Data { entry, tile: data } = opening else { return Err(Error::<T>::WrongOpening) };
        let spec = pallet_tasks::Tasks::<T>::get(ask.task).ok_or(Error::<T>::NoAsk)?.spec;
        Self::verify_entry(spec.data.root, spec.data.arrays, array, entry)?;
        Self::verify_tile(entry, tile, data)
    }

    fn verify_result(asked: &Asked<T::AccountId>, ask: &Ask<T::AccountId>, opening: &Opening) -> Result<(), Error<T>> {
        match (ask.chunk, opening) {
            (Chunk::Transcript { segment }, Opening::Transcript(record)) => Self::verify_record(asked, record, segment),
            (
                Chunk::Checkpoint { checkpoint, entry, tile },
                Opening::Checkpoint { record, entry: tensor, tile: data },
            ) => {
                let root = Self::find_state_root(asked, ask, checkpoint, record.as_ref())?;
                Self::verify_entry(root, asked.spec.state_count, entry, tensor)?;
                Self::verify_tile(tensor, tile, data)
            }
            _ => Err(Error::<T>::WrongOpening),
        }
    }

    /// The record is that of the segment, under the transcript root.
    fn verify_record(asked: &Asked<T::AccountId>, opened: &OpenedRecord, segment: u16) -> Result<(), Error<T>> {
        ensure!(opened.record.index == segment, Error::<T>::WrongOpening);
        let count = asked.spec.segments_per_unit.into();
        let root = compute_root(&opened.record.encode(), segment.into(), count, &opened.proof);
        ensure!(root == Some(asked.submission.transcript_root), Error::<T>::BadProof);
        Ok(())
    }

    /// Root of the state after so many segments: of the first and the last one the chain knows it, of the others the
    /// record of the segment before says it.
    fn find_state_root(
        asked: &Asked<T::AccountId>,
        ask: &Ask<T::AccountId>,
        checkpoint: u16,
        record: Option<&OpenedRecord>,
    ) -> Result<H256, Error<T>> {
        let last = asked.spec.segments_per_unit;
        match (checkpoint.checked_sub(1), record) {
            (None, None) => pallet_tasks::Pallet::<T>::start_state_root(ask.task, ask.unit).ok_or(Error::<T>::NoAsk),
            (Some(_), None) if checkpoint == last => Ok(asked.submission.end_state_root),
            (Some(before), Some(opened)) if checkpoint != last => {
                Self::verify_record(asked, opened, before)?;
                Ok(opened.record.end_state_root)
            }
            _ => Err(Error::<T>::WrongOpening),
        }
    }

    /// The tensor stands at that place among the `count` under the root.
    fn verify_entry(root: H256, count: u32, index: u32, entry: &EntryOpening) -> Result<(), Error<T>> {
        let tensor = H256(array_root(hasher, entry.form.dtype, &entry.form.shape, &entry.inner_root.0));
        let found = root_over(state_leaf(&entry.name, &tensor), index, count, &entry.siblings);
        ensure!(found == Some(root), Error::<T>::BadProof);
        Ok(())
    }

    /// The bytes are the tensor's tile of that number, modulo the number of tiles.
    fn verify_tile(entry: &EntryOpening, number: u32, tile: &TileOpening) -> Result<(), Error<T>> {
        let size = element_size(entry.form.dtype).ok_or(Error::<T>::BadForm)?;
        // How many tiles there are depends on the shape only.
        let form = Form { dtype: Dtype::F32, shape: entry.form.shape.to_vec() };
        ensure!(form.elements() <= MAX_ARRAY, Error::<T>::BadForm);
        let count = form.tile_count();
        let Some(index) = u64::from(number).checked_rem(count) else {
            ensure!(tile.data.is_empty() && tile.siblings.is_empty(), Error::<T>::BadTile);
            ensure!(entry.inner_root == EMPTY, Error::<T>::BadProof);
            return Ok(());
        };
        ensure!(tile.data.len() == TILE_ELEMENTS.saturating_mul(size), Error::<T>::BadTile);
        let siblings: Vec<[u8; 32]> = tile.siblings.iter().map(|hash| hash.0).collect();
        let root = root_of_proof(hasher, leaf_hash(hasher, &tile.data), index, count, &siblings);
        ensure!(root == Ok(entry.inner_root.0), Error::<T>::BadProof);
        Ok(())
    }
}
