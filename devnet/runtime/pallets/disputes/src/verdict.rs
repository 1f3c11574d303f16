//! Ends: of a game, of a unit's case, of games that have become moot; and the money that moves with them.
//!
//! A game's own bond moves with the deciding move. What follows for the unit (refused or accepted, verifiers slashed) is
//! done at the start of the next block, so that no transaction weighs as much as the longest cancellation.

use crate::{pallet::*, play::GameOf, types::*};
use alloc::vec::Vec;
use frame_support::traits::{
    fungible::MutateHold,
    tokens::{Fortitude, Precision, Restriction},
};
use pallet_stakes::{Balance, Role, SlashReason, StakeProvider};
use pallet_tasks::{TaskId, UnitIndex};
use pallet_verification::{AttesterList, Segments, Verifiers};

type StakesOf<T> = <T as pallet_tasks::Config>::Stakes;
type VerificationPallet<T> = pallet_verification::Pallet<T>;

/// Whether an attestation with this agreement is the solver's on all of so many segments.
pub fn is_full(agreement: u16, segments: usize) -> bool {
    agreement.trailing_ones() as usize >= segments
}

impl<T: Config> Pallet<T> {
    /// Ends a game: its bond goes where it belongs, the case learns of it.
    pub(crate) fn finish(id: GameId, game: GameOf<T>, winner: Option<Side>, verdict: Verdict) {
        match winner {
            Some(Side::Defender) => Self::take_bond(&game),
            Some(Side::Challenger) | None => Self::release_bond(&game),
        }
        Self::forget(id, &game, winner, verdict);
        OpenGames::<T>::mutate_exists(game.task, game.unit, |slot| {
            let mut games = slot.take().unwrap_or_default();
            games.retain(|open| *open != id);
            *slot = (!games.is_empty()).then_some(games);
        });
        let Some(mut case) = Cases::<T>::get(game.task, game.unit) else { return };
        match winner {
            Some(Side::Challenger) => case.refuted = Some((game.challenger, game.segment)),
            Some(Side::Defender) => Self::slash_accuser(&mut case, &game.challenger),
            None => {}
        }
        let is_over = Self::is_over(game.task, game.unit, &case);
        Cases::<T>::insert(game.task, game.unit, &case);
        if is_over {
            Self::wake_case(game.task, game.unit, case.attempt, Self::now());
        }
    }

    /// Whether nothing more can happen to the case: it is decided, or no game is open and none can be opened.
    fn is_over(task: TaskId, unit: UnitIndex, case: &Case<T::AccountId>) -> bool {
        case.refuted.is_some() || (Self::now() > case.until && !OpenGames::<T>::contains_key(task, unit))
    }

    /// Removes a game from storage, keeps how it ended, and tells it.
    fn forget(id: GameId, game: &GameOf<T>, winner: Option<Side>, verdict: Verdict) {
        Games::<T>::remove(id);
        Alarms::<T>::remove(id);
        Nodes::<T>::remove(id);
        Claims::<T>::remove(id);
        Tiles::<T>::remove(id);
        let GameOf::<T> { task, unit, segment, opened, .. } = *game;
        let (defender, challenger) = (game.defender.clone(), game.challenger.clone());
        let (won, lost) = match winner {
            Some(Side::Defender) => (Some(defender.clone()), Some(challenger.clone())),
            Some(Side::Challenger) => (Some(challenger.clone()), Some(defender.clone())),
            None => (None, None),
        };
        let ended = Self::now();
        Ended::<T>::insert(id, EndedGame { task, unit, segment, defender, challenger, opened, ended, verdict, winner });
        Self::deposit_event(Event::GameEnded { game: id, verdict, winner: won, loser: lost });
    }

    /// The challenger gets its bond back.
    fn release_bond(game: &GameOf<T>) {
        let reason = HoldReason::Challenge.into();
        if <T as Config>::Currency::release(&reason, &game.challenger, game.bond, Precision::Exact).is_err() {
            frame_support::defensive!("the bond of a game is held on its challenger");
        }
    }

    /// The challenger loses its bond: a share goes to the defender, the rest is burned, also what it cannot receive.
    fn take_bond(game: &GameOf<T>) {
        let reason = HoldReason::Challenge.into();
        let reward = Params::<T>::get().reward_share.mul_floor(game.bond);
        let paid = <T as Config>::Currency::transfer_on_hold(
            &reason,
            &game.challenger,
            &game.defender,
            reward,
            Precision::Exact,
            Restriction::Free,
            Fortitude::Force,
        );
        let rest = game.bond.saturating_sub(paid.unwrap_or(0));
        let burned =
            <T as Config>::Currency::burn_held(&reason, &game.challenger, rest, Precision::Exact, Fortitude::Force);
        if burned.is_err() {
            frame_support::defensive!("the bond of a game is held on its challenger");
        }
    }

