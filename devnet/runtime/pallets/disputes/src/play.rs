//! How a move is made: whose turn it is, whether it is in time, what it does to the clocks.

use crate::{pallet::*, types::*};
use frame_support::{ensure, pallet_prelude::DispatchResult};
use frame_system::{ensure_signed, pallet_prelude::OriginFor};
use pallet_tasks::{TaskSpec, UnitState};
use sp_core::H256;
use sp_io::hashing::blake2_256;
use sp_runtime::DispatchError;

/// The game of a pallet.
pub type GameOf<T> = Game<<T as frame_system::Config>::AccountId>;

/// What a move leads to.
pub enum Next {
    /// The turn of a side.
    Turn(Side, Stage),
    /// The end of the game: who wins, and why.
    End(Side, Verdict),
}

impl Next {
    /// The defender's turn.
    pub fn defender(stage: Stage) -> Self {
        Next::Turn(Side::Defender, stage)
    }

    /// The challenger's turn.
    pub fn challenger(stage: Stage) -> Self {
        Next::Turn(Side::Challenger, stage)
    }

    /// What was picked is right if `is_right`: the defender wins, else the challenger.
    pub fn decided(is_right: bool) -> Self {
        if is_right {
            Next::End(Side::Defender, Verdict::Proved)
        } else {
            Next::End(Side::Challenger, Verdict::Refuted)
        }
    }
}

/// The result of a move, before clocks and storage.
pub type Move = Result<Next, DispatchError>;

impl<AccountId> Game<AccountId> {
    /// Last block in which the side to move is in time.
    pub fn last_block(&self) -> pallet_stakes::BlockNumber {
        let left = match self.turn {
            Side::Defender => self.defender_clock,
            Side::Challenger => self.challenger_clock,
        };
        self.since.saturating_add(left)
    }

    /// Takes the blocks since the turn began off the mover's clock.
    fn stop_clock(&mut self, now: pallet_stakes::BlockNumber) {
        let elapsed = now.saturating_sub(self.since);
        let clock = match self.turn {
            Side::Defender => &mut self.defender_clock,
            Side::Challenger => &mut self.challenger_clock,
        };
        *clock = clock.saturating_sub(elapsed);
    }

    /// Who has to move.
    pub fn player(&self) -> &AccountId {
        match self.turn {
            Side::Defender => &self.defender,
            Side::Challenger => &self.challenger,
        }
    }

    /// Whether the challenger may move although it is the defender's turn: it may settle.
    fn is_open_to_both(&self) -> bool {
        matches!(self.stage, Stage::Arbitration | Stage::Data)
    }
}

/// H as the arbiter takes it.
pub fn hasher(data: &[u8]) -> [u8; 32] {
    blake2_256(data)
}

/// Root of a tree of `count` leaves with the leaf hash `leaf` at `index`; nothing if the siblings do not fit.
pub fn root_over(leaf: H256, index: u32, count: u32, siblings: &[H256]) -> Option<H256> {
    let siblings: alloc::vec::Vec<[u8; 32]> = siblings.iter().map(|hash| hash.0).collect();
    aipow_exact::opening::root_of_proof(hasher, leaf.0, index.into(), count.into(), &siblings).ok().map(H256)
}

impl<T: Config> Pallet<T> {
    /// Makes a move: checks game, turn and time, lets `rule` say what it leads to, and goes on with clocks and storage.
    pub(crate) fn play(origin: OriginFor<T>, id: GameId, rule: impl FnOnce(&mut GameOf<T>) -> Move) -> DispatchResult {
        Self::play_as(origin, id, |game, who| *who == *game.player(), rule)
    }

    /// As `play`; the challenger may move too where the chain only has to compute.
    pub(crate) fn play_either(
        origin: OriginFor<T>,
        id: GameId,
        rule: impl FnOnce(&mut GameOf<T>) -> Move,
    ) -> DispatchResult {
        let may = |game: &GameOf<T>, who: &T::AccountId| {
            *who == *game.player() || (game.is_open_to_both() && *who == game.challenger)
        };
        Self::play_as(origin, id, may, rule)
    }

