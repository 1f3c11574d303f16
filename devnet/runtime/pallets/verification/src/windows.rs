//! What follows a verification: watch windows, disputes, holds, and a unit's end.

use crate::{pallet::*, types::*};
use alloc::vec::Vec;
use frame_support::BoundedVec;
use pallet_stakes::{Balance, BlockNumber, Role, SlashReason, StakeProvider};
use pallet_tasks::{RelistReason, TaskId, UnitIndex, UnitState};
use sp_runtime::{Permill, Saturating};

impl<T: Config> Pallet<T> {
    pub(crate) fn start_watch(
        task: TaskId,
        unit: UnitIndex,
        matched: Verifiers<T::AccountId>,
        segments: Segments,
        second: bool,
    ) {
        if TasksPallet::<T>::accept_unit(task, unit).is_err() {
            frame_support::defensive!("only a submitted or disputed unit is accepted");
            return;
        }
        matched.iter().for_each(Self::oblige);
        let until = TasksPallet::<T>::now().saturating_add(Params::<T>::get().watch_blocks);
        Watches::<T>::insert(task, unit, Watch { until, matched, segments, second });
        Self::schedule(Timer::Watch(task, unit), until);
    }

    /// Hands a unit whose verifiers do not all agree with its solver over to the disputes; those who executed it
    /// stay obliged.
    pub(crate) fn open_dispute(
        task: TaskId,
        unit: UnitIndex,
        solver: T::AccountId,
        duty: DutyOf<T>,
        attested: Vec<(T::AccountId, (Outcome, SegmentResults))>,
    ) {
        if TasksPallet::<T>::dispute_unit(task, unit).is_err() {
            frame_support::defensive!("a unit under verification is submitted");
            return;
        }
        let solved = duty.solver_reveal.unwrap_or_default();
        let executed = attested.into_iter().filter(|(_, (outcome, _))| *outcome == Outcome::Executed);
        let list: Vec<_> = executed.map(|(who, (_, found))| (who, compute_agreement(&found, &solved))).collect();
        let attesters = AttesterList::truncate_from(list);
        attesters.iter().for_each(|(who, _)| Self::oblige(who));
        let differs = |(who, mask): &(T::AccountId, u16)| Some((who.clone(), first_difference(*mask, &duty.segments)?));
        let accusers = BoundedVec::truncate_from(attesters.iter().filter_map(differs).collect::<Vec<_>>());
        let segment = accusers.iter().map(|(_, segment)| *segment).min().unwrap_or(0);
        Self::deposit_event(Event::Mismatched { task, unit, solver, segment, accusers });
        T::Disputes::on_mismatch(task, unit, duty.attempt, duty.segments, attesters);
    }

    /// Takes a unit out of its open watch window because somebody disputes it; nothing if the window is not open.
    /// The verifiers who matched stay obliged.
    pub fn interrupt_watch(task: TaskId, unit: UnitIndex) -> Option<Watch<T::AccountId>> {
        let watch = Watches::<T>::get(task, unit).filter(|watch| TasksPallet::<T>::now() <= watch.until)?;
        TasksPallet::<T>::dispute_unit(task, unit).ok()?;
        Watches::<T>::remove(task, unit);
        Some(watch)
    }

    /// A disputed unit was not found wrong. Its second watch window begins, or it waits for its parent only if that is
    /// over. `matched`: the verifiers whose attestation is the solver's; they are obliged already.
    pub fn acquit(task: TaskId, unit: UnitIndex, matched: Verifiers<T::AccountId>, segments: Segments, again: bool) {
        matched.iter().for_each(Self::discharge);
        Self::start_watch(task, unit, matched, segments, true);
        if !again {
            let until = TasksPallet::<T>::now().saturating_sub(1);
            Watches::<T>::mutate(task, unit, |watch| watch.iter_mut().for_each(|watch| watch.until = until));
            Self::schedule(Timer::Watch(task, unit), until);
        }
    }

    /// A disputed unit was found wrong: its solver loses its whole bond, `share` of it to `finder`.
    /// Gives how many units were listed again.
    pub fn convict(task: TaskId, unit: UnitIndex, finder: &T::AccountId, share: Permill) -> u32 {
        let UnitState::Disputed(assignment, _) = pallet_tasks::Units::<T>::get(task, unit).state else { return 0 };
        let (solver, reason) = (assignment.solver, SlashReason::WrongResult);
        StakesOf::<T>::slash_for(Role::Solver, &solver, Balance::MAX, reason, finder, share);
        Self::deposit_event(Event::UnitRefused { task, unit, solver, reason });
        Self::relist(task, unit, RelistReason::Refused)
    }

    /// Keeps a unit from becoming final, whatever windows end, until `release` as often or its relisting.
    pub fn hold(task: TaskId, unit: UnitIndex) {
        Holds::<T>::mutate(task, unit, |count| count.saturating_inc());
    }

    /// Takes one hold off a unit; after the last one it may become final as if there had been none.
    pub fn release(task: TaskId, unit: UnitIndex) {
        Holds::<T>::mutate_exists(task, unit, |count| {
            *count = count.take().and_then(|count| count.checked_sub(1)).filter(|count| *count > 0);
        });
        if !Holds::<T>::contains_key(task, unit) && Watches::<T>::contains_key(task, unit) {
            Self::schedule(Timer::Watch(task, unit), TasksPallet::<T>::now());
        }
    }

    /// A solver did not open what it was asked for: its unit is refused and its whole bond taken, else who is wrong
    /// would rather be silent; `share` of it goes to `finder`. Gives how many units were listed again.
    pub fn refuse_silent(task: TaskId, unit: UnitIndex, finder: &T::AccountId, share: Permill) -> u32 {
        let (UnitState::Submitted(assignment, _)
        | UnitState::Challengeable(assignment, _)
        | UnitState::Disputed(assignment, _)) = pallet_tasks::Units::<T>::get(task, unit).state
        else {
            return 0;
        };
        let (solver, reason) = (assignment.solver, SlashReason::Unavailable);
        StakesOf::<T>::slash_for(Role::Solver, &solver, Balance::MAX, reason, finder, share);
        Self::deposit_event(Event::UnitRefused { task, unit, solver, reason });
        Self::relist(task, unit, RelistReason::Refused)
    }

    /// Makes a unit final whose window has ended and whose parent is final, and wakes its child.
    pub(crate) fn on_watch_end(now: BlockNumber, task: TaskId, unit: UnitIndex) {
        let is_over = Watches::<T>::get(task, unit).is_some_and(|watch| watch.until < now);
        if !is_over || !TasksPallet::<T>::is_next_final(task, unit) || Holds::<T>::contains_key(task, unit) {
            return; // its parent, or the end of the last hold, wakes it
        }
        let Some(watch) = Self::remove_watch(task, unit) else { return };
        if TasksPallet::<T>::finalise_unit(task, unit, &watch.matched).is_err() {
            frame_support::defensive!("a watched unit is challengeable");
        }
        T::Lottery::on_final(pallet_tasks::Tasks::<T>::get(task).map_or(0, |entry| entry.spec.price));
        let child = TasksPallet::<T>::child_of(task, unit);
        if let Some(child) = child.filter(|child| Watches::<T>::contains_key(task, child)) {
            Self::schedule(Timer::Watch(task, child), now);
        }
    }
}
