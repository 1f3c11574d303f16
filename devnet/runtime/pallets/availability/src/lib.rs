//! # Availability
//!
//! Whoever cannot get from a solver's server what a check of its unit needs asks on chain for one chunk of it (docs/
//! availability.md). The solver answers in time and gets a part of the asker's deposit, which covers its fee; the rest
//! is burned. A solver that stays silent loses its whole bond and the unit, and the asker has its deposit back and a share.
//!
//! An ask keeps its unit from becoming final until it is answered, and no ask begins after the unit's last window, so
//! that finality waits for at most one answer's time.
//!
//! Who works on a unit or must verify it, and cannot get the task's data set, asks its owner alike. An owner that stays
//! silent has its task closed and loses a share of all that it gets back of the escrow.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod asking;
mod ending;
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
    use crate::asking::Wanted;
    use alloc::boxed::Box;
    use codec::Encode;
    use frame_support::{pallet_prelude::*, traits::fungible::MutateHold};
    use frame_system::pallet_prelude::*;
    use pallet_stakes::{Balance, BlockNumber};
    use pallet_tasks::{
        agenda::{Agenda, AgendaCursor},
        TaskId, UnitIndex, MAX_CHAIN,
    };
    use sp_runtime::{Permill, SaturatedConversion};

    type TasksPallet<T> = pallet_tasks::Pallet<T>;
    type VerificationPallet<T> = pallet_verification::Pallet<T>;

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

    /// How asks ended.
    #[pallet::storage]
    pub type Ended<T: Config> = StorageMap<_, Twox64Concat, AskId, EndedAsk<T::AccountId>>;

    /// What was asked about a unit, for its last attempt that was asked about.
    #[pallet::storage]
    pub type AsksOfUnit<T: Config> =
        StorageDoubleMap<_, Twox64Concat, TaskId, Twox64Concat, UnitIndex, UnitAsks<T::AccountId>>;

    /// Open asks of strangers that a solver must answer, and of solvers that an owner must, over all units and tasks.
    #[pallet::storage]
    pub type OpenOfAnswerer<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

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
        /// A chunk was asked for; the unit's solver, or for the data set the task's owner, must answer until the deadline.
        Asked {
            /// The ask.
            ask: AskId,
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// Who must answer.
            answerer: T::AccountId,
            /// Who asked.
            asker: T::AccountId,
            /// What is asked for.
            chunk: Chunk,
            /// What is held of the asker, plancks.
            deposit: Balance,
            /// Last block in which the answer is in time.
            deadline: BlockNumber,
        },
        /// The chunk was opened.
        Answered {
            /// The ask.
            ask: AskId,
            /// Who answered.
            answerer: T::AccountId,
            /// What it got of the deposit, plancks.
            paid: Balance,
        },
        /// A solver stayed silent: it loses its bond and the unit. Or an owner did: its task is closed, and it loses a share
        /// of what it gets back of it.
        Unanswered {
            /// The ask.
            ask: AskId,
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// Who stayed silent.
            answerer: T::AccountId,
            /// Who asked.
            asker: T::AccountId,
        },
        /// The unit was listed again for another reason, or the owner has lost for another ask already: nobody loses.
        Moot {
            /// The ask.
            ask: AskId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The sender has the minimum bond in no role: bond first.
        NotEligible,
        /// Nobody asks itself.
        OwnUnit,
        /// The unit is not submitted, or its last window is over; or the task's owner has lost for its silence already.
        NotAskable,
        /// The task has no such segment, its states no such checkpoint or tensor, or its data set no such array.
        NoSuchChunk,
        /// The sender has asked about this attempt of the unit already: each may ask its solver once, and the owner once.
        AlreadyAsked,
        /// As many asks as allowed are open about this unit, or were made: wait for an answer.
        TooManyAsks,
        /// As many asks as allowed wait for the answers of who must answer: wait for one.
        AnswererBusy,
        /// Only who needs the data set may ask for it: claim the unit, or be drawn as its verifier.
        NoNeed,
        /// There is no such open ask: it never was, is answered, or its unit was listed again.
        NoAsk,
        /// Only who is asked answers: the unit's solver, or the task's owner.
        NotAnswerer,
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
        /// What is paid of it for an answer, plancks.
        pub compensation: Balance,
        /// Share of what the silent lose that goes to the asker, parts per million.
        pub reward_share: Permill,
        /// Share of all that it gets back of its task that a silent owner loses, parts per million.
        pub owner_share: Permill,
        #[serde(skip)]
        #[doc(hidden)]
        pub _marker: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            let AvailabilityParams { answer_blocks, deposit, compensation, reward_share, owner_share } =
                Default::default();
            Self { answer_blocks, deposit, compensation, reward_share, owner_share, _marker: PhantomData }
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
                owner_share: self.owner_share,
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
        /// Asks a unit's solver for a chunk of what it committed to, or the task's owner for one of the data set, and holds
        /// the sender's deposit. The sender must be eligible in a role; who asks an owner must work on the unit or be drawn
        /// as its verifier.
        #[pallet::call_index(0)]
        #[pallet::weight(<T as Config>::WeightInfo::ask())]
        pub fn ask(origin: OriginFor<T>, task: TaskId, unit: UnitIndex, chunk: Chunk) -> DispatchResult {
            let asker = ensure_signed(origin)?;
            let wanted = Self::find_wanted(task, unit, &asker, chunk)?;
            let deposit = Self::note_ask(task, unit, &asker, chunk, &wanted)?;
            let Wanted { attempt, answerer, is_drawn } = wanted;
            <T as Config>::Currency::hold(&HoldReason::Ask.into(), &asker, deposit)?;
            let id = NextAsk::<T>::get();
            NextAsk::<T>::put(id.checked_add(1).ok_or(Error::<T>::TooManyAsks)?);
            let now = Self::now();
            let deadline = now.saturating_add(Params::<T>::get().answer_blocks);
            if chunk.is_data() {
                TasksPallet::<T>::begin_question(task);
            } else {
                VerificationPallet::<T>::hold(task, unit);
            }
            Deadlines::<T>::schedule(now, deadline.saturating_add(1), id);
            let (to, from) = (answerer.clone(), asker.clone());
            Asks::<T>::insert(id, Ask { task, unit, attempt, answerer, asker, chunk, deposit, deadline, is_drawn });
            Self::deposit_event(Event::Asked {
                ask: id,
                task,
                unit,
                answerer: to,
                asker: from,
                chunk,
                deposit,
                deadline,
            });
            Ok(())
        }

        /// Opens the chunk that was asked for. The sender, the unit's solver or the task's owner, gets a part of the deposit.
        #[pallet::call_index(1)]
        #[pallet::weight(<T as Config>::WeightInfo::answer(opening.encoded_size() as u32))]
        pub fn answer(origin: OriginFor<T>, ask: AskId, opening: Box<Opening>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let entry = Asks::<T>::get(ask).ok_or(Error::<T>::NoAsk)?;
            ensure!(entry.answerer == who, Error::<T>::NotAnswerer);
            ensure!(Self::now() <= entry.deadline, Error::<T>::OutOfTime);
            Self::verify(&entry, &opening)?;
            Asks::<T>::remove(ask);
            Self::on_answer(ask, entry);
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// Height of the current block.
        pub(crate) fn now() -> BlockNumber {
            TasksPallet::<T>::now()
        }
    }
}
