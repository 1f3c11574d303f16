//! # Verification
//!
//! A solver commits to a unit's transcript; a seed made afterwards says whether the unit is challenged, which segments are
//! re-executed and by whom; verifiers commit to what they got, then they and the solver reveal, and the chain compares.
//! All equal: the unit becomes final after its watch window and its parent.
//!
//! Any difference: the unit is disputed, and pallet Disputes finds out who is wrong. No number of verifiers outweighs the
//! solver.
//!
//! Every state has a deadline on a bounded agenda or a place in the bounded queue of draws, and a unit is drawn at most
//! `MAX_DRAWS` times, so that no unit stays undecided.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod draw;
pub mod merkle;
pub mod types;
pub mod weights;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use crate::draw::UnitDraw;
    use alloc::vec::Vec;
    use codec::Encode;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use pallet_beacon::{BeaconInfo, OnRotation};
    use pallet_stakes::{Balance, BlockNumber, Obligations, Role, SlashReason, StakeProvider};
    use pallet_tasks::{
        agenda::{Agenda, AgendaCursor, Queue, QueueBounds},
        ChallengePolicy, EpochIndex, RelistReason, Submission, TaskId, Unit, UnitIndex, UnitState, MAX_CHAIN,
        MAX_VERIFIERS,
    };
    use sp_core::H256;
    use sp_io::hashing::blake2_256;
    use sp_runtime::{Permill, SaturatedConversion, Saturating};

    type TasksPallet<T> = pallet_tasks::Pallet<T>;
    type StakesOf<T> = <T as pallet_tasks::Config>::Stakes;
    type DutyOf<T> = Duty<<T as frame_system::Config>::AccountId>;

    /// MACs of the unit for which genesis parameters must make honesty the best reply at the floor price: 10^9.
    pub const REFERENCE_MACS: u64 = 1_000_000_000;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> + pallet_tasks::Config {
        /// The beacon's clock.
        type Beacon: BeaconInfo<Self::AccountId>;
        /// Who takes over units on which verifiers and solver do not agree.
        type Disputes: Disputes<Self::AccountId>;
        /// Who keeps whistleblowers awake.
        type Lottery: Lottery;
        /// Most units drawn in one block; the rest follows in the next.
        #[pallet::constant]
        type MaxDrawsPerBlock: Get<u32>;
        /// Most deadlines processed in one block; the rest follows in the next.
        #[pallet::constant]
        type MaxTimersPerBlock: Get<u32>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Parameters, set at genesis.
    #[pallet::storage]
    pub type Params<T: Config> = StorageValue<_, VerificationParams, ValueQuery>;

    /// Transcript roots submitted so far, and for which unit: none is taken twice.
    #[pallet::storage]
    pub type Transcripts<T: Config> = StorageMap<_, Identity, H256, (TaskId, UnitIndex)>;

    /// Challenged units under verification.
    #[pallet::storage]
    pub type Duties<T: Config> = StorageDoubleMap<_, Twox64Concat, TaskId, Twox64Concat, UnitIndex, Duty<T::AccountId>>;

    /// What the verifiers of a unit revealed, until the unit is settled.
    #[pallet::storage]
    pub type Attestations<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        (TaskId, UnitIndex),
        Blake2_128Concat,
        T::AccountId,
        SegmentResults,
        ValueQuery,
    >;

    /// Number of a verifier's obligations: unsettled duties, and attested units that are neither final nor listed again.
    #[pallet::storage]
    pub type OpenDuties<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

    /// Units in their watch window, or waiting for their parent after it.
    #[pallet::storage]
    pub type Watches<T: Config> =
        StorageDoubleMap<_, Twox64Concat, TaskId, Twox64Concat, UnitIndex, Watch<T::AccountId>>;

    /// The last closed epoch and the seed made at its end, with which due units are drawn.
    #[pallet::storage]
    pub type LastSeed<T: Config> = StorageValue<_, (EpochIndex, H256)>;

    /// Units that wait for their draw, oldest first.
    #[pallet::storage]
    pub type DueItems<T: Config> = StorageMap<_, Twox64Concat, u64, DueDraw>;

    /// First and one-past-last position of the waiting units.
    #[pallet::storage]
    pub type DueBounds<T: Config> = StorageValue<_, QueueBounds, ValueQuery>;

    /// Deadlines by block and position.
    #[pallet::storage]
    pub type TimerItems<T: Config> = StorageDoubleMap<_, Twox64Concat, BlockNumber, Twox64Concat, u32, Timer>;

    /// Number of deadlines of a block.
    #[pallet::storage]
    pub type TimerCounts<T: Config> = StorageMap<_, Twox64Concat, BlockNumber, u32, ValueQuery>;

    /// Block and position of the next deadline.
    #[pallet::storage]
    pub type TimerCursor<T: Config> = StorageValue<_, AgendaCursor, ValueQuery>;

    /// Units that must not become final yet, and for how many reasons: open asks of pallet Availability.
    #[pallet::storage]
    pub type Holds<T: Config> = StorageDoubleMap<_, Twox64Concat, TaskId, Twox64Concat, UnitIndex, u32, ValueQuery>;

    type Timers<T> = Agenda<Timer, TimerItems<T>, TimerCounts<T>, TimerCursor<T>>;
    type DueDraws<T> = Queue<DueDraw, DueItems<T>, DueBounds<T>>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A unit is challenged: these verifiers re-execute these segments.
        VerifiersDrawn {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// Who re-executes.
            verifiers: Verifiers<T::AccountId>,
            /// What is re-executed, ascending.
            segments: Segments,
        },
        /// The draw left a unit unchallenged; its watch window begins.
        NotChallenged {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
        },
        /// A verifier committed to its attestation.
        AttestationCommitted {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// The verifier.
            verifier: T::AccountId,
        },
        /// The reveal phase of a unit began.
        RevealStarted {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// Its last block.
            deadline: BlockNumber,
        },
        /// A verifier revealed its attestation.
        AttestationRevealed {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// The verifier.
            verifier: T::AccountId,
            /// How its re-execution ended.
            outcome: Outcome,
        },
        /// The solver opened the drawn segments.
        SolverRevealed {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// The solver.
            solver: T::AccountId,
        },
        /// All verifiers got what the solver committed to; the watch window begins.
        Matched {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// The verifiers, who share in the price.
            verifiers: Verifiers<T::AccountId>,
        },
        /// Some verifiers got something else than the solver committed to; the unit is disputed.
        Mismatched {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// The solver.
            solver: T::AccountId,
            /// The first drawn segment on which one of them differs.
            segment: u16,
            /// The verifiers who differ, each with the first segment on which it does.
            accusers: BoundedVec<(T::AccountId, u16), ConstU32<MAX_VERIFIERS>>,
        },
        /// A challenged unit was not decided, or lacks verifiers, and is drawn again.
        Redrawn {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// The epoch whose closing rotation draws it.
            epoch: EpochIndex,
        },
        /// A unit was refused and its solver slashed.
        UnitRefused {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// The solver.
            solver: T::AccountId,
            /// What for.
            reason: SlashReason,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// This transcript root was submitted before.
        DuplicateTranscript,
        /// The unit is not under verification.
        NoDuty,
        /// The sender was not drawn for this unit.
        NotVerifier,
        /// The commit phase is over, or its last block has passed.
        NotCommitPhase,
        /// The reveal phase has not begun, or its last block has passed.
        NotRevealPhase,
        /// The sender has committed already.
        AlreadyCommitted,
        /// The sender has revealed already.
        AlreadyRevealed,
        /// The sender has not committed and so cannot reveal.
        NotCommitted,
        /// Attestation and salt do not give the commitment.
        RevealMismatch,
        /// An executed attestation needs one result for each drawn segment, any other one none.
        BadAttestation,
        /// Only the unit's solver may open its segments.
        NotSolver,
        /// There must be one opening for each drawn segment, in the duty's order.
        WrongSegments,
        /// The proof does not lead from the record to the transcript root.
        BadProof,
        /// The witness is not the one behind the record's salted witness.
        BadWitness,
        /// The record of the first segment does not start from the state that the unit starts from.
        WrongStartState,
        /// The record of the last segment does not end in the unit's end state.
        WrongEndState,
    }

    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Probability p that a unit is challenged, parts per million.
        pub challenge_ppm: u32,
        /// Number q of segments drawn of a challenged unit.
        pub segments: u16,
        /// Number v of verifiers drawn for a challenged unit.
        pub verifiers: u32,
        /// Share r of the verifiers' stake that one attacker is assumed to hold, parts per million.
        pub attacker_share: Permill,
        /// Blocks in which drawn verifiers must commit.
        pub commit_blocks: BlockNumber,
        /// Blocks in which verifiers and solver must reveal.
        pub reveal_blocks: BlockNumber,
        /// Blocks between acceptance and finality.
        pub watch_blocks: BlockNumber,
        #[serde(skip)]
        #[doc(hidden)]
        pub _marker: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            let params = VerificationParams::default();
            Self {
                challenge_ppm: params.challenge_ppm,
                segments: params.segments,
                verifiers: params.verifiers,
                attacker_share: params.attacker_share,
                commit_blocks: params.commit_blocks,
                reveal_blocks: params.reveal_blocks,
                watch_blocks: params.watch_blocks,
                _marker: PhantomData,
            }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        /// Refuses parameters with which cheating pays. Runs after the genesis of Stakes and Tasks, whose parameters it reads.
        fn build(&self) {
            assert!(self.challenge_ppm <= 1_000_000, "verification.challengePpm must not exceed 1000000");
            assert!(
                self.segments >= 1 && u32::from(self.segments) <= MAX_SEGMENTS,
                "verification.segments must be 1 to 16"
            );
            assert!(self.verifiers >= 1 && self.verifiers <= MAX_VERIFIERS, "verification.verifiers must be 1 to 8");
            assert!(
                self.commit_blocks >= 1 && self.reveal_blocks >= 1 && self.watch_blocks >= 1,
                "verification.commitBlocks, revealBlocks and watchBlocks must be positive"
            );
            let params = VerificationParams {
                challenge_ppm: self.challenge_ppm,
                segments: self.segments,
                verifiers: self.verifiers,
                attacker_share: self.attacker_share,
                commit_blocks: self.commit_blocks,
                reveal_blocks: self.reveal_blocks,
                watch_blocks: self.watch_blocks,
            };
            let market = pallet_tasks::Params::<T>::get();
            let bond = StakesOf::<T>::min_bond(Role::Solver);
            let is_honest = match (market.price_floor(REFERENCE_MACS), market.honest_cost(REFERENCE_MACS)) {
                (Some(price), Some(cost)) => pallet_tasks::is_honesty_best(params.detection(), price, bond, cost),
                _ => false,
            };
            assert!(
                is_honest,
                "cheating pays with these parameters: p*(1-r^v)*(R+S) must exceed C for 10^9 MACs at the floor price; \
                 raise challengePpm, verifiers, floorPrice or minSolverBond, or lower attackerShare"
            );
            Params::<T>::put(params);
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Ends phases and watch windows, and goes on with draws that the last rotation had no room for.
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            let now: BlockNumber = now.saturated_into();
            let (mut done, mut relisted) = (0u32, 0u32);
            while done < T::MaxTimersPerBlock::get() {
                let Some(timer) = Timers::<T>::take(now) else { break };
                done = done.saturating_add(1);
                match timer {
                    Timer::Phase(task, unit, deadline) => {
                        relisted = relisted.saturating_add(Self::on_phase_end(task, unit, deadline));
                    }
                    Timer::Watch(task, unit) => Self::on_watch_end(now, task, unit),
                }
            }
            <T as Config>::WeightInfo::timers(done, relisted).saturating_add(Self::process_draws())
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Commits the sender to the result of a unit that is assigned to it, before the unit's deadline.
        #[pallet::call_index(0)]
        #[pallet::weight(<T as Config>::WeightInfo::submit())]
        pub fn submit(
            origin: OriginFor<T>,
            task: TaskId,
            unit: UnitIndex,
            transcript_root: H256,
            end_state_root: H256,
            macs: u64,
        ) -> DispatchResult {
            let solver = ensure_signed(origin)?;
            ensure!(!Transcripts::<T>::contains_key(transcript_root), Error::<T>::DuplicateTranscript);
            let epoch = T::Beacon::draw_epoch();
            let attempt =
                TasksPallet::<T>::submit_unit(task, unit, &solver, transcript_root, end_state_root, macs, epoch)?;
            Transcripts::<T>::insert(transcript_root, (task, unit));
            DueDraws::<T>::push(DueDraw { epoch, task, unit, attempt, draws: 0 });
            Ok(())
        }

        /// Commits the sender, a drawn verifier, to its attestation. When all have committed, the reveal phase begins.
        #[pallet::call_index(1)]
        #[pallet::weight(<T as Config>::WeightInfo::commit())]
        pub fn commit(origin: OriginFor<T>, task: TaskId, unit: UnitIndex, commitment: H256) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let mut duty = Duties::<T>::get(task, unit).ok_or(Error::<T>::NoDuty)?;
            let state = Self::state_of(&mut duty, &who)?;
            ensure!(*state == VerifierState::Waiting, Error::<T>::AlreadyCommitted);
            *state = VerifierState::Committed(commitment);
            ensure!(
                duty.phase == Phase::Commit && TasksPallet::<T>::now() <= duty.deadline,
                Error::<T>::NotCommitPhase
            );
            Self::deposit_event(Event::AttestationCommitted { task, unit, verifier: who });
            if duty.verifiers.iter().all(|(_, state)| *state != VerifierState::Waiting) {
                Self::start_reveal(task, unit, duty);
            } else {
                Duties::<T>::insert(task, unit, duty);
            }
            Ok(())
        }

        /// Reveals the sender's attestation. When all who committed and the solver have revealed, the unit is settled.
        #[pallet::call_index(2)]
        #[pallet::weight(<T as Config>::WeightInfo::reveal(MAX_CHAIN.into()))]
        pub fn reveal(
            origin: OriginFor<T>,
            task: TaskId,
            unit: UnitIndex,
            attestation: Attestation,
            salt: [u8; 32],
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let mut duty = Duties::<T>::get(task, unit).ok_or(Error::<T>::NoDuty)?;
            Self::ensure_reveal(&duty)?;
            let drawn = duty.segments.len();
            let state = Self::state_of(&mut duty, &who)?;
            let commitment = match state {
                VerifierState::Waiting => return Err(Error::<T>::NotCommitted.into()),
                VerifierState::Revealed(..) => return Err(Error::<T>::AlreadyRevealed.into()),
                VerifierState::Committed(commitment) => *commitment,
            };
            let expected = if attestation.outcome == Outcome::Executed { drawn } else { 0 };
            ensure!(attestation.segments.len() == expected, Error::<T>::BadAttestation);
            ensure!(attestation.commitment(&who, task, unit, &salt) == commitment, Error::<T>::RevealMismatch);
            let Attestation { outcome, segments } = attestation;
            *state = VerifierState::Revealed(outcome, H256(segments.using_encoded(blake2_256)));
            Attestations::<T>::insert((task, unit), &who, segments);
            Self::deposit_event(Event::AttestationRevealed { task, unit, verifier: who, outcome });
            let relisted = Self::settle_if_complete(task, unit, duty);
            Ok(Some(<T as Config>::WeightInfo::reveal(relisted)).into())
        }

        /// Opens the drawn segments of the sender's unit.
        #[pallet::call_index(3)]
        #[pallet::weight(<T as Config>::WeightInfo::reveal_solver(openings.len() as u32, MAX_CHAIN.into()))]
        pub fn reveal_solver(
            origin: OriginFor<T>,
            task: TaskId,
            unit: UnitIndex,
            openings: Openings,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let mut duty = Duties::<T>::get(task, unit).ok_or(Error::<T>::NoDuty)?;
            Self::ensure_reveal(&duty)?;
            let (solver, submission) = Self::submission_of(task, unit).ok_or(Error::<T>::NoDuty)?;
            ensure!(solver == who, Error::<T>::NotSolver);
            ensure!(duty.solver_reveal.is_none(), Error::<T>::AlreadyRevealed);
            ensure!(
                openings.iter().map(|opening| opening.record.index).eq(duty.segments.iter().copied()),
                Error::<T>::WrongSegments
            );
            let mut results = SegmentResults::new();
            for opening in &openings {
                Self::verify_opening(task, unit, &who, &submission, opening)?;
                let result = (opening.record.end_state_root, opening.witness);
                results.try_push(result).map_err(|_| Error::<T>::WrongSegments)?;
            }
            duty.solver_reveal = Some(results);
            Self::deposit_event(Event::SolverRevealed { task, unit, solver: who });
            let relisted = Self::settle_if_complete(task, unit, duty);
            Ok(Some(<T as Config>::WeightInfo::reveal_solver(openings.len() as u32, relisted)).into())
        }
    }

    impl<T: Config> Pallet<T> {
        /// Solver and submission of a unit that is `Submitted`.
        fn submission_of(task: TaskId, unit: UnitIndex) -> Option<(T::AccountId, Submission)> {
            match pallet_tasks::Units::<T>::get(task, unit).state {
                UnitState::Submitted(assignment, submission) => Some((assignment.solver, submission)),
                _ => None,
            }
        }

        fn state_of<'a>(duty: &'a mut DutyOf<T>, who: &T::AccountId) -> Result<&'a mut VerifierState, Error<T>> {
            let found = duty.verifiers.iter_mut().find(|(account, _)| account == who);
            found.map(|(_, state)| state).ok_or(Error::<T>::NotVerifier)
        }

        fn ensure_reveal(duty: &DutyOf<T>) -> DispatchResult {
            let is_open = duty.phase == Phase::Reveal && TasksPallet::<T>::now() <= duty.deadline;
            ensure!(is_open, Error::<T>::NotRevealPhase);
            Ok(())
        }

        /// Checks one opening against what the solver committed to: proof, witness, and the unit's first and last state.
        fn verify_opening(
            task: TaskId,
            unit: UnitIndex,
            solver: &T::AccountId,
            submission: &Submission,
            opening: &Opening,
        ) -> DispatchResult {
            let record = &opening.record;
            let total = pallet_tasks::Tasks::<T>::get(task).map_or(0, |entry| entry.spec.segments_per_unit);
            let root = merkle::compute_root(&record.encode(), record.index.into(), total.into(), &opening.proof);
            ensure!(root == Some(submission.transcript_root), Error::<T>::BadProof);
            ensure!(salt_witness(solver, &opening.witness) == record.salted_witness, Error::<T>::BadWitness);
            if record.index == 0 {
                let start = TasksPallet::<T>::start_state_root(task, unit);
                ensure!(start == Some(record.start_state_root), Error::<T>::WrongStartState);
            }
            if record.index.checked_add(1) == Some(total) {
                ensure!(record.end_state_root == submission.end_state_root, Error::<T>::WrongEndState);
            }
            Ok(())
        }

        /// Draws due units, as many as a block has room for.
        fn process_draws() -> Weight {
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
        fn draw_unit(closed: EpochIndex, seed: H256, due: DueDraw, eligible: &[(T::AccountId, Balance)]) -> u32 {
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
        fn redraw(due: DueDraw, draws: u8, not_before: EpochIndex) -> u32 {
            let DueDraw { task, unit, attempt, .. } = due;
            if draws >= MAX_DRAWS {
                return Self::relist(task, unit, RelistReason::NotDecided);
            }
            let epoch = T::Beacon::draw_epoch().max(not_before);
            DueDraws::<T>::push(DueDraw { epoch, task, unit, attempt, draws });
            Self::deposit_event(Event::Redrawn { task, unit, epoch });
            0
        }

        /// Fires `timer` in the first block after `last`.
        fn schedule(timer: Timer, last: BlockNumber) {
            Timers::<T>::schedule(TasksPallet::<T>::now(), last.saturating_add(1), timer);
        }

        fn start_reveal(task: TaskId, unit: UnitIndex, mut duty: DutyOf<T>) {
            let deadline = TasksPallet::<T>::now().saturating_add(Params::<T>::get().reveal_blocks);
            duty.phase = Phase::Reveal;
            duty.deadline = deadline;
            Duties::<T>::insert(task, unit, duty);
            Self::schedule(Timer::Phase(task, unit, deadline), deadline);
            Self::deposit_event(Event::RevealStarted { task, unit, deadline });
        }

        /// The last block of a phase has passed. A timer of a phase that ended early is stale and does nothing.
        /// Gives how many units were listed again.
        fn on_phase_end(task: TaskId, unit: UnitIndex, deadline: BlockNumber) -> u32 {
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

        fn slash_verifier(who: &T::AccountId) {
            let penalty = StakesOf::<T>::penalty();
            StakesOf::<T>::slash(Role::Verifier, who, penalty, SlashReason::NoVerifierReveal);
        }

        /// Settles a duty if nobody is left who may still reveal, else stores it.
        /// Gives how many units were listed again.
        fn settle_if_complete(task: TaskId, unit: UnitIndex, duty: DutyOf<T>) -> u32 {
            let is_awaited = |state: &VerifierState| matches!(state, VerifierState::Committed(_));
            let is_complete =
                duty.solver_reveal.is_some() && !duty.verifiers.iter().any(|(_, state)| is_awaited(state));
            if is_complete {
                Self::settle(task, unit, duty)
            } else {
                Duties::<T>::insert(task, unit, duty);
                0
            }
        }

        /// Compares what was revealed and acts on it. Gives how many units were listed again.
        fn settle(task: TaskId, unit: UnitIndex, duty: DutyOf<T>) -> u32 {
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

        fn refuse(task: TaskId, unit: UnitIndex, solver: T::AccountId, amount: Balance, reason: SlashReason) -> u32 {
            StakesOf::<T>::slash(Role::Solver, &solver, amount, reason);
            Self::deposit_event(Event::UnitRefused { task, unit, solver, reason });
            Self::relist(task, unit, RelistReason::Refused)
        }

        /// Lists a unit again and forgets what is known of it and of its cancelled descendants. Gives their number.
        fn relist(task: TaskId, unit: UnitIndex, reason: RelistReason) -> u32 {
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

        fn remove_duty(task: TaskId, unit: UnitIndex) {
            let Some(duty) = Duties::<T>::take(task, unit) else { return };
            for (who, _) in &duty.verifiers {
                Attestations::<T>::remove((task, unit), who);
                Self::discharge(who);
            }
        }

        fn remove_watch(task: TaskId, unit: UnitIndex) -> Option<Watch<T::AccountId>> {
            let watch = Watches::<T>::take(task, unit)?;
            watch.matched.iter().for_each(Self::discharge);
            Some(watch)
        }

        /// Keeps a verifier's bond from leaving until it is discharged.
        fn oblige(who: &T::AccountId) {
            OpenDuties::<T>::mutate(who, |count| count.saturating_inc());
        }

        /// Takes one obligation off a verifier.
        pub fn discharge(who: &T::AccountId) {
            OpenDuties::<T>::mutate_exists(who, |count| {
                *count = count.take().and_then(|count| count.checked_sub(1)).filter(|count| *count > 0);
            });
        }

        fn start_watch(
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
        fn open_dispute(
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
            let differs =
                |(who, mask): &(T::AccountId, u16)| Some((who.clone(), first_difference(*mask, &duty.segments)?));
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
        pub fn acquit(
            task: TaskId,
            unit: UnitIndex,
            matched: Verifiers<T::AccountId>,
            segments: Segments,
            again: bool,
        ) {
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
        fn on_watch_end(now: BlockNumber, task: TaskId, unit: UnitIndex) {
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

    impl<T: Config> OnRotation for Pallet<T> {
        /// Draws the units that are due at the end of epoch `ended` with the seed made there.
        fn on_rotation(ended: EpochIndex, seed: [u8; 32]) -> Weight {
            LastSeed::<T>::put((ended, H256(seed)));
            Self::process_draws()
        }
    }

    impl<T: Config> ChallengePolicy for Pallet<T> {
        fn detection() -> u128 {
            Params::<T>::get().detection()
        }

        fn segments() -> u16 {
            Params::<T>::get().segments
        }
    }

    impl<T: Config> Obligations<T::AccountId> for Pallet<T> {
        /// A verifier is obliged while duties of it are not settled, or units that it attested can still be disputed.
        fn is_obliged(role: Role, who: &T::AccountId) -> bool {
            role == Role::Verifier && OpenDuties::<T>::contains_key(who)
        }
    }
}