    /// A verifier that attested something else than the solver, and could not show that the solver is wrong, loses its
    /// whole bond and leaves the case.
    fn slash_accuser(case: &mut Case<T::AccountId>, who: &T::AccountId) {
        let drawn = case.segments.len();
        let is_accuser = |(account, agreement): &(T::AccountId, u16)| account == who && !is_full(*agreement, drawn);
        if case.attesters.iter().any(is_accuser) {
            case.attesters.retain(|attester| !is_accuser(attester));
            Self::slash_verifier(who);
        }
    }

    fn slash_verifier(who: &T::AccountId) {
        StakesOf::<T>::slash(Role::Verifier, who, Balance::MAX, SlashReason::WrongAttestation);
        VerificationPallet::<T>::discharge(who);
    }

    /// Has a case looked at in the first block after `last`.
    pub(crate) fn wake_case(task: TaskId, unit: UnitIndex, attempt: u16, last: pallet_stakes::BlockNumber) {
        Timers::<T>::schedule(Self::now(), last.saturating_add(1), Timer::Case(task, unit, attempt));
    }

    /// Stores a new case, and has it looked at when no more games can be opened.
    pub(crate) fn insert_case(task: TaskId, unit: UnitIndex, case: &Case<T::AccountId>) {
        Cases::<T>::insert(task, unit, case);
        Self::wake_case(task, unit, case.attempt, case.until);
    }

    /// Looks whether a case is over, and draws the consequences for the unit. Gives how many units were listed again.
    pub(crate) fn on_case(task: TaskId, unit: UnitIndex, attempt: u16) -> u32 {
        let Some(case) = Cases::<T>::get(task, unit).filter(|case| case.attempt == attempt) else { return 0 };
        if !Self::is_over(task, unit, &case) {
            return 0;
        }
        match case.refuted.clone() {
            Some((finder, segment)) => Self::convict(task, unit, case, finder, segment),
            None => {
                Self::acquit(task, unit, case);
                0
            }
        }
    }

    /// The solver is wrong: it loses its bond, and so do the verifiers who attested its result of that segment.
    fn convict(task: TaskId, unit: UnitIndex, mut case: Case<T::AccountId>, finder: T::AccountId, segment: u16) -> u32 {
        let place = case.segments.iter().position(|drawn| *drawn == segment);
        let has_attested = |agreement: u16| place.is_some_and(|place| (agreement >> place) & 1 == 1);
        let guilty: Vec<_> = case
            .attesters
            .iter()
            .filter(|(_, agreement)| has_attested(*agreement))
            .map(|(who, _)| who.clone())
            .collect();
        case.attesters.retain(|(_, agreement)| !has_attested(*agreement));
        guilty.iter().for_each(Self::slash_verifier);
        Cases::<T>::insert(task, unit, case); // ends with the relisting, which discharges the others
        VerificationPallet::<T>::convict(task, unit, &finder, Params::<T>::get().reward_share)
    }

    /// Nobody has shown that the solver is wrong: verifiers that differ lose their bonds, the unit goes on.
    fn acquit(task: TaskId, unit: UnitIndex, case: Case<T::AccountId>) {
        Cases::<T>::remove(task, unit);
        let drawn = case.segments.len();
        let (matched, wrong): (Vec<_>, Vec<_>) =
            case.attesters.into_iter().partition(|(_, agreement)| is_full(*agreement, drawn));
        wrong.iter().for_each(|(who, _)| Self::slash_verifier(who));
        let matched = matched.into_iter().map(|(who, _)| who).collect::<Vec<_>>();
        VerificationPallet::<T>::acquit(task, unit, Verifiers::truncate_from(matched), case.segments, !case.second);
        Self::deposit_event(Event::Acquitted { task, unit });
    }

    /// Ends up to `room` games of units that were listed again. Gives how many.
    pub(crate) fn end_moot_games(room: u32) -> u32 {
        let mut done = 0u32;
        while done < room {
            let Some(mut games) = Retired::<T>::take_if(|_| true) else { break };
            while done < room {
                let Some(id) = games.pop() else { break };
                if let Some(game) = Games::<T>::get(id) {
                    Self::release_bond(&game);
                    Self::forget(id, &game, None, Verdict::Moot);
                }
                done = done.saturating_add(1);
            }
            if !games.is_empty() {
                Retired::<T>::push(games);
            }
        }
        done
    }
}

impl<T: Config> pallet_verification::Disputes<T::AccountId> for Pallet<T> {
    fn on_mismatch(
        task: TaskId,
        unit: UnitIndex,
        attempt: u16,
        segments: Segments,
        attesters: AttesterList<T::AccountId>,
    ) {
        let until = Self::now().saturating_add(Params::<T>::get().accuse_blocks);
        let case = Case { attempt, until, segments, attesters, accused: true, second: false, refuted: None };
        Self::insert_case(task, unit, &case);
        Self::deposit_event(Event::CaseOpened { task, unit, until });
    }

    fn on_relisted(task: TaskId, unit: UnitIndex) {
        if let Some(case) = Cases::<T>::take(task, unit) {
            case.attesters.iter().for_each(|(who, _)| VerificationPallet::<T>::discharge(who));
        }
        let games = OpenGames::<T>::take(task, unit);
        if !games.is_empty() {
            Retired::<T>::push(games);
        }
    }
}
