//! Who may ask whom for what, and how often: a solver for what it has committed to, a task's owner for its data set.

use crate::{pallet::*, types::*};
use alloc::vec::Vec;
use frame_support::ensure;
use pallet_stakes::{Balance, Role, StakeProvider};
use pallet_tasks::{Submission, TaskId, TaskSpec, Unit, UnitIndex, UnitState};
use pallet_verification::{Duties, Watches};
use sp_runtime::Saturating;

type StakesOf<T> = <T as pallet_tasks::Config>::Stakes;

/// The result of a unit as it stands.
pub(crate) struct Asked<AccountId> {
    /// The unit's attempt.
    pub attempt: u16,
    /// Who must answer.
    pub solver: AccountId,
    /// What it committed to.
    pub submission: Submission,
    /// The task.
    pub spec: TaskSpec,
}

/// An ask that is allowed but for how often.
pub(crate) struct Wanted<AccountId> {
    /// The attempt of the unit.
    pub attempt: u16,
    /// Who must answer.
    pub answerer: AccountId,
    /// Whether the asker is a verifier drawn for the unit, who asks for what its duty needs.
    pub is_drawn: bool,
}

impl<T: Config> Pallet<T> {
    /// The result of a unit, if there is one and it is not final.
    pub(crate) fn find_result(task: TaskId, unit: UnitIndex) -> Option<Asked<T::AccountId>> {
        let Unit { attempt, state } = pallet_tasks::Units::<T>::get(task, unit);
        let (UnitState::Submitted(assignment, submission)
        | UnitState::Challengeable(assignment, submission)
        | UnitState::Disputed(assignment, submission)) = state
        else {
            return None;
        };
        let spec = pallet_tasks::Tasks::<T>::get(task)?.spec;
        Some(Asked { attempt, solver: assignment.solver, submission, spec })
    }

    /// Whom the account would ask for the chunk; raises unless it may.
    pub(crate) fn find_wanted(
        task: TaskId,
        unit: UnitIndex,
        asker: &T::AccountId,
        chunk: Chunk,
    ) -> Result<Wanted<T::AccountId>, Error<T>> {
        let is_eligible = |role| StakesOf::<T>::is_eligible(role, asker);
        ensure!(is_eligible(Role::Verifier) || is_eligible(Role::Solver), Error::<T>::NotEligible);
        let (wanted, spec) = if chunk.is_data() {
            Self::find_owner(task, unit, asker)?
        } else {
            Self::find_solver(task, unit, asker, chunk)?
        };
        ensure!(wanted.answerer != *asker, Error::<T>::OwnUnit);
        ensure!(chunk.is_in(&spec), Error::<T>::NoSuchChunk);
        Ok(wanted)
    }

    /// The solver of a unit that somebody may still look at: it is not verified yet, or in its watch window, or disputed.
    fn find_solver(
        task: TaskId,
        unit: UnitIndex,
        asker: &T::AccountId,
        chunk: Chunk,
    ) -> Result<(Wanted<T::AccountId>, TaskSpec), Error<T>> {
        let Asked { attempt, solver, spec, .. } = Self::find_result(task, unit).ok_or(Error::<T>::NotAskable)?;
        let is_window_open = Watches::<T>::get(task, unit).is_none_or(|watch| Self::now() <= watch.until);
        ensure!(is_window_open, Error::<T>::NotAskable);
        let is_drawn = Self::find_drawn(task, unit, attempt, asker).is_some_and(|segments| match chunk {
            Chunk::Checkpoint { checkpoint, .. } => segments.contains(&checkpoint),
            Chunk::Transcript { .. } | Chunk::Data { .. } => true,
        });
        Ok((Wanted { attempt, answerer: solver, is_drawn }, spec))
    }

    /// The owner of a task, whom only those may ask who need the data set: the solver of a unit that is not submitted yet,
    /// and the verifiers drawn for one.
    fn find_owner(
        task: TaskId,
        unit: UnitIndex,
        asker: &T::AccountId,
    ) -> Result<(Wanted<T::AccountId>, TaskSpec), Error<T>> {
        let entry = pallet_tasks::Tasks::<T>::get(task).ok_or(Error::<T>::NotAskable)?;
        ensure!(!pallet_tasks::Forfeits::<T>::contains_key(task), Error::<T>::NotAskable);
        let Unit { attempt, state } = pallet_tasks::Units::<T>::get(task, unit);
        let is_drawn = Self::find_drawn(task, unit, attempt, asker).is_some();
        let is_working = matches!(state, UnitState::Assigned(assignment) if assignment.solver == *asker);
        ensure!(is_drawn || is_working, Error::<T>::NoNeed);
        Ok((Wanted { attempt, answerer: entry.owner, is_drawn }, entry.spec))
    }

    /// Segments of the unit that the asker must re-execute, if it is a verifier drawn for this attempt.
    fn find_drawn(task: TaskId, unit: UnitIndex, attempt: u16, asker: &T::AccountId) -> Option<Vec<u16>> {
        let duty = Duties::<T>::get(task, unit).filter(|duty| duty.attempt == attempt)?;
        let is_drawn = duty.verifiers.iter().any(|(who, _)| who == asker);
        is_drawn.then(|| duty.segments.into_inner())
    }

    /// Counts an ask against the limits. Gives its deposit.
    pub(crate) fn note_ask(
        task: TaskId,
        unit: UnitIndex,
        asker: &T::AccountId,
        chunk: Chunk,
        wanted: &Wanted<T::AccountId>,
    ) -> Result<Balance, Error<T>> {
        let known = AsksOfUnit::<T>::get(task, unit).filter(|asks| asks.attempt == wanted.attempt);
        let mut asks = known.unwrap_or_else(|| UnitAsks::new(wanted.attempt));
        let askers = if chunk.is_data() { &mut asks.askers_of_data } else { &mut asks.askers };
        ensure!(!askers.contains(asker), Error::<T>::AlreadyAsked);
        askers.try_push(asker.clone()).map_err(|_| Error::<T>::TooManyAsks)?;
        let mut deposit = Params::<T>::get().deposit;
        if !wanted.is_drawn {
            if !chunk.is_data() {
                let is_full = asks.strangers >= MAX_STRANGERS || asks.open >= MAX_OPEN_OF_UNIT;
                ensure!(!is_full, Error::<T>::TooManyAsks);
                deposit = Params::<T>::get().deposit_after(asks.strangers);
                asks.strangers.saturating_inc();
                asks.open.saturating_inc();
            }
            let open = OpenOfAnswerer::<T>::get(&wanted.answerer);
            ensure!(open < MAX_OPEN_OF_ANSWERER, Error::<T>::AnswererBusy);
            OpenOfAnswerer::<T>::insert(&wanted.answerer, open.saturating_add(1));
        }
        AsksOfUnit::<T>::insert(task, unit, asks);
        Ok(deposit)
    }

    /// Takes an ask that has ended off the limits.
    pub(crate) fn note_end(ask: &Ask<T::AccountId>) {
        if ask.is_drawn {
            return;
        }
        if !ask.chunk.is_data() {
            AsksOfUnit::<T>::mutate(ask.task, ask.unit, |asks| {
                let same = asks.as_mut().filter(|asks| asks.attempt == ask.attempt);
                same.into_iter().for_each(|asks| asks.open.saturating_dec());
            });
        }
        OpenOfAnswerer::<T>::mutate_exists(&ask.answerer, |open| {
            *open = open.take().and_then(|open| open.checked_sub(1)).filter(|open| *open > 0);
        });
    }
}
