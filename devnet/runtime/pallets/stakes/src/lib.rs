//! # Stakes
//!
//! Money that answers for behaviour. An account bonds separately as solver and as verifier; a bond is a hold on its own
//! balance. Unbonding takes `unbonding_blocks`, and money under way is still slashed. Slashed money is burned,
//! but for the share that a dispute's winner gets.

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
    use alloc::vec::Vec;
    use frame_support::{
        pallet_prelude::*,
        traits::{
            fungible::{Balanced, BalancedHold, Credit, MutateHold},
            tokens::Precision,
            Imbalance,
        },
    };
    use frame_system::pallet_prelude::*;
    use sp_runtime::{Permill, SaturatedConversion};

    /// Most unbondings that one account may have under way in one role.
    pub const MAX_UNBONDINGS: u32 = 8;
    /// Longest endpoint URL, bytes.
    pub const MAX_ENDPOINT: u32 = 128;

    /// URL of a blob server.
    pub type Endpoint = BoundedVec<u8, ConstU32<MAX_ENDPOINT>>;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// The money that is bonded, with holds.
        type Currency: MutateHold<Self::AccountId, Balance = Balance, Reason = Self::RuntimeHoldReason>
            + BalancedHold<Self::AccountId>
            + Balanced<Self::AccountId>;
        /// The runtime's reasons for holds.
        type RuntimeHoldReason: From<HoldReason>;
        /// Who may not withdraw yet.
        type Obligations: Obligations<Self::AccountId>;
        /// Most accounts bonded in one role.
        #[pallet::constant]
        type MaxStakers: Get<u32>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Why this pallet holds money.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// The bonds of an account in all its roles, unbonding money included.
        Bond,
    }

    /// Parameters, set at genesis.
    #[pallet::storage]
    pub type Params<T: Config> = StorageValue<_, StakesParams, ValueQuery>;

    /// Active bond of an account in a role, plancks; absent when nothing is bonded.
    #[pallet::storage]
    pub type Bonds<T: Config> =
        StorageDoubleMap<_, Twox64Concat, Role, Blake2_128Concat, T::AccountId, Balance, ValueQuery>;

    /// Unbondings under way: amount in plancks and the first block in which it may be withdrawn, oldest first.
    #[pallet::storage]
    pub type Unbonding<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        Role,
        Blake2_128Concat,
        T::AccountId,
        BoundedVec<(Balance, BlockNumber), ConstU32<MAX_UNBONDINGS>>,
        ValueQuery,
    >;

    /// Number of accounts with an active bond in a role; at most `MaxStakers`.
    #[pallet::storage]
    pub type StakerCount<T: Config> = StorageMap<_, Twox64Concat, Role, u32, ValueQuery>;

    /// URL of the blob server of an account.
    #[pallet::storage]
    pub type Endpoints<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Endpoint>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An account added to its bond in a role.
        Bonded {
            /// The account.
            account: T::AccountId,
            /// The role the bond is for.
            role: Role,
            /// What was added, plancks.
            amount: Balance,
            /// The active bond afterwards, plancks.
            total: Balance,
        },
        /// An account started to take money out of its bond.
        UnbondStarted {
            /// The account.
            account: T::AccountId,
            /// The role the bond is for.
            role: Role,
            /// What is unbonding, plancks.
            amount: Balance,
            /// First block in which it may be withdrawn.
            until: BlockNumber,
        },
        /// An account got unbonded money back.
        Withdrawn {
            /// The account.
            account: T::AccountId,
            /// The role the bond was for.
            role: Role,
            /// What was released, plancks.
            amount: Balance,
        },
        /// An account published the URL of its blob server.
        EndpointSet {
            /// The account.
            account: T::AccountId,
            /// The URL; empty when it was taken back.
            endpoint: Endpoint,
        },
        /// Money of a bond was taken for misbehaviour, and burned but for a winner's share.
        Slashed {
            /// The account that lost it.
            account: T::AccountId,
            /// The role whose bond answered.
            role: Role,
            /// What was really taken, plancks.
            amount: Balance,
            /// What for.
            reason: SlashReason,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The amount is zero: name a positive number of plancks.
        ZeroAmount,
        /// The bond would be below the minimum of the role: bond more, or unbond everything.
        BelowMinimum,
        /// As many accounts as allowed are bonded in this role: wait until one leaves.
        TooManyStakers,
        /// More was asked for than is bonded: unbond at most the active bond.
        InsufficientBond,
        /// As many unbondings as allowed are under way: withdraw finished ones first.
        TooManyUnbondings,
        /// No unbonding of this role has come to its end: wait for its block.
        NothingToWithdraw,
        /// The account has unfinished duties in this role, for which its bond answers: finish them first.
        Obliged,
        /// The endpoint is no http or https URL in printable ASCII.
        BadEndpoint,
    }

    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Least bond of an eligible solver, plancks.
        pub min_solver_bond: Balance,
        /// Least bond of an eligible verifier, plancks.
        pub min_verifier_bond: Balance,
        /// Blocks between the start of an unbonding and its withdrawal.
        pub unbonding_blocks: BlockNumber,
        /// What a missed duty costs, plancks.
        pub penalty: Balance,
        #[serde(skip)]
        #[doc(hidden)]
        pub _marker: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            let StakesParams { min_solver_bond, min_verifier_bond, unbonding_blocks, penalty } = Default::default();
            Self { min_solver_bond, min_verifier_bond, unbonding_blocks, penalty, _marker: PhantomData }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(self.min_solver_bond > 0, "stakes.minSolverBond must be positive");
            assert!(self.min_verifier_bond > 0, "stakes.minVerifierBond must be positive");
            assert!(self.unbonding_blocks > 0, "stakes.unbondingBlocks must be positive");
            Params::<T>::put(StakesParams {
                min_solver_bond: self.min_solver_bond,
                min_verifier_bond: self.min_verifier_bond,
                unbonding_blocks: self.unbonding_blocks,
                penalty: self.penalty,
            });
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Adds `amount` plancks of the sender's free balance to its bond in `role`. The bond must reach the role's minimum.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::bond())]
        pub fn bond(origin: OriginFor<T>, role: Role, amount: Balance) -> DispatchResult {
            let who = ensure_signed(origin)?;
            ensure!(amount > 0, Error::<T>::ZeroAmount);
            let before = Bonds::<T>::get(role, &who);
            let total = before.checked_add(amount).ok_or(sp_runtime::ArithmeticError::Overflow)?;
            ensure!(total >= Self::min_bond(role), Error::<T>::BelowMinimum);
            let count = StakerCount::<T>::get(role);
            if before == 0 {
                ensure!(count < T::MaxStakers::get(), Error::<T>::TooManyStakers);
            }
            T::Currency::hold(&HoldReason::Bond.into(), &who, amount)?;
            if before == 0 {
                StakerCount::<T>::insert(role, count.saturating_add(1));
            }
            Bonds::<T>::insert(role, &who, total);
            Self::deposit_event(Event::Bonded { account: who, role, amount, total });
            Ok(())
        }

        /// Starts to take `amount` plancks out of the sender's bond in `role`. What stays must be nothing or at least the
        /// role's minimum. The money can still be slashed until it is withdrawn.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::unbond())]
        pub fn unbond(origin: OriginFor<T>, role: Role, amount: Balance) -> DispatchResult {
            let who = ensure_signed(origin)?;
            ensure!(amount > 0, Error::<T>::ZeroAmount);
            let before = Bonds::<T>::get(role, &who);
            let rest = before.checked_sub(amount).ok_or(Error::<T>::InsufficientBond)?;
            ensure!(rest == 0 || rest >= Self::min_bond(role), Error::<T>::BelowMinimum);
            let until = Self::now().saturating_add(Params::<T>::get().unbonding_blocks);
            Unbonding::<T>::try_mutate(role, &who, |chunks| {
                chunks.try_push((amount, until)).map_err(|_| Error::<T>::TooManyUnbondings)
            })?;
            Self::set_bond(role, &who, before, rest);
            Self::deposit_event(Event::UnbondStarted { account: who, role, amount, until });
            Ok(())
        }

        /// Frees all money of the sender whose unbonding in `role` has come to its end. Refused while the account has
        /// unfinished duties in that role.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::withdraw_unbonded())]
        pub fn withdraw_unbonded(origin: OriginFor<T>, role: Role) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let now = Self::now();
            let mut chunks = Unbonding::<T>::get(role, &who);
            let amount = chunks
                .iter()
                .filter(|(_, until)| *until <= now)
                .fold(0, |sum: Balance, (amount, _)| sum.saturating_add(*amount));
            ensure!(amount > 0, Error::<T>::NothingToWithdraw);
            ensure!(!T::Obligations::is_obliged(role, &who), Error::<T>::Obliged);
            T::Currency::release(&HoldReason::Bond.into(), &who, amount, Precision::Exact)?;
            chunks.retain(|(_, until)| *until > now);
            Self::set_unbonding(role, &who, chunks);
            Self::deposit_event(Event::Withdrawn { account: who, role, amount });
            Ok(())
        }

        /// Publishes the URL of the sender's blob server; an empty one takes it back.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::set_endpoint())]
        pub fn set_endpoint(origin: OriginFor<T>, endpoint: Endpoint) -> DispatchResult {
            let who = ensure_signed(origin)?;
            if endpoint.is_empty() {
                Endpoints::<T>::remove(&who);
            } else {
                let is_url = endpoint.starts_with(b"http://") || endpoint.starts_with(b"https://");
                ensure!(is_url && endpoint.iter().all(|byte| byte.is_ascii_graphic()), Error::<T>::BadEndpoint);
                Endpoints::<T>::insert(&who, &endpoint);
            }
            Self::deposit_event(Event::EndpointSet { account: who, endpoint });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        fn now() -> BlockNumber {
            frame_system::Pallet::<T>::block_number().saturated_into()
        }

        /// Writes an active bond and keeps the count of stakers.
        fn set_bond(role: Role, who: &T::AccountId, before: Balance, after: Balance) {
            if after > 0 {
                Bonds::<T>::insert(role, who, after);
            } else {
                Bonds::<T>::remove(role, who);
                if before > 0 {
                    StakerCount::<T>::mutate(role, |count| *count = count.saturating_sub(1));
                }
            }
        }

        fn set_unbonding(
            role: Role,
            who: &T::AccountId,
            chunks: BoundedVec<(Balance, BlockNumber), ConstU32<MAX_UNBONDINGS>>,
        ) {
            if chunks.is_empty() {
                Unbonding::<T>::remove(role, who);
            } else {
                Unbonding::<T>::insert(role, who, chunks);
            }
        }
    }

    impl<T: Config> StakeProvider<T::AccountId> for Pallet<T> {
        fn bond_of(role: Role, who: &T::AccountId) -> Balance {
            Bonds::<T>::get(role, who)
        }

        fn at_stake(role: Role, who: &T::AccountId) -> Balance {
            let leaving = Unbonding::<T>::get(role, who);
            leaving.iter().fold(Self::bond_of(role, who), |sum, (amount, _)| sum.saturating_add(*amount))
        }

        fn min_bond(role: Role) -> Balance {
            let params = Params::<T>::get();
            match role {
                Role::Solver => params.min_solver_bond,
                Role::Verifier => params.min_verifier_bond,
            }
        }

        fn penalty() -> Balance {
            Params::<T>::get().penalty
        }

        fn unbonding_blocks() -> BlockNumber {
            Params::<T>::get().unbonding_blocks
        }

        fn eligible(role: Role) -> Vec<(T::AccountId, Balance)> {
            let minimum = Self::min_bond(role);
            let mut list: Vec<_> = Bonds::<T>::iter_prefix(role)
                .take(T::MaxStakers::get() as usize)
                .filter(|(_, bond)| *bond >= minimum)
                .collect();
            list.sort_by(|a, b| a.0.cmp(&b.0));
            list
        }

        fn slash(role: Role, who: &T::AccountId, amount: Balance, reason: SlashReason) -> Balance {
            let credit = Self::take(role, who, amount);
            let taken = credit.peek();
            drop(credit); // dropping a credit burns it
            Self::tell_slash(role, who, taken, reason);
            taken
        }

        fn slash_for(
            role: Role,
            who: &T::AccountId,
            amount: Balance,
            reason: SlashReason,
            finder: &T::AccountId,
            share: Permill,
        ) -> Balance {
            let credit = Self::take(role, who, amount);
            let taken = credit.peek();
            let (reward, rest) = credit.split(share.mul_floor(taken));
            drop(rest);
            // What the finder's account cannot receive is burned too.
            _ = T::Currency::resolve(finder, reward);
            Self::tell_slash(role, who, taken, reason);
            taken
        }
    }

    impl<T: Config> Pallet<T> {
        /// Takes up to `amount` off a bond, the active part first.
        fn take(role: Role, who: &T::AccountId, amount: Balance) -> Credit<T::AccountId, T::Currency> {
            let active = Bonds::<T>::get(role, who);
            let mut left = amount;
            let from_active = active.min(left);
            left = left.saturating_sub(from_active);
            let mut chunks = Unbonding::<T>::get(role, who);
            for chunk in chunks.iter_mut() {
                let part = chunk.0.min(left);
                chunk.0 = chunk.0.saturating_sub(part);
                left = left.saturating_sub(part);
            }
            chunks.retain(|(amount, _)| *amount > 0);
            let wanted = amount.saturating_sub(left);
            if wanted == 0 {
                return Credit::<T::AccountId, T::Currency>::zero();
            }
            let (credit, _) = T::Currency::slash(&HoldReason::Bond.into(), who, wanted);
            Self::set_bond(role, who, active, active.saturating_sub(from_active));
            Self::set_unbonding(role, who, chunks);
            credit
        }

        fn tell_slash(role: Role, who: &T::AccountId, amount: Balance, reason: SlashReason) {
            if amount > 0 {
                Self::deposit_event(Event::Slashed { account: who.clone(), role, amount, reason });
            }
        }
    }
}
