//! # Tasks
//!
//! The market of work units. A submitter posts a task and the whole price is held on its account; a solver claims a unit,
//! executes it and submits it through the verification pallet; a final unit is paid and credited. For each task, after
//! every call, deposited = escrowed + paid + refunded + burned.
//!
//! Every claim has a deadline on a bounded agenda, so that no unit stays with a solver who does not submit.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod agenda;
mod closing;
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
    use crate::{
        agenda::{Agenda, AgendaCursor},
        types::Task, // the prelude has another
    };
    use alloc::vec::Vec;
    use codec::Encode;
    use frame_support::{
        pallet_prelude::*,
        traits::{
            fungible::MutateHold,
            tokens::{Fortitude, Precision, Restriction},
        },
    };
    use frame_system::pallet_prelude::*;
    use pallet_stakes::{Obligations, Role, StakeProvider};
    use sp_core::H256;
    use sp_io::hashing::blake2_256;
    use sp_runtime::{Permill, SaturatedConversion, Saturating};

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// The money of prices, with holds.
        type Currency: MutateHold<Self::AccountId, Balance = Balance, Reason = Self::RuntimeHoldReason>;
        /// The runtime's reasons for holds.
        type RuntimeHoldReason: From<HoldReason>;
        /// The bonds of solvers.
        type Stakes: StakeProvider<Self::AccountId>;
        /// Where finalised work is counted.
        type Credits: CreditSink<Self::AccountId>;
        /// How units are verified.
        type Policy: ChallengePolicy;
        /// Longest time between claim and submission that a task may give, blocks.
        #[pallet::constant]
        type MaxDeadline: Get<BlockNumber>;
        /// Most deadlines processed in one block; the rest follows in the next.
        #[pallet::constant]
        type MaxTimeoutsPerBlock: Get<u32>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Why this pallet holds money.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// The price of a task's units that are not final.
        Escrow,
    }

    /// Parameters, set at genesis.
    #[pallet::storage]
    pub type Params<T: Config> = StorageValue<_, TasksParams, ValueQuery>;

    /// Number of the next task.
    #[pallet::storage]
    pub type NextTaskId<T: Config> = StorageValue<_, TaskId, ValueQuery>;

    /// All tasks ever posted.
    #[pallet::storage]
    pub type Tasks<T: Config> = StorageMap<_, Twox64Concat, TaskId, Task<T::AccountId>>;

    /// Units by task and index; absent = attempt 0, open.
    #[pallet::storage]
    pub type Units<T: Config> =
        StorageDoubleMap<_, Twox64Concat, TaskId, Twox64Concat, UnitIndex, Unit<T::AccountId>, ValueQuery>;

    /// Progress of the shards of a task; absent = nothing claimed yet.
    #[pallet::storage]
    pub type Shards<T: Config> =
        StorageDoubleMap<_, Twox64Concat, TaskId, Twox64Concat, u16, ShardProgress, ValueQuery>;

    /// Unfinished units of each solver.
    #[pallet::storage]
    pub type Loads<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, SolverLoad, ValueQuery>;

    /// Open questions for the data set of a task; while there is one nothing of its escrow is given back.
    #[pallet::storage]
    pub type Questions<T: Config> = StorageMap<_, Twox64Concat, TaskId, u32, ValueQuery>;

    /// Tasks whose owner did not show a part of its data set that it was asked for.
    #[pallet::storage]
    pub type Forfeits<T: Config> = StorageMap<_, Twox64Concat, TaskId, Forfeit<T::AccountId>>;

    /// Claims to look at when their deadline has passed: (task, unit, attempt) by block and position.
    #[pallet::storage]
    pub type DeadlineItems<T: Config> =
        StorageDoubleMap<_, Twox64Concat, BlockNumber, Twox64Concat, u32, (TaskId, UnitIndex, u16)>;

    /// Number of claims to look at in a block.
    #[pallet::storage]
    pub type DeadlineCounts<T: Config> = StorageMap<_, Twox64Concat, BlockNumber, u32, ValueQuery>;

    /// Block and position of the next claim to look at.
    #[pallet::storage]
    pub type DeadlineCursor<T: Config> = StorageValue<_, AgendaCursor, ValueQuery>;

    type Deadlines<T> = Agenda<(TaskId, UnitIndex, u16), DeadlineItems<T>, DeadlineCounts<T>, DeadlineCursor<T>>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A task was posted and its whole price is held.
        TaskPosted {
            /// Its number.
            task: TaskId,
            /// The submitter.
            owner: T::AccountId,
            /// Number of its units.
            units: u32,
        },
        /// A solver took a unit.
        UnitClaimed {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// Who took it.
            solver: T::AccountId,
            /// Keys all randomness of the unit.
            seed: H256,
            /// Last block in which it may be submitted.
            deadline: BlockNumber,
        },
        /// A solver committed to a unit's result.
        UnitSubmitted {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// The solver.
            solver: T::AccountId,
            /// Merkle root over its segment records.
            transcript_root: H256,
        },
        /// A unit is open again (or, in a closed task, refunded).
        UnitRelisted {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// How often it was listed again, this time included.
            attempt: u16,
            /// Why.
            reason: RelistReason,
        },
        /// A unit is final: paid and credited.
        UnitFinal {
            /// The task.
            task: TaskId,
            /// The unit.
            unit: UnitIndex,
            /// Who executed it.
            solver: T::AccountId,
            /// Multiply-accumulates credited.
            macs: u64,
            /// What the solver got, plancks.
            paid: Balance,
        },
        /// A task was closed, by its owner or because that did not show its data set; its open units were refunded.
        TaskClosed {
            /// The task.
            task: TaskId,
            /// What was given back, plancks; nothing while the owner is asked for a part of its data set.
            refunded: Balance,
        },
        /// What a closed task no longer needed was given back when its owner was not asked for anything any more.
        Refunded {
            /// The task.
            task: TaskId,
            /// What was given back, plancks.
            amount: Balance,
        },
        /// The owner lost a share of what it would have got back, because it did not show a part of its data set.
        Forfeited {
            /// The task.
            task: TaskId,
            /// Who had asked for it.
            finder: T::AccountId,
            /// What the finder got, plancks.
            rewarded: Balance,
            /// What was burned, plancks.
            burned: Balance,
        },
        /// Nothing of a task's escrow is left: all its units are final or refunded.
        TaskDone {
            /// The task.
            task: TaskId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The task has no shard or no round, or more than 2^16 units.
        BadShape,
        /// A unit has no segments, fewer than are drawn for a check, no steps, no MACs, or more MACs than 64 bits hold.
        BadWork,
        /// The deadline is zero or longer than `MaxDeadline` blocks.
        BadDeadline,
        /// The price is below the floor for this many MACs: offer at least `floor_price` per 10^6 MACs.
        PriceBelowFloor,
        /// Cheating would pay: p·(1−r^v)·(price + minimum bond) must exceed the cost of honest work; offer more per unit.
        CheatingPays,
        /// price · units is more than a balance can hold.
        EscrowOverflow,
        /// No more task numbers are left.
        NoTaskIds,
        /// There is no such task.
        UnknownTask,
        /// The task has no such unit.
        UnknownUnit,
        /// The sender's solver bond is below the minimum: bond more first.
        NotEligible,
        /// The task is closed or done.
        TaskIsClosed,
        /// The unit is not open: claim another one.
        UnitNotOpen,
        /// The unit before it in its chain is neither final nor submitted by the sender.
        ParentNotReady,
        /// Too many units of this chain are not final yet: wait for them.
        ChainTooLong,
        /// The sender has as many claimed units as allowed: submit one first.
        TooManyClaims,
        /// Only the task's owner may do this.
        NotOwner,
        /// The unit is not assigned, or not to the sender.
        NotAssigned,
        /// The unit's deadline has passed.
        DeadlinePassed,
        /// The claimed MACs are not macs_per_step · steps_per_segment · segments_per_unit.
        WrongMacs,
        /// The unit is not in the state that this step needs.
        WrongState,
        /// Segments of more than 2^10 steps, or a graph, a state or a data set without or with more than 2^16 parts: no
        /// dispute about the task could be played.
        NotDisputable,
        /// A unit of the sender is disputed, and it has as many unfinished units as it may have meanwhile: wait for the verdict.
        UnderDispute,
    }

    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Least price, plancks per 10^6 MACs.
        pub floor_price: Balance,
        /// What honest computing is taken to cost, plancks per 10^6 MACs.
        pub mac_cost: Balance,
        /// Share of a price that is burned, parts per million.
        pub burn_share: Permill,
        /// Share of a price that goes to the verifiers who matched, parts per million.
        pub verifier_share: Permill,
        /// Most units that a solver may have claimed and not submitted.
        pub max_claims: u32,
        #[serde(skip)]
        #[doc(hidden)]
        pub _marker: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            let TasksParams { floor_price, mac_cost, burn_share, verifier_share, max_claims } = Default::default();
            Self { floor_price, mac_cost, burn_share, verifier_share, max_claims, _marker: PhantomData }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(self.floor_price > 0, "tasks.floorPrice must be positive");
            assert!(self.max_claims > 0, "tasks.maxClaims must be positive");
            let shares = u64::from(self.burn_share.deconstruct()) + u64::from(self.verifier_share.deconstruct());
            assert!(
                shares <= 1_000_000,
                "tasks.burnShare + tasks.verifierShare must not exceed 1000000 (the whole price)"
            );
            Params::<T>::put(TasksParams {
                floor_price: self.floor_price,
                mac_cost: self.mac_cost,
                burn_share: self.burn_share,
                verifier_share: self.verifier_share,
                max_claims: self.max_claims,
            });
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Opens the units again whose deadline was before this block.
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            let now: BlockNumber = now.saturated_into();
            let mut done = 0u32;
            while done < T::MaxTimeoutsPerBlock::get() {
                let Some((task, unit, attempt)) = Deadlines::<T>::take(now) else { break };
                done = done.saturating_add(1);
                let entry = Units::<T>::get(task, unit);
                if entry.attempt == attempt && matches!(entry.state, UnitState::Assigned(_)) {
                    Self::relist(task, unit, RelistReason::Timeout);
                }
            }
            T::WeightInfo::on_initialize(done)
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Posts a task. price · shards · rounds is held on the sender until the units are final or refunded.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::post())]
        pub fn post(origin: OriginFor<T>, spec: TaskSpec) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::verify_spec(&spec)?;
            let units = spec.units();
            let escrow = spec.price.checked_mul(Balance::from(units)).ok_or(Error::<T>::EscrowOverflow)?;
            let task = NextTaskId::<T>::get();
            let next = task.checked_add(1).ok_or(Error::<T>::NoTaskIds)?;
            T::Currency::hold(&HoldReason::Escrow.into(), &owner, escrow)?;
            NextTaskId::<T>::put(next);
            let entry = Task {
                owner: owner.clone(),
                spec,
                created: Self::now(),
                escrowed: escrow,
                paid: 0,
                refunded: 0,
                burned: 0,
                closed: false,
                active: 0,
                finished: 0,
            };
            Tasks::<T>::insert(task, entry);
            Self::deposit_event(Event::TaskPosted { task, owner, units });
            Ok(())
        }

        /// Takes an open unit for the sender, an eligible solver. The unit before it in its chain must be final, or
        /// submitted by the sender.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::claim())]
        pub fn claim(origin: OriginFor<T>, task: TaskId, unit: UnitIndex) -> DispatchResult {
            let solver = ensure_signed(origin)?;
            let mut entry = Tasks::<T>::get(task).ok_or(Error::<T>::UnknownTask)?;
            let (shard, round) = entry.spec.position(unit).ok_or(Error::<T>::UnknownUnit)?;
            ensure!(!entry.closed, Error::<T>::TaskIsClosed);
            let mut progress = Shards::<T>::get(task, shard);
            ensure!(round >= progress.claimed, Error::<T>::UnitNotOpen);
            ensure!(round == progress.claimed, Error::<T>::ParentNotReady);
            ensure!(progress.claimed.saturating_sub(progress.finals) < MAX_CHAIN, Error::<T>::ChainTooLong);
            if let Some(parent) = round.checked_sub(1) {
                let state = Units::<T>::get(task, entry.spec.index(shard, parent)).state;
                ensure!(Self::is_ready_parent(&state, &solver), Error::<T>::ParentNotReady);
            }
            ensure!(T::Stakes::is_eligible(Role::Solver, &solver), Error::<T>::NotEligible);
            let mut load = Loads::<T>::get(&solver);
            let most = Params::<T>::get().max_claims;
            ensure!(load.assigned < most, Error::<T>::TooManyClaims);
            ensure!(load.disputed == 0 || load.unfinished() < most, Error::<T>::UnderDispute);

            let attempt = Units::<T>::get(task, unit).attempt;
            let now = Self::now();
            let deadline = now.saturating_add(entry.spec.deadline_blocks);
            let seed = Self::compute_seed(task, unit, attempt, &solver);
            let assignment = Assignment { solver: solver.clone(), seed, assigned_at: now, deadline };
            Units::<T>::insert(task, unit, Unit { attempt, state: UnitState::Assigned(assignment) });
            progress.claimed = progress.claimed.saturating_add(1);
            Shards::<T>::insert(task, shard, progress);
            entry.active = entry.active.saturating_add(1);
            Tasks::<T>::insert(task, entry);
            load.assigned = load.assigned.saturating_add(1);
            Loads::<T>::insert(&solver, load);
            Deadlines::<T>::schedule(now, deadline.saturating_add(1), (task, unit, attempt));
            Self::deposit_event(Event::UnitClaimed { task, unit, solver, seed, deadline });
            Ok(())
        }

        /// Closes the sender's task: its open units can no longer be claimed and are refunded, as soon as nobody asks for a
        /// part of its data set; the others go on.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::close())]
        pub fn close(origin: OriginFor<T>, task: TaskId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let mut entry = Tasks::<T>::get(task).ok_or(Error::<T>::UnknownTask)?;
            ensure!(entry.owner == who, Error::<T>::NotOwner);
            ensure!(!entry.closed && entry.escrowed > 0, Error::<T>::TaskIsClosed);
            entry.closed = true;
            let refunded = Self::refund_rest(task, &mut entry);
            Self::deposit_event(Event::TaskClosed { task, refunded });
            Self::store(task, entry);
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// Height of the current block.
        pub fn now() -> BlockNumber {
            frame_system::Pallet::<T>::block_number().saturated_into()
        }

        fn verify_spec(spec: &TaskSpec) -> DispatchResult {
            let units = spec.units();
            ensure!((1..=MAX_UNITS).contains(&units), Error::<T>::BadShape);
            ensure!(spec.segments_per_unit >= T::Policy::segments().max(1), Error::<T>::BadWork);
            let counts = [spec.node_count, spec.state_count, spec.data.arrays];
            let is_disputable =
                spec.steps_per_segment <= MAX_STEPS && counts.iter().all(|count| (1..=MAX_LEAVES).contains(count));
            ensure!(is_disputable, Error::<T>::NotDisputable);
            let macs = spec.macs_per_unit().filter(|macs| *macs > 0).ok_or(Error::<T>::BadWork)?;
            let deadline = spec.deadline_blocks;
            ensure!((1..=T::MaxDeadline::get()).contains(&deadline), Error::<T>::BadDeadline);
            let params = Params::<T>::get();
            let floor = params.price_floor(macs).ok_or(Error::<T>::BadWork)?;
            ensure!(spec.price > 0 && spec.price >= floor, Error::<T>::PriceBelowFloor);
            let cost = params.honest_cost(macs).ok_or(Error::<T>::BadWork)?;
            let bond = T::Stakes::min_bond(Role::Solver);
            ensure!(is_honesty_best(T::Policy::detection(), spec.price, bond, cost), Error::<T>::CheatingPays);
            Ok(())
        }

        fn is_ready_parent(state: &UnitState<T::AccountId>, solver: &T::AccountId) -> bool {
            match state {
                UnitState::Final(..) => true,
                UnitState::Submitted(parent, _)
                | UnitState::Challengeable(parent, _)
                | UnitState::Disputed(parent, _) => parent.solver == *solver,
                UnitState::Open | UnitState::Assigned(_) | UnitState::Closed => false,
            }
        }

        fn compute_seed(task: TaskId, unit: UnitIndex, attempt: u16, solver: &T::AccountId) -> H256 {
            let parent = H256::from_slice(frame_system::Pallet::<T>::parent_hash().as_ref());
            Self::compute_seed_at(task, unit, attempt, parent, solver)
        }

        /// Seed of a unit claimed on the block `parent`: no one can know it before, and no two claims share one.
        pub fn compute_seed_at(
            task: TaskId,
            unit: UnitIndex,
            attempt: u16,
            parent: H256,
            solver: &T::AccountId,
        ) -> H256 {
            let mut bytes = b"unit/v1".to_vec();
            (task, unit, attempt, parent, solver).encode_to(&mut bytes);
            H256(blake2_256(&bytes))
        }

        /// Takes a solver's commitment to its unit: `Assigned` becomes `Submitted`. Gives the unit's attempt.
        pub fn submit_unit(
            task: TaskId,
            unit: UnitIndex,
            solver: &T::AccountId,
            transcript_root: H256,
            end_state_root: H256,
            macs: u64,
            draw_epoch: EpochIndex,
        ) -> Result<u16, DispatchError> {
            let entry = Tasks::<T>::get(task).ok_or(Error::<T>::UnknownTask)?;
            ensure!(entry.spec.position(unit).is_some(), Error::<T>::UnknownUnit);
            let Unit { attempt, state } = Units::<T>::get(task, unit);
            let UnitState::Assigned(assignment) = state else { return Err(Error::<T>::NotAssigned.into()) };
            ensure!(assignment.solver == *solver, Error::<T>::NotAssigned);
            let now = Self::now();
            ensure!(now <= assignment.deadline, Error::<T>::DeadlinePassed);
            ensure!(entry.spec.macs_per_unit() == Some(macs), Error::<T>::WrongMacs);
            ensure!(T::Stakes::is_eligible(Role::Solver, solver), Error::<T>::NotEligible);
            let submission = Submission { transcript_root, end_state_root, macs, submitted_at: now, draw_epoch };
            Units::<T>::insert(task, unit, Unit { attempt, state: UnitState::Submitted(assignment, submission) });
            Loads::<T>::mutate(solver, |load| {
                load.assigned.saturating_dec();
                load.awaiting.saturating_inc();
            });
            Self::deposit_event(Event::UnitSubmitted { task, unit, solver: solver.clone(), transcript_root });
            Ok(attempt)
        }

        /// Root of the state from which a unit starts: the task's initial state, or the end of the unit before it.
        pub fn start_state_root(task: TaskId, unit: UnitIndex) -> Option<H256> {
            let spec = Tasks::<T>::get(task)?.spec;
            let (shard, round) = spec.position(unit)?;
            let Some(parent) = round.checked_sub(1) else { return Some(spec.initial_state_root) };
            match Units::<T>::get(task, spec.index(shard, parent)).state {
                UnitState::Submitted(_, submission)
                | UnitState::Challengeable(_, submission)
                | UnitState::Disputed(_, submission)
                | UnitState::Final(_, submission) => Some(submission.end_state_root),
                UnitState::Open | UnitState::Assigned(_) | UnitState::Closed => None,
            }
        }

        /// A unit passed verification or its disputes: `Submitted` or `Disputed` becomes `Challengeable`.
        pub fn accept_unit(task: TaskId, unit: UnitIndex) -> DispatchResult {
            Units::<T>::try_mutate(task, unit, |entry| {
                let (UnitState::Submitted(assignment, submission) | UnitState::Disputed(assignment, submission)) =
                    entry.state.clone()
                else {
                    return Err(Error::<T>::WrongState.into());
                };
                if matches!(entry.state, UnitState::Disputed(..)) {
                    Loads::<T>::mutate(&assignment.solver, |load| load.disputed.saturating_dec());
                }
                entry.state = UnitState::Challengeable(assignment, submission);
                Ok(())
            })
        }

        /// A submission is disputed: `Submitted` or `Challengeable` becomes `Disputed`.
        pub fn dispute_unit(task: TaskId, unit: UnitIndex) -> DispatchResult {
            Units::<T>::try_mutate(task, unit, |entry| {
                let (UnitState::Submitted(assignment, submission) | UnitState::Challengeable(assignment, submission)) =
                    entry.state.clone()
                else {
                    return Err(Error::<T>::WrongState.into());
                };
                Loads::<T>::mutate(&assignment.solver, |load| load.disputed.saturating_inc());
                entry.state = UnitState::Disputed(assignment, submission);
                Ok(())
            })
        }

        /// Whether all units before it in its chain are final, so that the unit may become final too.
        pub fn is_next_final(task: TaskId, unit: UnitIndex) -> bool {
            let position = Tasks::<T>::get(task).and_then(|entry| entry.spec.position(unit));
            position.is_some_and(|(shard, round)| Shards::<T>::get(task, shard).finals == round)
        }

        /// The unit after this one in its chain.
        pub fn child_of(task: TaskId, unit: UnitIndex) -> Option<UnitIndex> {
            let spec = Tasks::<T>::get(task)?.spec;
            let (shard, round) = spec.position(unit)?;
            let next = round.checked_add(1).filter(|next| *next < spec.rounds)?;
            Some(spec.index(shard, next))
        }

        /// Pays and credits a `Challengeable` unit whose parent is final. `matched`: the verifiers who get a share.
        pub fn finalise_unit(task: TaskId, unit: UnitIndex, matched: &[T::AccountId]) -> DispatchResult {
            let mut entry = Tasks::<T>::get(task).ok_or(Error::<T>::UnknownTask)?;
            let (shard, round) = entry.spec.position(unit).ok_or(Error::<T>::UnknownUnit)?;
            let mut progress = Shards::<T>::get(task, shard);
            ensure!(progress.finals == round, Error::<T>::ParentNotReady);
            let Unit { attempt, state } = Units::<T>::get(task, unit);
            let UnitState::Challengeable(assignment, submission) = state else {
                return Err(Error::<T>::WrongState.into());
            };
            let (solver, macs) = (assignment.solver.clone(), submission.macs);
            let paid = Self::settle_price(&mut entry, &solver, matched);
            T::Credits::credit(&solver, macs);
            Units::<T>::insert(task, unit, Unit { attempt, state: UnitState::Final(assignment, submission) });
            progress.finals = progress.finals.saturating_add(1);
            Shards::<T>::insert(task, shard, progress);
            Self::unload(&solver, |load| &mut load.awaiting);
            entry.active = entry.active.saturating_sub(1);
            entry.finished = entry.finished.saturating_add(1);
            Self::deposit_event(Event::UnitFinal { task, unit, solver, macs, paid });
            Self::store(task, entry);
            Ok(())
        }

        /// Splits one price: the burned share, equal parts of the verifiers' share, the rest to the solver. Dust of the
        /// division, and what an account cannot receive, is burned. Gives what the solver got.
        fn settle_price(entry: &mut Task<T::AccountId>, solver: &T::AccountId, matched: &[T::AccountId]) -> Balance {
            let params = Params::<T>::get();
            let price = entry.spec.price.min(entry.escrowed);
            let burned = params.burn_share.mul_floor(price);
            let for_verifiers = params.verifier_share.mul_floor(price).min(price.saturating_sub(burned));
            let for_solver = price.saturating_sub(burned).saturating_sub(for_verifiers);
            let each = for_verifiers.checked_div(matched.len() as Balance).unwrap_or(0);
            let mut paid: Balance = 0;
            for verifier in matched {
                paid = paid.saturating_add(Self::pay(&entry.owner, verifier, each));
            }
            let to_solver = Self::pay(&entry.owner, solver, for_solver);
            paid = paid.saturating_add(to_solver);
            let rest = price.saturating_sub(paid);
            Self::burn(&entry.owner, rest);
            entry.escrowed = entry.escrowed.saturating_sub(price);
            entry.paid = entry.paid.saturating_add(paid);
            entry.burned = entry.burned.saturating_add(rest);
            to_solver
        }

        /// Moves held money to another account, all or nothing; gives what was moved.
        pub(crate) fn pay(owner: &T::AccountId, to: &T::AccountId, amount: Balance) -> Balance {
            if amount == 0 {
                return 0;
            }
            let moved = T::Currency::transfer_on_hold(
                &HoldReason::Escrow.into(),
                owner,
                to,
                amount,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Force,
            );
            moved.unwrap_or(0)
        }

        /// Lists a unit again, and without guilt all later units of its chain that are not open. Gives the units
        /// concerned, this one first; empty if the unit was open or final.
        pub fn relist(task: TaskId, unit: UnitIndex, reason: RelistReason) -> Vec<UnitIndex> {
            let mut touched = Vec::new();
            let Some(mut entry) = Tasks::<T>::get(task) else { return touched };
            let Some((shard, round)) = entry.spec.position(unit) else { return touched };
            let mut progress = Shards::<T>::get(task, shard);
            if round < progress.finals || round >= progress.claimed {
                return touched;
            }
            // claimed − finals ≤ MAX_CHAIN bounds this loop
            for later in round..progress.claimed {
                let index = entry.spec.index(shard, later);
                let reason = if later == round { reason } else { RelistReason::Cancelled };
                Self::reopen(task, index, entry.closed, reason);
                touched.push(index);
            }
            progress.claimed = round;
            Shards::<T>::insert(task, shard, progress);
            let count = touched.len() as u32;
            entry.active = entry.active.saturating_sub(count);
            Self::refund_rest(task, &mut entry);
            Self::store(task, entry);
            touched
        }

        fn reopen(task: TaskId, unit: UnitIndex, is_closed: bool, reason: RelistReason) {
            let Unit { attempt, state } = Units::<T>::get(task, unit);
            match state {
                UnitState::Assigned(assignment) => Self::unload(&assignment.solver, |load| &mut load.assigned),
                UnitState::Submitted(assignment, _) | UnitState::Challengeable(assignment, _) => {
                    Self::unload(&assignment.solver, |load| &mut load.awaiting);
                }
                UnitState::Disputed(assignment, _) => {
                    Self::unload(&assignment.solver, |load| &mut load.disputed);
                    Self::unload(&assignment.solver, |load| &mut load.awaiting);
                }
                UnitState::Open | UnitState::Final(..) | UnitState::Closed => {}
            }
            let attempt = attempt.saturating_add(1);
            let state = if is_closed { UnitState::Closed } else { UnitState::Open };
            Units::<T>::insert(task, unit, Unit { attempt, state });
            Self::deposit_event(Event::UnitRelisted { task, unit, attempt, reason });
        }

        /// Takes one unit off one of a solver's counters.
        fn unload(solver: &T::AccountId, counter: impl FnOnce(&mut SolverLoad) -> &mut u32) {
            Loads::<T>::mutate_exists(solver, |slot| {
                let mut load = slot.take().unwrap_or_default();
                counter(&mut load).saturating_dec();
                *slot = (load != SolverLoad::default()).then_some(load);
            });
        }

        /// Writes a task and tells when nothing of its escrow is left.
        pub(crate) fn store(task: TaskId, entry: Task<T::AccountId>) {
            let is_done = entry.escrowed == 0;
            Tasks::<T>::insert(task, entry);
            if is_done {
                Self::deposit_event(Event::TaskDone { task });
            }
        }
    }

    impl<T: Config> Obligations<T::AccountId> for Pallet<T> {
        /// A solver is obliged while units of it are claimed or submitted and not final.
        fn is_obliged(role: Role, who: &T::AccountId) -> bool {
            role == Role::Solver && Loads::<T>::contains_key(who)
        }
    }
}
