//! # Availability
//!
//! Whoever cannot get from a solver's server what a check of its unit needs asks on chain for one chunk of it (docs/
//! availability.md). The solver answers in time and gets a part of the asker's deposit, which covers its fee; the rest
//! is burned. A solver that stays silent loses its whole bond and the unit, and the asker has its deposit back and a share.
//!
//! An ask keeps its unit from becoming final until it is answered, and no ask begins after the unit's last window, so
//! that finality waits for at most one answer's time.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod opening;
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
    use alloc::boxed::Box;
    use codec::Encode;
    use frame_support::{
        pallet_prelude::*,
        traits::{
            fungible::MutateHold,
            tokens::{Fortitude, Precision, Restriction},
        },
    };
    use frame_system::pallet_prelude::*;
    use pallet_stakes::{Balance, BlockNumber, Role, StakeProvider};
    use pallet_tasks::{
        agenda::{Agenda, AgendaCursor},
        Submission, TaskId, TaskSpec, Unit, UnitIndex, UnitState, MAX_CHAIN,
    };
    use pallet_verification::{Duties, Watches};
    use sp_runtime::{Permill, SaturatedConversion, Saturating};

    type VerificationPallet<T> = pallet_verification::Pallet<T>;
    type StakesOf<T> = <T as pallet_tasks::Config>::Stakes;
    type AskOf<T> = Ask<<T as frame_system::Config>::AccountId>;

    /// What an ask is about: the unit as it stands.
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

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> + pallet_verification::Config {
        /// The money of deposits, with holds.
        type Currency: MutateHold<Self::AccountId, Balance = Balance, Reason = <Self as Config>::RuntimeHoldReason>;
        /// The runtime's reasons for holds.
        type RuntimeHoldReason: From<HoldReason>;
        /// Most deadlines looked at in one block; the rest follows in the next.
        #[pallet::constant]
        type MaxDeadlinesPerBlock: Get<u32>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Why this pallet holds money.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// The deposits of an account's open asks.
        Ask,
    }

    /// Parameters, set at genesis.
    #[pallet::storage]
    pub type Params<T: Config> = StorageValue<_, AvailabilityParams, ValueQuery>;

    /// Number of the next ask.
    #[pallet::storage]
    pub type NextAsk<T: Config> = StorageValue<_, AskId, ValueQuery>;

    /// Asks that wait for their answers.
    #[pallet::storage]
    pub type Asks<T: Config> = StorageMap<_, Twox64Concat, AskId, Ask<T::AccountId>>;

    /// What was asked about a unit, for its last attempt that was asked about.
    #[pallet::storage]
    pub type AsksOfUnit<T: Config> =
        StorageDoubleMap<_, Twox64Concat, TaskId, Twox64Concat, UnitIndex, UnitAsks<T::AccountId>>;

    /// Open asks of strangers of a solver, over all its units.
    #[pallet::storage]
    pub type OpenOfSolver<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

    /// Asks to look at when their deadline has passed, by block and position.
    #[pallet::storage]
    pub type DeadlineItems<T: Config> = StorageDoubleMap<_, Twox64Concat, BlockNumber, Twox64Concat, u32, AskId>;

    /// Number of asks to look at in a block.
    #[pallet::storage]
    pub type DeadlineCounts<T: Config> = StorageMap<_, Twox64Concat, BlockNumber, u32, ValueQuery>;

    /// Block and position of the next ask to look at.
    #[pallet::storage]
    pub type DeadlineCursor<T: Config> = StorageValue<_, AgendaCursor, ValueQuery>;

    type Deadlines<T> = Agenda<AskId, DeadlineItems<T>, DeadlineCounts<T>, DeadlineCursor<T>>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A chunk was asked for; its solver must answer until the deadline.
        Asked {
            /// The ask.
            ask: AskId,
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// Who must answer.
            solver: T::AccountId,
            /// Who asked.
            asker: T::AccountId,
            /// What is asked for.
            chunk: Chunk,
            /// What is held of the asker, plancks.
            deposit: Balance,
            /// Last block in which the answer is in time.
            deadline: BlockNumber,
        },
        /// The solver opened the chunk.
        Answered {
            /// The ask.
            ask: AskId,
            /// Who answered.
            solver: T::AccountId,
            /// What it got of the deposit, plancks.
            paid: Balance,
        },
        /// The solver stayed silent: it loses its bond and the unit.
        Unanswered {
            /// The ask.
            ask: AskId,
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// Who stayed silent.
            solver: T::AccountId,
            /// Who asked.
            asker: T::AccountId,
        },
        /// The unit was listed again for another reason: nobody loses.
        Moot {
            /// The ask.
            ask: AskId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The sender has the minimum bond in no role: bond first.
        NotEligible,
        /// A solver cannot ask itself.
        OwnUnit,
        /// The unit is not submitted, or its last window is over.
        NotAskable,
        /// The task has no such segment, or its states no such checkpoint or tensor.
        NoSuchChunk,
        /// The sender has asked about this attempt of the unit already: each may do so once.
        AlreadyAsked,
        /// As many asks as allowed are open about this unit, or were made: wait for an answer.
        TooManyAsks,
        /// As many asks as allowed wait for this solver's answers: wait for one.
        SolverBusy,
        /// There is no such open ask: it never was, is answered, or its unit was listed again.
        NoAsk,
        /// Only the unit's solver answers.
        NotSolver,
        /// The deadline has passed; the ask ends by itself.
        OutOfTime,
        /// The opening is of another kind, segment or checkpoint than the ask, or has a record where none belongs.
        WrongOpening,
        /// The proof does not lead to what was committed to.
        BadProof,
        /// The tensor has no such dtype, or more than 2^40 elements.
        BadForm,
        /// The bytes are not as long as a tile of the dtype.
        BadTile,
    }

    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Blocks in which an ask must be answered.
        pub answer_blocks: BlockNumber,
        /// What is held for the first ask about a unit, plancks.
        pub deposit: Balance,
        /// What the solver gets of it for its answer, plancks.
        pub compensation: Balance,
        /// Share of a silent solver's bond that goes to the asker, parts per million.
        pub reward_share: Permill,
        #[serde(skip)]
        #[doc(hidden)]
        pub _marker: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            let AvailabilityParams { answer_blocks, deposit, compensation, reward_share } = Default::default();
            Self { answer_blocks, deposit, compensation, reward_share, _marker: PhantomData }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(self.answer_blocks > 0, "availability.answerBlocks must be positive");
            assert!(
                self.compensation < self.deposit,
                "availability.compensation must be below the deposit: else asking oneself costs nothing"
            );
            Params::<T>::put(AvailabilityParams {
                answer_blocks: self.answer_blocks,
                deposit: self.deposit,
                compensation: self.compensation,
                reward_share: self.reward_share,
            });
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Ends the asks whose deadline was before this block.
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            let now: BlockNumber = now.saturated_into();
            let (mut done, mut relisted) = (0u32, 0u32);
            while done < T::MaxDeadlinesPerBlock::get() && relisted < u32::from(MAX_CHAIN) {
                let Some(ask) = Deadlines::<T>::take(now) else { break };
                done = done.saturating_add(1);
                relisted = relisted.saturating_add(Self::on_deadline(ask));
            }
            <T as Config>::WeightInfo::on_initialize(done, relisted)
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Asks a unit's solver for a chunk of what it committed to, and holds the sender's deposit. The sender must be
        /// eligible in a role.
        #[pallet::call_index(0)]
        #[pallet::weight(<T as Config>::WeightInfo::ask())]
        pub fn ask(origin: OriginFor<T>, task: TaskId, unit: UnitIndex, chunk: Chunk) -> DispatchResult {
            let asker = ensure_signed(origin)?;
            let is_eligible = |role| StakesOf::<T>::is_eligible(role, &asker);
            ensure!(is_eligible(Role::Verifier) || is_eligible(Role::Solver), Error::<T>::NotEligible);
            let Asked { attempt, solver, spec, .. } = Self::find_asked(task, unit).ok_or(Error::<T>::NotAskable)?;
            ensure!(Self::is_window_open(task, unit), Error::<T>::NotAskable);
            ensure!(solver != asker, Error::<T>::OwnUnit);
            ensure!(chunk.is_in(&spec), Error::<T>::NoSuchChunk);
            let is_drawn = Self::is_needed(task, unit, attempt, &asker, chunk);
            let deposit = Self::note_ask(task, unit, attempt, &solver, &asker, is_drawn)?;
            <T as Config>::Currency::hold(&HoldReason::Ask.into(), &asker, deposit)?;
            let id = NextAsk::<T>::get();
            NextAsk::<T>::put(id.checked_add(1).ok_or(Error::<T>::TooManyAsks)?);
            let now = Self::now();
            let deadline = now.saturating_add(Params::<T>::get().answer_blocks);
            VerificationPallet::<T>::hold(task, unit);
            Deadlines::<T>::schedule(now, deadline.saturating_add(1), id);
            let (to, from) = (solver.clone(), asker.clone());
            Asks::<T>::insert(id, Ask { task, unit, attempt, solver, asker, chunk, deposit, deadline, is_drawn });
            Self::deposit_event(Event::Asked {
                ask: id,
                task,
                unit,
                solver: to,
                asker: from,
                chunk,
                deposit,
                deadline,
            });
            Ok(())
        }

        /// Opens the chunk that was asked for. The sender, the unit's solver, gets a part of the deposit.
        #[pallet::call_index(1)]
        #[pallet::weight(<T as Config>::WeightInfo::answer(opening.encoded_size() as u32))]
        pub fn answer(origin: OriginFor<T>, ask: AskId, opening: Box<Opening>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let entry = Asks::<T>::get(ask).ok_or(Error::<T>::NoAsk)?;
            let asked = Self::find_asked(entry.task, entry.unit).ok_or(Error::<T>::NoAsk)?;
            ensure!(asked.attempt == entry.attempt, Error::<T>::NoAsk);
            ensure!(entry.solver == who, Error::<T>::NotSolver);
            ensure!(Self::now() <= entry.deadline, Error::<T>::OutOfTime);
            Self::verify(&asked, &entry, &opening)?;
            Asks::<T>::remove(ask);
            Self::note_end(&entry);
            VerificationPallet::<T>::release(entry.task, entry.unit);
            let paid = Self::settle(&entry);
            Self::deposit_event(Event::Answered { ask, solver: who, paid });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        pub(crate) fn now() -> BlockNumber {
            pallet_tasks::Pallet::<T>::now()
        }

        /// The unit as it stands, if it is submitted and not final.
        fn find_asked(task: TaskId, unit: UnitIndex) -> Option<Asked<T::AccountId>> {
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

        /// Whether somebody may still look at the unit: it is not verified yet, or in its watch window, or disputed.
        fn is_window_open(task: TaskId, unit: UnitIndex) -> bool {
            Watches::<T>::get(task, unit).is_none_or(|watch| Self::now() <= watch.until)
        }

        /// Whether the asker is a verifier drawn for the unit and its duty needs the chunk.
        fn is_needed(task: TaskId, unit: UnitIndex, attempt: u16, asker: &T::AccountId, chunk: Chunk) -> bool {
            let Some(duty) = Duties::<T>::get(task, unit).filter(|duty| duty.attempt == attempt) else { return false };
            let is_needed = match chunk {
                Chunk::Transcript { .. } => true,
                Chunk::Checkpoint { checkpoint, .. } => duty.segments.contains(&checkpoint),
            };
            is_needed && duty.verifiers.iter().any(|(who, _)| who == asker)
        }

        /// Counts an ask against the limits. Gives its deposit.
        fn note_ask(
            task: TaskId,
            unit: UnitIndex,
            attempt: u16,
            solver: &T::AccountId,
            asker: &T::AccountId,
            is_drawn: bool,
        ) -> Result<Balance, Error<T>> {
            let known = AsksOfUnit::<T>::get(task, unit).filter(|asks| asks.attempt == attempt);
            let mut asks = known.unwrap_or_else(|| UnitAsks::new(attempt));
            ensure!(!asks.askers.contains(asker), Error::<T>::AlreadyAsked);
            let mut deposit = Params::<T>::get().deposit;
            if !is_drawn {
                let is_full = asks.strangers >= MAX_STRANGERS || asks.open >= MAX_OPEN_OF_UNIT;
                ensure!(!is_full, Error::<T>::TooManyAsks);
                let open = OpenOfSolver::<T>::get(solver);
                ensure!(open < MAX_OPEN_OF_SOLVER, Error::<T>::SolverBusy);
                deposit = Params::<T>::get().deposit_after(asks.strangers);
                asks.strangers.saturating_inc();
                asks.open.saturating_inc();
                OpenOfSolver::<T>::insert(solver, open.saturating_add(1));
            }
            asks.askers.try_push(asker.clone()).map_err(|_| Error::<T>::TooManyAsks)?;
            AsksOfUnit::<T>::insert(task, unit, asks);
            Ok(deposit)
        }

        /// Takes an ask that has ended off the limits.
        fn note_end(ask: &AskOf<T>) {
            if ask.is_drawn {
                return;
            }
            AsksOfUnit::<T>::mutate(ask.task, ask.unit, |asks| {
                let same = asks.as_mut().filter(|asks| asks.attempt == ask.attempt);
                same.into_iter().for_each(|asks| asks.open.saturating_dec());
            });
            OpenOfSolver::<T>::mutate_exists(&ask.solver, |open| {
                *open = open.take().and_then(|open| open.checked_sub(1)).filter(|open| *open > 0);
            });
        }

        /// The deposit of an answered ask: the compensation goes to the solver, the rest is burned, also what the solver's
        /// account cannot receive. Gives what the solver got.
        fn settle(ask: &AskOf<T>) -> Balance {
            let reason = HoldReason::Ask.into();
            let paid = <T as Config>::Currency::transfer_on_hold(
                &reason,
                &ask.asker,
                &ask.solver,
                Params::<T>::get().compensation.min(ask.deposit),
                Precision::Exact,
                Restriction::Free,
                Fortitude::Force,
            );
            let paid = paid.unwrap_or(0);
            let rest = ask.deposit.saturating_sub(paid);
            let burned =
                <T as Config>::Currency::burn_held(&reason, &ask.asker, rest, Precision::Exact, Fortitude::Force);
            if burned.is_err() {
                frame_support::defensive!("the deposit of an ask is held on its asker");
            }
            paid
        }

        /// The deadline of an ask has passed. Gives how many units were listed again.
        fn on_deadline(id: AskId) -> u32 {
            let Some(ask) = Asks::<T>::take(id) else { return 0 }; // answered
            Self::note_end(&ask);
            let reason = HoldReason::Ask.into();
            if <T as Config>::Currency::release(&reason, &ask.asker, ask.deposit, Precision::Exact).is_err() {
                frame_support::defensive!("the deposit of an ask is held on its asker");
            }
            let Ask { task, unit, attempt, solver, asker, .. } = ask;
            if Self::find_asked(task, unit).is_none_or(|asked| asked.attempt != attempt) {
                Self::deposit_event(Event::Moot { ask: id });
                return 0;
            }
            Self::deposit_event(Event::Unanswered { ask: id, task, unit, solver, asker: asker.clone() });
            VerificationPallet::<T>::refuse_silent(task, unit, &asker, Params::<T>::get().reward_share)
        }
    }
}
