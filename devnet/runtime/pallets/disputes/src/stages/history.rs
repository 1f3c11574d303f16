//! From the segment to one of its steps: opening a game, its history, its witness, and narrowing, which all levels share.

use crate::{
    pallet::*,
    play::{root_over, GameOf, Move, Next},
    types::*,
};
use alloc::vec::Vec;
use codec::Encode;
use frame_support::{ensure, pallet_prelude::DispatchResult, traits::fungible::MutateHold};
use pallet_stakes::{Role, StakeProvider};
use pallet_tasks::{Submission, TaskId, TaskSpec, UnitIndex, UnitState};
use pallet_verification::{
    first_difference,
    merkle::{compute_root, hash_leaf},
    salt_witness,
};
use sp_core::H256;
use sp_io::hashing::blake2_256;

impl StepLeaf {
    /// Its leaf hash in the history.
    pub fn hash(&self) -> H256 {
        hash_leaf(&self.encode())
    }
}

impl<T: Config> Pallet<T> {
    /// Opens a game about a segment of a unit.
    pub(crate) fn open_claim(
        challenger: T::AccountId,
        task: TaskId,
        unit: UnitIndex,
        opening: OpenedRecord,
        previous: Option<OpenedRecord>,
    ) -> DispatchResult {
        let eligible = |role| <T as pallet_tasks::Config>::Stakes::is_eligible(role, &challenger);
        ensure!(eligible(Role::Verifier) || eligible(Role::Solver), Error::<T>::NotEligible);
        let pallet_tasks::Unit { attempt, state } = pallet_tasks::Units::<T>::get(task, unit);
        let (UnitState::Challengeable(assignment, submission) | UnitState::Disputed(assignment, submission)) = state
        else {
            return Err(Error::<T>::NotDisputable.into());
        };
        ensure!(assignment.solver != challenger, Error::<T>::OwnUnit);
        let spec = pallet_tasks::Tasks::<T>::get(task).ok_or(Error::<T>::NotDisputable)?.spec;
        let segment = opening.record.index;
        let (start, end) = Self::verify_records(task, unit, &spec, &submission, &opening, previous.as_ref())?;

        let case = Self::case_of(task, unit, attempt).ok_or(Error::<T>::NotDisputable)?;
        Self::ensure_may_open(&case, &challenger, segment)?;
        let mut games = OpenGames::<T>::get(task, unit);
        let is_playing = |id: &GameId| Games::<T>::get(id).is_some_and(|game| game.challenger == challenger);
        ensure!(!games.iter().any(is_playing), Error::<T>::AlreadyOpen);
        let id = NextGame::<T>::get();
        games.try_push(id).map_err(|_| Error::<T>::TooManyGames)?;
        let params = Params::<T>::get();
        let bond = params.level_bond.saturating_mul(LEVELS);
        <T as Config>::Currency::hold(&HoldReason::Challenge.into(), &challenger, bond)?;
        NextGame::<T>::put(id.checked_add(1).ok_or(Error::<T>::TooManyGames)?);
        OpenGames::<T>::insert(task, unit, games);

        let now = Self::now();
        let defender = assignment.solver;
        Self::deposit_event(Event::Opened {
            game: id,
            task,
            unit,
            segment,
            defender: defender.clone(),
            challenger: challenger.clone(),
        });
        let game = Game {
            task,
            unit,
            attempt,
            segment,
            defender,
            challenger,
            opened: now,
            defender_clock: params.clock_blocks,
            challenger_clock: params.clock_blocks,
            turn: Side::Defender,
            since: now,
            moves: 0,
            bond,
            start,
            end,
            salted_witness: opening.record.salted_witness,
            stage: Stage::History,
            history_root: None,
            step: None,
            node: None,
            place: None,
        };
        Self::give_turn(id, game, Side::Defender, Stage::History);
        Ok(())
    }

    /// Start and end of the segment as its solver has committed to them. What record k says of its own start counts for
    /// nothing: it is the end of record k−1.
    fn verify_records(
        task: TaskId,
        unit: UnitIndex,
        spec: &TaskSpec,
        submission: &Submission,
        opening: &OpenedRecord,
        previous: Option<&OpenedRecord>,
    ) -> Result<(H256, H256), Error<T>> {
        let total = spec.segments_per_unit;
        let verify = |opened: &OpenedRecord| {
            let (index, count) = (opened.record.index.into(), total.into());
            let root = compute_root(&opened.record.encode(), index, count, &opened.proof);
            (root == Some(submission.transcript_root)).then_some(()).ok_or(Error::<T>::BadProof)
        };
        verify(opening)?;
        let segment = opening.record.index;
        let start = match (segment.checked_sub(1), previous) {
            (None, None) => pallet_tasks::Pallet::<T>::start_state_root(task, unit).ok_or(Error::<T>::NotDisputable)?,
            (Some(before), Some(previous)) if previous.record.index == before => {
                verify(previous)?;
                previous.record.end_state_root
            }
            _ => return Err(Error::<T>::BadPrevious),
        };
        let is_last = segment.checked_add(1) == Some(total);
        Ok((start, if is_last { submission.end_state_root } else { opening.record.end_state_root }))
    }

