//! # Jackpot
//!
//! Where nobody cheats, nobody who looks for cheats finds any, and in the end nobody looks. So a solver hides a false claim
//! in each unit (docs/jackpot.md, after the forced errors of Truebit): every record of its transcript repeats the witness as
//! sixteen short claims, and at one secret place, the same in all records, the claim is false. When the unit is drawn and left
//! unchallenged, the beacon names the claim that counts. If that is the decoy, the unit is a **forced error**: whoever
//! executes any segment sees it, and nobody else can.
//!
//! Findings are sealed before they are opened, so that nobody follows another; a seal does not name the unit. The solver
//! then shows its decoy, and the finders share the prize. A solver whose claim that counts is false without being its decoy
//! pays the penalty.
//!
//! Nothing here touches the unit: the record's salted witness stays true, and what is wrong with it is for pallet Disputes.
//!
//! Prizes are paid from the pot: a share of each final unit's price, burned there and minted here.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

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
    use codec::Encode;
    use frame_support::{pallet_prelude::*, traits::fungible::Mutate};
    use frame_system::pallet_prelude::*;
    use pallet_stakes::{Balance, BlockNumber, Role, SlashReason, StakeProvider};
    use pallet_tasks::{
        agenda::{Agenda, AgendaCursor},
        Assignment, Submission, TaskId, Unit, UnitIndex, UnitState,
    };
    use pallet_verification::{draw::UnitDraw, merkle, salt_witness, Lottery};
    use sp_core::H256;
    use sp_runtime::{Permill, SaturatedConversion};

    type TasksPallet<T> = pallet_tasks::Pallet<T>;
    type StakesOf<T> = <T as pallet_tasks::Config>::Stakes;
    type DrawOf<T> = Draw<<T as frame_system::Config>::AccountId>;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> + pallet_verification::Config {
        /// The money of prizes.
        type Currency: Mutate<Self::AccountId, Balance = Balance>;
        /// Most draws ended in one block; the rest follows in the next.
        #[pallet::constant]
        type MaxEndsPerBlock: Get<u32>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Parameters, set at genesis.
    #[pallet::storage]
    pub type Params<T: Config> = StorageValue<_, JackpotParams, ValueQuery>;

    /// What may still be paid out, plancks: it was burned with the prices of final units and is minted when it is paid.
    #[pallet::storage]
    pub type Pot<T: Config> = StorageValue<_, Balance, ValueQuery>;

    /// Decoys of units that were not drawn yet.
    #[pallet::storage]
    pub type Decoys<T: Config> = StorageDoubleMap<_, Twox64Concat, TaskId, Twox64Concat, UnitIndex, Decoy>;

    /// Unchallenged units whose decoy may count.
    #[pallet::storage]
    pub type Draws<T: Config> = StorageDoubleMap<_, Twox64Concat, TaskId, Twox64Concat, UnitIndex, Draw<T::AccountId>>;

    /// The last sealed finding of each whistleblower.
    #[pallet::storage]
    pub type Seals<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Seal>;

    /// Draws to end, with their attempt, by block and position.
    #[pallet::storage]
    pub type EndItems<T: Config> =
        StorageDoubleMap<_, Twox64Concat, BlockNumber, Twox64Concat, u32, (TaskId, UnitIndex, u16)>;

    /// Number of draws to end in a block.
    #[pallet::storage]
    pub type EndCounts<T: Config> = StorageMap<_, Twox64Concat, BlockNumber, u32, ValueQuery>;

    /// Block and position of the next draw to end.
    #[pallet::storage]
    pub type EndCursor<T: Config> = StorageValue<_, AgendaCursor, ValueQuery>;

    type Ends<T> = Agenda<(TaskId, UnitIndex, u16), EndItems<T>, EndCounts<T>, EndCursor<T>>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An unchallenged unit has a decoy, and this claim of it counts.
        DrawOpened {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// The claim that counts.
            counting: u8,
            /// Last block in which a finding may be sealed.
            seal_until: BlockNumber,
        },
        /// A whistleblower found that the claim that counts is false.
        Found {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// Who found it.
            finder: T::AccountId,
            /// In which segment.
            segment: u16,
        },
        /// A unit was a forced error.
        ForcedError {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// The solver.
            solver: T::AccountId,
            /// Who found it.
            finders: u32,
            /// What each of them got, plancks.
            prize: Balance,
            /// What the solver got, plancks.
            bonus: Balance,
        },
        /// A claim that counts was false, and its solver did not show that it was its decoy.
        FalseClaim {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// The solver.
            solver: T::AccountId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The unit is not assigned to the sender: hide a decoy between claim and submission.
        NotAssigned,
        /// The unit has a decoy already.
        AlreadyHidden,
        /// Only accounts bonded as solver or verifier may seal findings.
        NotEligible,
        /// The last seal can still be opened: one finding at a time.
        AlreadySealed,
        /// The unit has no decoy that may count.
        NoDraw,
        /// Nobody finds its own decoy.
        OwnUnit,
        /// Findings are opened after the last block for seals, and only for a while.
        NotFindPhase,
        /// No seal of the sender, made in time, binds this finding.
        NotSealed,
        /// The sender has found it already.
        AlreadyFound,
        /// Enough have found it.
        TooManyFinders,
        /// The proof does not lead from the record to the transcript root.
        BadProof,
        /// The witness is not the one behind the record's salted witness.
        BadWitness,
        /// The claim that counts is true.
        TrueClaim,
        /// Only the unit's solver shows its decoy.
        NotSolver,
        /// The decoy is shown after the last block for findings, and only for a while.
        NotShowPhase,
        /// Place and salt do not give the commitment.
        WrongDecoy,
        /// The decoy is not at the claim that counts.
        NotForced,
        /// Nobody has found the decoy: show it in the segment that was drawn for that.
        NotShown,
    }

    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Share of a final unit's price that goes to the pot, parts per million; a part of what is burned.
        pub share: Permill,
        /// Blocks after the draw in which findings are sealed.
        pub seal_blocks: BlockNumber,
        /// Blocks after these in which they are opened.
        pub find_blocks: BlockNumber,
        /// Blocks after these in which the solver shows its decoy.
        pub show_blocks: BlockNumber,
        #[serde(skip)]
        #[doc(hidden)]
        pub _marker: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            let JackpotParams { share, seal_blocks, find_blocks, show_blocks } = Default::default();
            Self { share, seal_blocks, find_blocks, show_blocks, _marker: PhantomData }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        /// Runs after the genesis of Tasks, whose burned share the pot is a part of.
        fn build(&self) {
            assert!(
                self.seal_blocks > 0 && self.find_blocks > 0 && self.show_blocks > 0,
                "jackpot.sealBlocks, findBlocks and showBlocks must be positive"
            );
            assert!(
                self.share <= pallet_tasks::Params::<T>::get().burn_share,
                "jackpot.share must not exceed tasks.burnShare: it is a part of what is burned"
            );
            Params::<T>::put(JackpotParams {
                share: self.share,
                seal_blocks: self.seal_blocks,
                find_blocks: self.find_blocks,
                show_blocks: self.show_blocks,
            });
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Ends the draws whose solver has not shown its decoy.
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            let now: BlockNumber = now.saturated_into();
            let mut done = 0u32;
            while done < T::MaxEndsPerBlock::get() {
                let Some((task, unit, attempt)) = Ends::<T>::take(now) else { break };
                done = done.saturating_add(1);
                if Draws::<T>::get(task, unit).is_some_and(|draw| draw.attempt == attempt) {
                    Self::end(task, unit);
                }
            }
            <T as Config>::WeightInfo::on_initialize(done)
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Commits the sender to the place of the decoy in a unit that is assigned to it.
        #[pallet::call_index(0)]
        #[pallet::weight(<T as Config>::WeightInfo::hide())]
        pub fn hide(origin: OriginFor<T>, task: TaskId, unit: UnitIndex, commitment: H256) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let Unit { attempt, state } = pallet_tasks::Units::<T>::get(task, unit);
            let is_mine = matches!(state, UnitState::Assigned(assignment) if assignment.solver == who);
            ensure!(is_mine, Error::<T>::NotAssigned);
            let is_hidden = Decoys::<T>::get(task, unit).is_some_and(|decoy| decoy.attempt == attempt);
            ensure!(!is_hidden, Error::<T>::AlreadyHidden);
            Decoys::<T>::insert(task, unit, Decoy { attempt, commitment });
            Ok(())
        }

        /// Seals a finding of the sender, or nothing: it can be opened as long as the unit's draw allows.
        #[pallet::call_index(1)]
        #[pallet::weight(<T as Config>::WeightInfo::seal())]
        pub fn seal(origin: OriginFor<T>, commitment: H256) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let roles = [Role::Verifier, Role::Solver];
            let is_eligible = roles.iter().any(|role| StakesOf::<T>::is_eligible(*role, &who));
            ensure!(is_eligible, Error::<T>::NotEligible);
            let (now, params) = (TasksPallet::<T>::now(), Params::<T>::get());
            let life = params.seal_blocks.saturating_add(params.find_blocks);
            let is_free = Seals::<T>::get(&who).is_none_or(|seal| seal.block.saturating_add(life) < now);
            ensure!(is_free, Error::<T>::AlreadySealed);
            Seals::<T>::insert(who, Seal { block: now, commitment });
            Ok(())
        }

        /// Opens the sender's sealed finding: the claim that counts in this segment is false. Free of fees if it holds.
        #[pallet::call_index(2)]
        #[pallet::weight(<T as Config>::WeightInfo::find())]
        pub fn find(
            origin: OriginFor<T>,
            task: TaskId,
            unit: UnitIndex,
            finding: Finding,
            salt: [u8; 32],
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let mut draw = Draws::<T>::get(task, unit).ok_or(Error::<T>::NoDraw)?;
            let (assignment, submission) = Self::work_of(task, unit).ok_or(Error::<T>::NoDraw)?;
            ensure!(assignment.solver != who, Error::<T>::OwnUnit);
            let now = TasksPallet::<T>::now();
            ensure!(now > draw.seal_until && now <= draw.find_until, Error::<T>::NotFindPhase);
            ensure!(!draw.finders.contains(&who), Error::<T>::AlreadyFound);
            let segment = finding.record.index;
            let sealed = commit_finding(&who, task, unit, segment, &finding.witness, &salt);
            let seal = Seals::<T>::get(&who).ok_or(Error::<T>::NotSealed)?;
            ensure!(seal.commitment == sealed && seal.block <= draw.seal_until, Error::<T>::NotSealed);
            Self::verify_finding(task, &assignment.solver, &submission, &finding, draw.counting)?;
            draw.finders.try_push(who.clone()).map_err(|_| Error::<T>::TooManyFinders)?;
            Draws::<T>::insert(task, unit, draw);
            Seals::<T>::remove(&who);
            Self::deposit_event(Event::Found { task, unit, finder: who, segment });
            Ok(Pays::No.into())
        }

        /// Shows that the claim that counts is the sender's decoy, and pays the prizes. `shown`: the drawn segment with its
        /// false claim, if nobody has found one. Free of fees if it holds.
        #[pallet::call_index(3)]
        #[pallet::weight(<T as Config>::WeightInfo::show())]
        pub fn show(
            origin: OriginFor<T>,
            task: TaskId,
            unit: UnitIndex,
            place: u8,
            salt: [u8; 32],
            shown: Option<Finding>,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let draw = Draws::<T>::get(task, unit).ok_or(Error::<T>::NoDraw)?;
            let (assignment, submission) = Self::work_of(task, unit).ok_or(Error::<T>::NoDraw)?;
            ensure!(assignment.solver == who, Error::<T>::NotSolver);
            let now = TasksPallet::<T>::now();
            ensure!(now > draw.find_until && now <= draw.show_until, Error::<T>::NotShowPhase);
            let commitment = commit_decoy(&who, task, unit, draw.attempt, place, &salt);
            ensure!(commitment == draw.commitment, Error::<T>::WrongDecoy);
            ensure!(place == draw.counting, Error::<T>::NotForced);
            if draw.finders.is_empty() {
                let shown = shown.filter(|shown| shown.record.index == draw.segment).ok_or(Error::<T>::NotShown)?;
                Self::verify_finding(task, &who, &submission, &shown, draw.counting)?;
            }
            Draws::<T>::remove(task, unit);
            Self::pay(task, unit, who, draw);
            Ok(Pays::No.into())
        }
    }

    impl<T: Config> Pallet<T> {
        /// Assignment and submission of a unit that was submitted and not listed again.
        fn work_of(task: TaskId, unit: UnitIndex) -> Option<(Assignment<T::AccountId>, Submission)> {
            match pallet_tasks::Units::<T>::get(task, unit).state {
                UnitState::Submitted(assignment, submission)
                | UnitState::Challengeable(assignment, submission)
                | UnitState::Disputed(assignment, submission)
                | UnitState::Final(assignment, submission) => Some((assignment, submission)),
                UnitState::Open | UnitState::Assigned(_) | UnitState::Closed => None,
            }
        }

        /// Checks that the record is the solver's, that the witness is the record's, and that the claim that counts is not
        /// the witness's.
        fn verify_finding(
            task: TaskId,
            solver: &T::AccountId,
            submission: &Submission,
            finding: &Finding,
            counting: u8,
        ) -> DispatchResult {
            let Finding { record, proof, witness } = finding;
            let total = pallet_tasks::Tasks::<T>::get(task).map_or(0, |entry| entry.spec.segments_per_unit);
            let root = merkle::compute_root(&record.encode(), record.index.into(), total.into(), proof);
            ensure!(root == Some(submission.transcript_root), Error::<T>::BadProof);
            ensure!(salt_witness(solver, witness) == record.salted_witness, Error::<T>::BadWitness);
            let is_false = differs_at(&record.claims, &compute_claims(solver, witness), counting);
            ensure!(is_false, Error::<T>::TrueClaim);
            Ok(())
        }

        /// Pays finders and solver of a forced error.
        fn pay(task: TaskId, unit: UnitIndex, solver: T::AccountId, draw: DrawOf<T>) {
            let price = pallet_tasks::Tasks::<T>::get(task).map_or(0, |entry| entry.spec.price);
            let challenge_ppm = pallet_verification::Params::<T>::get().challenge_ppm;
            let pot = Pot::<T>::get();
            let prizes = Prizes::new(Params::<T>::get().budget(price, challenge_ppm).min(pot));
            let finders = draw.finders.len() as u32;
            let (prize, bonus) = (prizes.each(finders), prizes.solver(finders));
            draw.finders.iter().for_each(|finder| Self::mint(finder, prize));
            Self::mint(&solver, bonus);
            Self::deposit_event(Event::ForcedError { task, unit, solver, finders, prize, bonus });
        }

        /// Pays out of the pot; what an account cannot receive stays there.
        fn mint(who: &T::AccountId, amount: Balance) {
            let pot = Pot::<T>::get();
            if let Some(left) = pot.checked_sub(amount) {
                if amount > 0 && <T as Config>::Currency::mint_into(who, amount).is_ok() {
                    Pot::<T>::put(left);
                }
            }
        }

        /// A draw's time is over and its solver has shown nothing. If the claim that counts was found false, that costs
        /// the penalty, of which the finders get their share.
        fn end(task: TaskId, unit: UnitIndex) {
            let Some(draw) = Draws::<T>::take(task, unit) else { return };
            let Some((assignment, _)) = Self::work_of(task, unit) else { return };
            let each = StakesOf::<T>::penalty().checked_div(draw.finders.len() as Balance).unwrap_or(0);
            for finder in &draw.finders {
                let reason = SlashReason::FalseClaim;
                StakesOf::<T>::slash_for(Role::Solver, &assignment.solver, each, reason, finder, FINDER_SHARE);
            }
            if !draw.finders.is_empty() {
                Self::deposit_event(Event::FalseClaim { task, unit, solver: assignment.solver });
            }
        }
    }

    impl<T: Config> Lottery for Pallet<T> {
        /// A decoy of a unit that is left unchallenged may count; of a challenged one it cannot, since there all is opened.
        fn on_draw(task: TaskId, unit: UnitIndex, attempt: u16, seed: H256, is_challenged: bool) {
            let Some(decoy) = Decoys::<T>::take(task, unit).filter(|decoy| decoy.attempt == attempt) else { return };
            if is_challenged {
                return;
            }
            let numbers = UnitDraw { seed, task, unit, attempt };
            let total = pallet_tasks::Tasks::<T>::get(task).map_or(0, |entry| entry.spec.segments_per_unit);
            let counting = numbers.number(COUNTING).checked_rem(CLAIMS.into()).unwrap_or(0) as u8;
            let segment = numbers.number(SHOWN_SEGMENT).checked_rem(total.into()).unwrap_or(0) as u16;
            let (now, params) = (TasksPallet::<T>::now(), Params::<T>::get());
            let seal_until = now.saturating_add(params.seal_blocks);
            let find_until = seal_until.saturating_add(params.find_blocks);
            let show_until = find_until.saturating_add(params.show_blocks);
            let commitment = decoy.commitment;
            let finders = BoundedVec::new();
            let draw = Draw { attempt, commitment, counting, segment, seal_until, find_until, show_until, finders };
            Draws::<T>::insert(task, unit, draw);
            Ends::<T>::schedule(now, show_until.saturating_add(1), (task, unit, attempt));
            Self::deposit_event(Event::DrawOpened { task, unit, counting, seal_until });
        }

        fn on_final(price: Balance) {
            let more = Params::<T>::get().contribution(price);
            Pot::<T>::mutate(|pot| *pot = pot.saturating_add(more));
        }

        fn on_relisted(task: TaskId, unit: UnitIndex) {
            Decoys::<T>::remove(task, unit);
            Draws::<T>::remove(task, unit);
        }
    }
}