    fn play_as(
        origin: OriginFor<T>,
        id: GameId,
        may_move: impl FnOnce(&GameOf<T>, &T::AccountId) -> bool,
        rule: impl FnOnce(&mut GameOf<T>) -> Move,
    ) -> DispatchResult {
        let who = ensure_signed(origin)?;
        let mut game = Self::open_game(id).ok_or(Error::<T>::NoGame)?;
        ensure!(may_move(&game, &who), Error::<T>::NotYourTurn);
        ensure!(Self::now() <= game.last_block(), Error::<T>::OutOfTime);
        let next = rule(&mut game)?;
        game.stop_clock(Self::now());
        match next {
            Next::Turn(side, stage) => Self::give_turn(id, game, side, stage),
            Next::End(winner, verdict) => Self::finish(id, game, Some(winner), verdict),
        }
        Ok(())
    }

    /// A game that goes on: its unit is disputed in the same attempt, and no other game has decided it.
    pub(crate) fn open_game(id: GameId) -> Option<GameOf<T>> {
        let game = Games::<T>::get(id)?;
        let case = Cases::<T>::get(game.task, game.unit)?;
        (case.attempt == game.attempt && case.refuted.is_none()).then_some(game)
    }

    /// Begins a side's turn, and the time in which it must move.
    pub(crate) fn give_turn(id: GameId, mut game: GameOf<T>, side: Side, stage: Stage) {
        game.turn = side;
        game.stage = stage;
        game.since = Self::now();
        game.moves = game.moves.saturating_add(1);
        if Alarms::<T>::get(id).is_none_or(|alarm| game.last_block() < alarm) {
            Self::set_alarm(id, &game);
        }
        Games::<T>::insert(id, game);
    }

    /// Sets the timer of a game to the first block in which the turn is over. Most turns are over long before, so that
    /// a timer is set anew only when it fires, or for a turn that may end earlier.
    fn set_alarm(id: GameId, game: &GameOf<T>) {
        let alarm = game.last_block().saturating_add(1);
        Alarms::<T>::insert(id, alarm);
        Timers::<T>::schedule(Self::now(), alarm, Timer::Clock(id, alarm));
    }

    /// Ends the game if the clock of the side to move has run out. A timer in whose place an earlier one was set is stale.
    pub(crate) fn on_clock(id: GameId, alarm: pallet_stakes::BlockNumber) {
        if Alarms::<T>::get(id) != Some(alarm) {
            return;
        }
        let Some(game) = Self::open_game(id) else { return };
        if Self::now() <= game.last_block() {
            return Self::set_alarm(id, &game);
        }
        let winner = match game.turn {
            Side::Defender => Side::Challenger,
            Side::Challenger => Side::Defender,
        };
        Self::finish(id, game, Some(winner), Verdict::Clock);
    }

    /// Specification of the game's task.
    pub(crate) fn spec_of(game: &GameOf<T>) -> Result<TaskSpec, Error<T>> {
        pallet_tasks::Tasks::<T>::get(game.task).map(|entry| entry.spec).ok_or(Error::<T>::NoGame)
    }

    /// Seed of the game's unit.
    pub(crate) fn seed_of(game: &GameOf<T>) -> Result<H256, Error<T>> {
        match pallet_tasks::Units::<T>::get(game.task, game.unit).state {
            UnitState::Disputed(assignment, _) => Ok(assignment.seed),
            _ => Err(Error::<T>::NoGame),
        }
    }

    /// The step in question, which every stage after `commit_trace` has.
    pub(crate) fn step_of(game: &GameOf<T>) -> Result<StepClaim, Error<T>> {
        game.step.ok_or(Error::<T>::WrongStage)
    }

    /// A refusal of the arbiter.
    pub(crate) fn refused(error: aipow_exact::Error) -> Error<T> {
        Error::<T>::Refused(error as u8)
    }

    pub(crate) fn now() -> pallet_stakes::BlockNumber {
        pallet_tasks::Pallet::<T>::now()
    }
}
