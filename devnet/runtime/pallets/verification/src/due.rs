//! Drawing what is due: whether a unit is challenged, by whom, and which segments.

use crate::{draw::UnitDraw, pallet::*, types::*, WeightInfo};
use alloc::vec::Vec;
use frame_support::{traits::Get, weights::Weight, BoundedVec};
use pallet_beacon::BeaconInfo;
use pallet_stakes::{Balance, Role, StakeProvider};
use pallet_tasks::{EpochIndex, RelistReason, Unit, UnitState};
use sp_core::H256;

impl<T: Config> Pallet<T> {
    /// Draws due units, as many as a block has room for.
    pub(crate) fn process_draws() -> Weight {
        let Some((closed, seed)) = LastSeed::<T>::get() else { return T::DbWeight::get().reads(1) };
        let mut candidates: Option<Vec<(T::AccountId, Balance)>> = None;
        let (mut done, mut relisted) = (0u32, 0u32);
        while done < T::MaxDrawsPerBlock::get() {
            let Some(due) = DueDraws::<T>::take_if(|due| due.epoch <= closed) else { break };
            done = done.saturating_add(1);
            let list = candidates.get_or_insert_with(|| StakesOf::<T>::eligible(Role::Verifier));
            relisted = relisted.saturating_add(Self::draw_unit(closed, seed, due, list));
        }
        let listed = candidates.map_or(0, |list| list.len() as u64);
        <T as Config>::WeightInfo::draws(done, relisted).saturating_add(T::DbWeight::get().reads(listed))
    }

    /// Draws one unit; gives how many units were listed again because it was drawn often enough.
    pub(crate) fn draw_unit(closed: EpochIndex, seed: H256, due: DueDraw, eligible: &[(T::AccountId, Balance)]) -> u32 {
        let DueDraw { task, unit, attempt, draws, .. } = due;
        let Unit { attempt: current, state } = pallet_tasks::Units::<T>::get(task, unit);
        let UnitState::Submitted(assignment, _) = state else { return 0 };
        if current != attempt {
            return 0;
        }
        if StakesOf::<T>::at_stake(Role::Solver, &assignment.solver) == 0 {
            return Self::relist(task, unit, RelistReason::NoBond);
        }
        let params = Params::<T>::get();
        let draw = UnitDraw { seed, task, unit, attempt };
        let is_challenged = draws > 0 || draw.is_challenged(params.challenge_ppm);
        if draws == 0 {
            T::Lottery::on_draw(task, unit, attempt, seed, is_challenged);
        }
        if !is_challenged {
            Self::deposit_event(Event::NotChallenged { task, unit });
            Self::start_watch(task, unit, Verifiers::new(), Segments::new(), false);
            return 0;
        }
        let draws = draws.saturating_add(1);
        let candidates = eligible.iter().filter(|(who, _)| *who != assignment.solver).cloned().collect();
        let Some(drawn) = draw.verifiers(params.verifiers, candidates) else {
            return Self::redraw(due, draws, closed.saturating_add(1));
        };
        let total = pallet_tasks::Tasks::<T>::get(task).map_or(0, |entry| entry.spec.segments_per_unit);
        let segments = Segments::truncate_from(draw.segments(params.segments, total));
        let verifiers = Verifiers::truncate_from(drawn);
        verifiers.iter().for_each(Self::oblige);
        let deadline = TasksPallet::<T>::now().saturating_add(params.commit_blocks);
        let waiting = verifiers.iter().map(|who| (who.clone(), VerifierState::Waiting)).collect::<Vec<_>>();
        let duty = Duty {
            verifiers: BoundedVec::truncate_from(waiting),
            segments: segments.clone(),
            phase: Phase::Commit,
            deadline,
            solver_reveal: None,
            attempt,
            draws,
        };
        Duties::<T>::insert(task, unit, duty);
        Self::schedule(Timer::Phase(task, unit, deadline), deadline);
        Self::deposit_event(Event::VerifiersDrawn { task, unit, verifiers, segments });
        0
    }

    /// Puts a challenged unit back into the queue of draws, or lists it again if it was drawn often enough.
    /// Gives how many units were listed again.
    pub(crate) fn redraw(due: DueDraw, draws: u8, not_before: EpochIndex) -> u32 {
        let DueDraw { task, unit, attempt, .. } = due;
        if draws >= MAX_DRAWS {
            return Self::relist(task, unit, RelistReason::NotDecided);
        }
        let epoch = T::Beacon::draw_epoch().max(not_before);
        DueDraws::<T>::push(DueDraw { epoch, task, unit, attempt, draws });
        Self::deposit_event(Event::Redrawn { task, unit, epoch });
        0
    }
}
