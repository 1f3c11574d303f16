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
mod due;
mod duties;
pub mod merkle;
pub mod types;
pub mod weights;
mod windows;

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
    use codec::Encode;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use pallet_beacon::{BeaconInfo, OnRotation};
    use pallet_stakes::{BlockNumber, Obligations, Role, SlashReason, StakeProvider};
    use pallet_tasks::{
        agenda::{Agenda, AgendaCursor, Queue, QueueBounds},
        ChallengePolicy, EpochIndex, Submission, TaskId, UnitIndex, UnitState, MAX_CHAIN, MAX_VERIFIERS,
    };
    use sp_core::H256;
    use sp_io::hashing::blake2_256;
    use sp_runtime::{Permill, SaturatedConversion};

    pub(crate) type TasksPallet<T> = pallet_tasks::Pallet<T>;
    pub(crate) type StakesOf<T> = <T as pallet_tasks::Config>::Stakes;
    pub(crate) type DutyOf<T> = Duty<<T as frame_system::Config>::AccountId>;

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

    pub(crate) type Timers<T> = Agenda<Timer, TimerItems<T>, TimerCounts<T>, TimerCursor<T>>;
    pub(crate) type DueDraws<T> = Queue<DueDraw, DueItems<T>, DueBounds<T>>;

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
        pub(crate) fn submission_of(task: TaskId, unit: UnitIndex) -> Option<(T::AccountId, Submission)> {
            match pallet_tasks::Units::<T>::get(task, unit).state {
                UnitState::Submitted(assignment, submission) => Some((assignment.solver, submission)),
                _ => None,
            }
        }

        pub(crate) fn state_of<'a>(
            duty: &'a mut DutyOf<T>,
            who: &T::AccountId,
        ) -> Result<&'a mut VerifierState, Error<T>> {
            let found = duty.verifiers.iter_mut().find(|(account, _)| account == who);
            found.map(|(_, state)| state).ok_or(Error::<T>::NotVerifier)
        }

        pub(crate) fn ensure_reveal(duty: &DutyOf<T>) -> DispatchResult {
            let is_open = duty.phase == Phase::Reveal && TasksPallet::<T>::now() <= duty.deadline;
            ensure!(is_open, Error::<T>::NotRevealPhase);
            Ok(())
        }

        /// Checks one opening against what the solver committed to: proof, witness, and the unit's first and last state.
        pub(crate) fn verify_opening(
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

        /// Fires `timer` in the first block after `last`.
        pub(crate) fn schedule(timer: Timer, last: BlockNumber) {
            Timers::<T>::schedule(TasksPallet::<T>::now(), last.saturating_add(1), timer);
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
