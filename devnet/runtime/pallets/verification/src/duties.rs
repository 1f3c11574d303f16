//! The phases of a duty and its end: who has been silent pays, and what was revealed is compared.

use crate::{pallet::*, types::*};
use alloc::vec::Vec;
use pallet_stakes::{Balance, BlockNumber, Role, SlashReason, StakeProvider};
use pallet_tasks::{RelistReason, TaskId, UnitIndex};
use sp_runtime::Saturating;

impl<T: Config> Pallet<T> {
    pub(crate) fn start_reveal(task: TaskId, unit: UnitIndex, mut duty: DutyOf<T>) {
        let deadline = TasksPallet::<T>::now().saturating_add(Params::<T>::get().reveal_blocks);
        duty.phase = Phase::Reveal;
        duty.deadline = deadline;
        Duties::<T>::insert(task, unit, duty);
        Self::schedule(Timer::Phase(task, unit, deadline), deadline);
        Self::deposit_event(Event::RevealStarted { task, unit, deadline });
    }

    /// The last block of a phase has passed. A timer of a phase that ended early is stale and does nothing.
    /// Gives how many units were listed again.
    pub(crate) fn on_phase_end(task: TaskId, unit: UnitIndex, deadline: BlockNumber) -> u32 {
        let Some(duty) = Duties::<T>::get(task, unit).filter(|duty| duty.deadline == deadline) else { return 0 };
        if duty.phase == Phase::Reveal {
            return Self::settle(task, unit, duty);
        }
        for (who, _) in duty.verifiers.iter().filter(|(_, state)| *state == VerifierState::Waiting) {
            Self::slash_verifier(who);
        }
        if duty.verifiers.iter().any(|(_, state)| *state != VerifierState::Waiting) {
            Self::start_reveal(task, unit, duty);
            0
        } else {
            Self::remove_duty(task, unit);
            let due = DueDraw { epoch: 0, task, unit, attempt: duty.attempt, draws: duty.draws };
            Self::redraw(due, duty.draws, 0)
        }
    }

    pub(crate) fn slash_verifier(who: &T::AccountId) {
        let penalty = StakesOf::<T>::penalty();
        StakesOf::<T>::slash(Role::Verifier, who, penalty, SlashReason::NoVerifierReveal);
    }

    /// Settles a duty if nobody is left who may still reveal, else stores it.
    /// Gives how many units were listed again.
    pub(crate) fn settle_if_complete(task: TaskId, unit: UnitIndex, duty: DutyOf<T>) -> u32 {
        let is_awaited = |state: &VerifierState| matches!(state, VerifierState::Committed(_));
        let is_complete = duty.solver_reveal.is_some() && !duty.verifiers.iter().any(|(_, state)| is_awaited(state));
        if is_complete {
            Self::settle(task, unit, duty)
        } else {
            Duties::<T>::insert(task, unit, duty);
            0
        }
    }

    /// Compares what was revealed and acts on it. Gives how many units were listed again.
    pub(crate) fn settle(task: TaskId, unit: UnitIndex, duty: DutyOf<T>) -> u32 {
        let (mut results, mut revealed) = (Vec::new(), Vec::new());
        for (who, state) in &duty.verifiers {
            match state {
                VerifierState::Revealed(outcome, _) => {
                    results.push((*outcome, Attestations::<T>::get((task, unit), who)));
                    revealed.push(who.clone());
                }
                VerifierState::Committed(_) => Self::slash_verifier(who),
                VerifierState::Waiting => {} // slashed at the end of the commit phase
            }
        }
        let verdict = compute_verdict(duty.solver_reveal.as_ref(), duty.verifiers.len(), &results);
        Self::remove_duty(task, unit);
        let Some((solver, _)) = Self::submission_of(task, unit) else {
            return 0;
        };
        match verdict {
            Verdict::Match => {
                let drawn = duty.verifiers.into_iter().map(|(who, _)| who).collect::<Vec<_>>();
                let verifiers = Verifiers::truncate_from(drawn);
                Self::deposit_event(Event::Matched { task, unit, verifiers: verifiers.clone() });
                Self::start_watch(task, unit, verifiers, duty.segments, false);
                0
            }
            Verdict::Mismatch => {
                let attested = revealed.into_iter().zip(results).collect();
                Self::open_dispute(task, unit, solver, duty, attested);
                0
            }
            // The whole bond, else who is caught would rather be silent.
            Verdict::NoSolverReveal => Self::refuse(task, unit, solver, Balance::MAX, SlashReason::NoSolverReveal),
            Verdict::Unavailable => {
                Self::refuse(task, unit, solver, StakesOf::<T>::penalty(), SlashReason::Unavailable)
            }
            Verdict::NotDecided => {
                let due = DueDraw { epoch: 0, task, unit, attempt: duty.attempt, draws: duty.draws };
                Self::redraw(due, duty.draws, 0)
            }
        }
    }

    pub(crate) fn refuse(
        task: TaskId,
        unit: UnitIndex,
        solver: T::AccountId,
        amount: Balance,
        reason: SlashReason,
    ) -> u32 {
        StakesOf::<T>::slash(Role::Solver, &solver, amount, reason);
        Self::deposit_event(Event::UnitRefused { task, unit, solver, reason });
        Self::relist(task, unit, RelistReason::Refused)
    }

    /// Lists a unit again and forgets what is known of it and of its cancelled descendants. Gives their number.
    pub(crate) fn relist(task: TaskId, unit: UnitIndex, reason: RelistReason) -> u32 {
        let touched = TasksPallet::<T>::relist(task, unit, reason);
        for index in &touched {
            Self::remove_duty(task, *index);
            Self::remove_watch(task, *index);
            Holds::<T>::remove(task, *index);
            T::Disputes::on_relisted(task, *index);
            T::Lottery::on_relisted(task, *index);
        }
        touched.len() as u32
    }

    pub(crate) fn remove_duty(task: TaskId, unit: UnitIndex) {
        let Some(duty) = Duties::<T>::take(task, unit) else { return };
        for (who, _) in &duty.verifiers {
            Attestations::<T>::remove((task, unit), who);
            Self::discharge(who);
        }
    }

    pub(crate) fn remove_watch(task: TaskId, unit: UnitIndex) -> Option<Watch<T::AccountId>> {
        let watch = Watches::<T>::take(task, unit)?;
        watch.matched.iter().for_each(Self::discharge);
        Some(watch)
    }

    /// Keeps a verifier's bond from leaving until it is discharged.
    pub(crate) fn oblige(who: &T::AccountId) {
        OpenDuties::<T>::mutate(who, |count| count.saturating_inc());
    }

    /// Takes one obligation off a verifier.
    pub fn discharge(who: &T::AccountId) {
        OpenDuties::<T>::mutate_exists(who, |count| {
            *count = count.take().and_then(|count| count.checked_sub(1)).filter(|count| *count > 0);
        });
    }
}