    /// The unit's case, or a new one if its watch window is open, which ends with that.
    fn case_of(task: TaskId, unit: UnitIndex, attempt: u16) -> Option<Case<T::AccountId>> {
        if let Some(case) = Cases::<T>::get(task, unit) {
            return Some(case);
        }
        let watch = pallet_verification::Pallet::<T>::interrupt_watch(task, unit)?;
        let attesters = watch.matched.into_iter().map(|who| (who, u16::MAX)).collect::<Vec<_>>();
        let case = Case {
            attempt,
            until: watch.until,
            segments: watch.segments,
            attesters: pallet_verification::AttesterList::truncate_from(attesters),
            accused: false,
            second: watch.second,
            refuted: None,
        };
        Self::insert_case(task, unit, &case);
        Some(case)
    }

    /// In time, and after a mismatch only by accusers, each about the first segment on which it differs.
    fn ensure_may_open(case: &Case<T::AccountId>, challenger: &T::AccountId, segment: u16) -> Result<(), Error<T>> {
        ensure!(Self::now() <= case.until && case.refuted.is_none(), Error::<T>::NotDisputable);
        if case.accused {
            let found = case.attesters.iter().find(|(who, _)| who == challenger);
            let differs = found.and_then(|(_, agreement)| first_difference(*agreement, &case.segments));
            let due = differs.ok_or(Error::<T>::NotAccuser)?;
            ensure!(due == segment, Error::<T>::WrongSegment);
        }
        Ok(())
    }

    /// The defender commits to the history; its last leaf shows that it ends where the claim does.
    pub(crate) fn commit_to_history(
        id: GameId,
        game: &mut GameOf<T>,
        root: H256,
        last: StepLeaf,
        siblings: &Siblings,
    ) -> Move {
        ensure!(game.stage == Stage::History, Error::<T>::WrongStage);
        let steps = Self::spec_of(game)?.steps_per_segment;
        let found = root_over(last.hash(), steps.saturating_sub(1), steps, siblings);
        ensure!(found == Some(root), Error::<T>::BadProof);
        ensure!(last.state == game.end, Error::<T>::WrongEnd);
        game.history_root = Some(root);
        Self::deposit_event(Event::HistoryCommitted { game: id, root });
        Ok(Next::challenger(Stage::HistoryPick))
    }

    /// The defender shows all leaves of the history, from which the witness follows.
    pub(crate) fn show_witness(game: &GameOf<T>, leaves: &[StepLeaf]) -> Move {
        ensure!(game.stage == Stage::Witness, Error::<T>::WrongStage);
        let steps = Self::spec_of(game)?.steps_per_segment;
        let hashes: Vec<H256> = leaves.iter().map(StepLeaf::hash).collect();
        let is_history = leaves.len() as u64 == u64::from(steps) && merkle_root(hashes) == game.history_root;
        ensure!(is_history, Error::<T>::BadProof);
        let mut losses = b"losses/v1".to_vec();
        leaves.iter().for_each(|leaf| (leaf.loss, leaf.grad_norm).encode_to(&mut losses));
        let witness = H256(blake2_256(&losses));
        ensure!(salt_witness(&game.defender, &witness) == game.salted_witness, Error::<T>::BadWitness);
        Ok(Next::decided(true))
    }

    /// The defender lays open the nodes below the one in question.
    pub(crate) fn lay_open(id: GameId, game: &GameOf<T>, children: Children) -> Move {
        let Stage::Narrow { level, cursor } = game.stage else { return Err(Error::<T>::WrongStage.into()) };
        ensure!(cursor.is_made_of(&children), Error::<T>::BadChildren);
        let Cursor { height, index, .. } = cursor;
        Self::deposit_event(Event::Narrowed { game: id, level, height, index, children: children.clone() });
        Ok(Next::challenger(Stage::Pick { level, cursor, children }))
    }

    /// The challenger picks the first of them that it finds wrong.
    pub(crate) fn pick_child(id: GameId, game: &mut GameOf<T>, child: u8, counter: H256) -> Move {
        let Stage::Pick { level, cursor, children } = &game.stage else { return Err(Error::<T>::WrongStage.into()) };
        let (level, picked) = (*level, cursor.child(child, children).ok_or(Error::<T>::BadPick)?);
        ensure!(counter != picked.hash, Error::<T>::SameHash);
        Self::deposit_event(Event::Picked { game: id, level, child, claimed: picked.hash, counter });
        Self::narrow_from(id, game, level, picked)
    }

    /// Goes on below a node of a tree: narrowing it, or the stage of its leaf.
    pub(crate) fn narrow_from(id: GameId, game: &mut GameOf<T>, level: Level, cursor: Cursor) -> Move {
        if !cursor.is_leaf() {
            return Ok(Next::defender(Stage::Narrow { level, cursor }));
        }
        let Cursor { index, hash: leaf, .. } = cursor;
        Ok(match level {
            Level::History => Next::defender(Stage::Step { index, leaf }),
            Level::State => Next::defender(Stage::StateLeaf { index, leaf }),
            Level::Trace => Next::defender(Stage::Node { index, leaf }),
            Level::Tiles => return Self::enter_place(id, game, aipow_exact::Place::Tile(index), leaf),
        })
    }
}

/// Root over leaf hashes; nothing for none.
fn merkle_root(mut level: Vec<H256>) -> Option<H256> {
    use pallet_verification::merkle::hash_inner;
    while level.len() > 1 {
        let pair = |pair: &[H256]| match pair {
            [left, right] => hash_inner(left, right),
            nodes => nodes.first().copied().unwrap_or_default(),
        };
        level = level.chunks(2).map(pair).collect();
    }
    level.first().copied()
}
