//! # Block rights
//!
//! Credits of verified work become slots. At each rotation the multiply-accumulates finalised in the last epochs are
//! weighed (decay, cap, bootstrap share), shared out by largest remainder, shuffled with the beacon's seed and written as
//! Aura's authority list **with repeated keys**: the stock rule `authorities[slot mod len]` then gives everyone its share.
//! GRANDPA's weights come from the same slots.
//!
//! Until enough miners take part, the bootstrap accounts keep more than two thirds of the GRANDPA weight
//! (`grandpa_guarded`): finality then rests on them, not on work. This is what a devnet needs to survive the loss of a
//! miner, and it is a trusted set.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod schedule;
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
    use crate::schedule::*;
    use alloc::{collections::BTreeMap, vec::Vec};
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use pallet_beacon::{BeaconInfo, EpochIndex, OnRotation};
    use pallet_stakes::{Role, StakeProvider};
    use sp_consensus_aura::sr25519::AuthorityId as AuraId;
    use sp_consensus_grandpa::{AuthorityId as GrandpaId, AuthorityList};
    use sp_runtime::Permill;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>>
        + pallet_aura::Config<AuthorityId = AuraId, MaxAuthorities = ConstU32<MAX_SLOTS>>
        + pallet_grandpa::Config
    {
        /// Who is an eligible solver.
        type Stakes: StakeProvider<Self::AccountId>;
        /// The clock of epochs, and who did not reveal.
        type Beacon: BeaconInfo<Self::AccountId>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// A bootstrap account with its keys.
    pub type Bootstrapper<T> = (<T as frame_system::Config>::AccountId, AuraId, GrandpaId);

    /// Parameters, set at genesis.
    #[pallet::storage]
    pub type Params<T: Config> = StorageValue<_, RightsParams, ValueQuery>;

    /// Accounts that keep the chain alive while there is little work.
    #[pallet::storage]
    pub type Bootstrap<T: Config> = StorageValue<_, BoundedVec<Bootstrapper<T>, ConstU32<MAX_BOOTSTRAP>>, ValueQuery>;

    /// Keys of each account that wants slots.
    #[pallet::storage]
    pub type Keys<T: Config> = CountedStorageMap<_, Blake2_128Concat, T::AccountId, AuthorKeys>;

    /// Whose authoring key it is.
    #[pallet::storage]
    pub type AuraOwner<T: Config> = StorageMap<_, Blake2_128Concat, AuraId, T::AccountId>;

    /// Whose finality key it is.
    #[pallet::storage]
    pub type GrandpaOwner<T: Config> = StorageMap<_, Blake2_128Concat, GrandpaId, T::AccountId>;

    /// Keys that accounts gave up and still answer for: they stay theirs (`AuraOwner`, `GrandpaOwner`) for an epoch, the
    /// longest that a schedule may still hold them, and as long as a bond can be taken afterwards.
    #[pallet::storage]
    pub type RetiredKeys<T: Config> = CountedStorageMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        BoundedVec<Retired, ConstU32<MAX_RETIRED_KEYS>>,
        ValueQuery,
    >;

    /// Accounts that the next rotation leaves out, whatever they earned and bonded since.
    #[pallet::storage]
    pub type Barred<T: Config> = StorageValue<_, BoundedVec<T::AccountId, ConstU32<MAX_KEYS>>, ValueQuery>;

    /// Multiply-accumulates finalised per epoch and account; kept for `decay_epochs`.
    #[pallet::storage]
    pub type Credits<T: Config> =
        StorageDoubleMap<_, Twox64Concat, EpochIndex, Blake2_128Concat, T::AccountId, u64, ValueQuery>;

    /// Epochs for which credits are stored, oldest first.
    #[pallet::storage]
    pub type CreditEpochs<T: Config> =
        StorageValue<_, BoundedVec<EpochIndex, ConstU32<{ MAX_DECAY_EPOCHS + 1 }>>, ValueQuery>;

    /// Number of rotations so far that found work.
    #[pallet::storage]
    pub type WorkEpochs<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// The authors of the current epoch.
    #[pallet::storage]
    pub type Schedule<T: Config> = StorageValue<_, EpochSchedule<T::AccountId>, ValueQuery>;

    /// The network's difficulty: decayed MACs behind one earned slot; 0 without work.
    #[pallet::storage]
    pub type CreditsPerSlot<T: Config> = StorageValue<_, u64, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An account registered its keys.
        KeysSet {
            /// The account.
            account: T::AccountId,
            /// Block authoring, sr25519.
            aura: AuraId,
            /// Finality, ed25519.
            grandpa: GrandpaId,
        },
        /// The keys of an account without any bond were dropped.
        KeysDropped {
            /// The account.
            account: T::AccountId,
        },
        /// The authors of an epoch were written.
        ScheduleWritten {
            /// The epoch that begins.
            epoch: EpochIndex,
            /// Slots of each account, in order of account id.
            slots: Vec<(T::AccountId, u32)>,
            /// The network's difficulty.
            credits_per_slot: u64,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The account is no eligible solver: bond at least the minimum first.
        NotBonded,
        /// Another account owns one of the keys: make keys of your own.
        KeyOwned,
        /// As many accounts as allowed have keys: wait until one leaves.
        TooManyAccounts,
        /// The keys of a bootstrap account are those of genesis.
        BootstrapAccount,
        /// The account has changed its keys too often: wait until it does not answer for the oldest ones any more.
        TooManyKeyChanges,
    }

    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Length of a slot, milliseconds.
        pub slot_duration: u64,
        /// Slots of an epoch.
        pub slots_per_epoch: u32,
        /// Number of epochs whose credits count.
        pub decay_epochs: u32,
        /// Factor from one epoch's credits to those of the epoch before, parts of 10^6.
        pub decay: Permill,
        /// Largest share of all slots of one account, parts of 10^6.
        pub cap: Permill,
        /// Share of the bootstrap accounts before any work, parts of 10^6.
        pub bootstrap_initial: Permill,
        /// What that share loses with each epoch with work, parts of 10^6.
        pub bootstrap_step: Permill,
        /// Least share of the bootstrap accounts, parts of 10^6.
        pub bootstrap_floor: Permill,
        /// Largest GRANDPA weight of one miner, as a share of the slots, parts of 10^6.
        pub grandpa_cap: Permill,
        /// Up to this many voting miners the bootstrap voters keep more than two thirds of the GRANDPA weight.
        pub grandpa_guarded: u32,
        /// Bootstrap accounts with their keys.
        pub bootstrap: Vec<Bootstrapper<T>>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            let params = RightsParams::default();
            Self {
                slot_duration: params.slot_duration,
                slots_per_epoch: params.slots_per_epoch,
                decay_epochs: params.decay_epochs,
                decay: params.decay,
                cap: params.cap,
                bootstrap_initial: params.bootstrap_initial,
                bootstrap_step: params.bootstrap_step,
                bootstrap_floor: params.bootstrap_floor,
                grandpa_cap: params.grandpa_cap,
                grandpa_guarded: params.grandpa_guarded,
                bootstrap: Vec::new(),
            }
        }
    }

    impl<T: Config> GenesisConfig<T> {
        /// The parameters of this genesis.
        pub fn params(&self) -> RightsParams {
            RightsParams {
                slot_duration: self.slot_duration,
                slots_per_epoch: self.slots_per_epoch,
                decay_epochs: self.decay_epochs,
                decay: self.decay,
                cap: self.cap,
                bootstrap_initial: self.bootstrap_initial,
                bootstrap_step: self.bootstrap_step,
                bootstrap_floor: self.bootstrap_floor,
                grandpa_cap: self.grandpa_cap,
                grandpa_guarded: self.grandpa_guarded,
            }
        }

        /// Says what is wrong with this genesis, if anything.
        pub fn check(&self) -> Result<(), &'static str> {
            self.params().check()?;
            if self.bootstrap.is_empty() || self.bootstrap.len() > MAX_BOOTSTRAP as usize {
                return Err("blockRights.bootstrap must name 1 to 16 accounts with their keys");
            }
            for (i, (account, aura, grandpa)) in self.bootstrap.iter().enumerate() {
                let later = self.bootstrap.iter().skip(i + 1);
                if later.into_iter().any(|(a, b, c)| a == account || b == aura || c == grandpa) {
                    return Err("blockRights.bootstrap names an account or a key twice");
                }
            }
            Ok(())
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        /// Writes the parameters, and the bootstrap accounts as the first authors and voters. Without any (the default, with
        /// which no chain can start) only the parameters; the runtime's genesis builder refuses that.
        fn build(&self) {
            let checked = if self.bootstrap.is_empty() { self.params().check() } else { self.check() };
            if let Err(problem) = checked {
                panic!("{problem}");
            }
            Params::<T>::put(self.params());
            if self.bootstrap.is_empty() {
                return;
            }
            for (account, aura, grandpa) in &self.bootstrap {
                Pallet::<T>::own(account, AuthorKeys { aura: aura.clone(), grandpa: grandpa.clone() });
            }
            Bootstrap::<T>::put(BoundedVec::truncate_from(self.bootstrap.clone()));
            let accounts: Vec<_> = self.bootstrap.iter().map(|(account, ..)| account.clone()).collect();
            let mut totals = share_equally(&accounts, self.slots_per_epoch);
            totals.sort();
            let authorities = Pallet::<T>::write_schedule(0, &totals, &[0; 32]);
            pallet_aura::Pallet::<T>::initialize_authorities(&authorities);
            let voters: AuthorityList = self.bootstrap.iter().map(|(.., grandpa)| (grandpa.clone(), 1)).collect();
            pallet_grandpa::Authorities::<T>::put(WeakBoundedVec::force_from(voters, None));
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Registers the keys with which the sender seals blocks and votes on finality; they count from the next rotation.
        /// Eligible solvers only; each key belongs to one account. The keys of an account whose solver bond is gone are
        /// dropped. An account answers for the keys that it gave up for an epoch and an unbonding; nobody else can have
        /// them before.
        #[pallet::call_index(0)]
        #[pallet::weight(<T as Config>::WeightInfo::set_keys())]
        pub fn set_keys(origin: OriginFor<T>, aura: AuraId, grandpa: GrandpaId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            ensure!(!Self::is_bootstrap(&who), Error::<T>::BootstrapAccount);
            ensure!(T::Stakes::is_eligible(Role::Solver, &who), Error::<T>::NotBonded);
            ensure!(AuraOwner::<T>::get(&aura).is_none_or(|owner| owner == who), Error::<T>::KeyOwned);
            ensure!(GrandpaOwner::<T>::get(&grandpa).is_none_or(|owner| owner == who), Error::<T>::KeyOwned);
            let keys = AuthorKeys { aura: aura.clone(), grandpa: grandpa.clone() };
            let known = Keys::<T>::get(&who);
            let has_room = Keys::<T>::count() < MAX_KEYS && RetiredKeys::<T>::count() < MAX_RETIRED_ACCOUNTS;
            ensure!(known.is_some() || has_room, Error::<T>::TooManyAccounts);
            Self::expire(&who);
            if known.as_ref() != Some(&keys) {
                let retired = RetiredKeys::<T>::decode_len(&who).unwrap_or(0) as u32;
                ensure!(retired.saturating_add(1) < MAX_RETIRED_KEYS, Error::<T>::TooManyKeyChanges);
                Self::retire(&who);
                Self::own(&who, keys);
            }
            Self::deposit_event(Event::KeysSet { account: who, aura, grandpa });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// Counts finalised work of an account in the current epoch.
        pub fn note_credit(who: &T::AccountId, macs: u64) {
            if macs == 0 {
                return;
            }
            let epoch = T::Beacon::epoch();
            CreditEpochs::<T>::mutate(|epochs| {
                if epochs.last() != Some(&epoch) {
                    let _ = epochs.try_push(epoch);
                }
            });
            Credits::<T>::mutate(epoch, who, |credit| *credit = credit.saturating_add(macs));
        }

        fn is_bootstrap(who: &T::AccountId) -> bool {
            Bootstrap::<T>::get().iter().any(|(account, ..)| account == who)
        }

        fn own(who: &T::AccountId, keys: AuthorKeys) {
            AuraOwner::<T>::insert(&keys.aura, who);
            GrandpaOwner::<T>::insert(&keys.grandpa, who);
            Keys::<T>::insert(who, keys);
        }

        /// Takes an account's keys out of use; it goes on to own them while it answers for them.
        fn retire(who: &T::AccountId) {
            let Some(keys) = Keys::<T>::take(who) else { return };
            let span = SlotsPerEpoch::<T>::get().saturating_add(T::Stakes::unbonding_blocks().into());
            let until = CurrentSlot::<T>::get().saturating_add(span);
            RetiredKeys::<T>::mutate(who, |list| {
                let _ = list.try_push(Retired { keys, until }); // `set_keys` leaves room
            });
        }

        /// Lets go of the keys that an account does not answer for any more.
        fn expire(who: &T::AccountId) {
            let (now, mut list) = (CurrentSlot::<T>::get(), RetiredKeys::<T>::get(who));
            let gone: Vec<AuthorKeys> = list.iter().filter(|one| one.until < now).map(|one| one.keys.clone()).collect();
            if gone.is_empty() {
                return;
            }
            list.retain(|one| one.until >= now);
            let held: Vec<AuthorKeys> = list.iter().map(|one| one.keys.clone()).chain(Keys::<T>::get(who)).collect();
            for keys in gone {
                if held.iter().all(|one| one.aura != keys.aura) {
                    AuraOwner::<T>::remove(&keys.aura);
                }
                if held.iter().all(|one| one.grandpa != keys.grandpa) {
                    GrandpaOwner::<T>::remove(&keys.grandpa);
                }
            }
            if list.is_empty() {
                RetiredKeys::<T>::remove(who);
            } else {
                RetiredKeys::<T>::insert(who, list);
            }
        }

        /// Leaves an account out of the next schedule, whatever it earned and bonds again. Bootstrap slots are not earned,
        /// and stay.
        pub fn bar(who: &T::AccountId) {
            Barred::<T>::mutate(|list| {
                if !list.contains(who) {
                    let _ = list.try_push(who.clone());
                }
            });
        }

        /// Weights of the accounts that may author: keys, eligible solver, no beacon no-show, not barred.
        fn weigh(ended: EpochIndex, params: &RightsParams) -> Vec<(T::AccountId, u128)> {
            let mut left_out = T::Beacon::no_shows();
            left_out.extend(Barred::<T>::take());
            let mut weights = Vec::new();
            let mut accounts: Vec<T::AccountId> = Keys::<T>::iter_keys().collect();
            accounts.sort();
            for account in accounts {
                if T::Stakes::bond_of(Role::Solver, &account) == 0 && !Self::is_bootstrap(&account) {
                    Self::retire(&account);
                    Self::deposit_event(Event::KeysDropped { account });
                    continue;
                }
                if !T::Stakes::is_eligible(Role::Solver, &account) || left_out.contains(&account) {
                    continue;
                }
                let credits: Vec<u64> = (0..params.decay_epochs)
                    .map_while(|k| ended.checked_sub(k))
                    .map(|epoch| Credits::<T>::get(epoch, &account))
                    .collect();
                let weight = compute_weight(&credits, params.decay.deconstruct());
                if weight > 0 {
                    weights.push((account, weight));
                }
            }
            weights
        }

        /// Shares the slots of the epoch that begins, and counts rotations with work.
        fn allot(weights: &[(T::AccountId, u128)], params: &RightsParams) -> Allotment<T::AccountId> {
            let has_work = !weights.is_empty();
            let earlier = WorkEpochs::<T>::get();
            if has_work {
                WorkEpochs::<T>::put(earlier.saturating_add(1));
            }
            let bootstrap_ppm = compute_bootstrap_share(
                params.bootstrap_initial.deconstruct(),
                params.bootstrap_step.deconstruct(),
                params.bootstrap_floor.deconstruct(),
                earlier,
                has_work,
            );
            let bootstrap: Vec<_> = Bootstrap::<T>::get().into_iter().map(|(account, ..)| account).collect();
            let shares = Shares { slots: params.slots_per_epoch, bootstrap_ppm, cap_ppm: params.cap.deconstruct() };
            compute_allotment(weights, &bootstrap, &shares)
        }

        /// Writes the authors of `epoch`: Aura's list of keys with repetitions, and the schedule of accounts beside it.
        fn write_schedule(epoch: EpochIndex, totals: &[(T::AccountId, u32)], seed: &[u8; 32]) -> Vec<AuraId> {
            let keys: BTreeMap<T::AccountId, AuraId> = totals
                .iter()
                .filter_map(|(account, _)| Some((account.clone(), Keys::<T>::get(account)?.aura)))
                .collect();
            let list = compute_list(totals, seed);
            let authorities = list.iter().filter_map(|account| keys.get(account).cloned()).collect();
            Schedule::<T>::put(EpochSchedule { epoch, entries: BoundedVec::truncate_from(list) });
            authorities
        }

        /// The GRANDPA voters that belong to the slots of an epoch.
        fn voters(allotment: &Allotment<T::AccountId>, params: &RightsParams) -> AuthorityList {
            let cap = params.grandpa_cap.mul_floor(params.slots_per_epoch);
            let bootstrap = Bootstrap::<T>::get();
            let mut voters: AuthorityList = allotment
                .work
                .iter()
                .filter(|(account, slots)| *slots > 0 && !bootstrap.iter().any(|(other, ..)| other == account))
                .filter_map(|(account, slots)| Some((Keys::<T>::get(account)?.grandpa, compute_vote(*slots, cap))))
                .collect();
            let votes: Vec<u64> = voters.iter().map(|(_, vote)| *vote).collect();
            let count = bootstrap.len() as u32;
            for ((.., grandpa), (_, slots)) in bootstrap.into_iter().zip(&allotment.bootstrap) {
                let vote = compute_bootstrap_vote(&votes, count, params.grandpa_guarded, *slots, cap);
                voters.push((grandpa, vote));
            }
            voters.sort();
            voters
        }

        /// Hands a changed voter set to GRANDPA, at the end of this block, under the next set id.
        fn change_voters(voters: AuthorityList) {
            if voters.is_empty() || voters == pallet_grandpa::Pallet::<T>::grandpa_authorities() {
                return;
            }
            if pallet_grandpa::Pallet::<T>::schedule_change(voters, 0u32.into(), None).is_ok() {
                pallet_grandpa::CurrentSetId::<T>::mutate(|id| *id = id.saturating_add(1));
            }
        }

        /// Drops the credits that the next rotation cannot count.
        fn prune(ended: EpochIndex, params: &RightsParams) {
            let first = ended.saturating_add(2).saturating_sub(params.decay_epochs);
            CreditEpochs::<T>::mutate(|epochs| {
                for epoch in epochs.iter().filter(|epoch| **epoch < first) {
                    let _ = Credits::<T>::clear_prefix(*epoch, u32::MAX, None);
                }
                epochs.retain(|epoch| *epoch >= first);
            });
        }
    }

    impl<T: Config> OnRotation for Pallet<T> {
        /// Writes the authors and voters of the epoch that begins.
        fn on_rotation(ended: EpochIndex, seed: [u8; 32]) -> Weight {
            let params = Params::<T>::get();
            let accounts = Keys::<T>::count().saturating_add(RetiredKeys::<T>::count());
            for account in RetiredKeys::<T>::iter_keys().collect::<Vec<_>>() {
                Self::expire(&account);
            }
            let weights = Self::weigh(ended, &params);
            let allotment = Self::allot(&weights, &params);
            let slots = allotment.totals();
            let epoch = T::Beacon::epoch();
            let authorities = Self::write_schedule(epoch, &slots, &seed);
            pallet_aura::Pallet::<T>::change_authorities(BoundedVec::truncate_from(authorities));
            CreditsPerSlot::<T>::put(allotment.credits_per_slot);
            Self::change_voters(Self::voters(&allotment, &params));
            Self::prune(ended, &params);
            let credits_per_slot = allotment.credits_per_slot;
            Self::deposit_event(Event::ScheduleWritten { epoch, slots, credits_per_slot });
            <T as Config>::WeightInfo::rotate(accounts, params.decay_epochs, params.slots_per_epoch)
        }
    }

    /// Length of a slot, milliseconds: for Aura.
    pub struct SlotDuration<T>(PhantomData<T>);
    impl<T: Config> Get<u64> for SlotDuration<T> {
        fn get() -> u64 {
            Params::<T>::get().slot_duration
        }
    }

    /// Least time between two blocks, milliseconds: half a slot, for Timestamp.
    pub struct MinimumPeriod<T>(PhantomData<T>);
    impl<T: Config> Get<u64> for MinimumPeriod<T> {
        fn get() -> u64 {
            Params::<T>::get().slot_duration / 2
        }
    }

    /// Slots of an epoch: for the beacon.
    pub struct SlotsPerEpoch<T>(PhantomData<T>);
    impl<T: Config> Get<u64> for SlotsPerEpoch<T> {
        fn get() -> u64 {
            u64::from(Params::<T>::get().slots_per_epoch)
        }
    }

    /// The slot of the current block: for the beacon.
    pub struct CurrentSlot<T>(PhantomData<T>);
    impl<T: Config> Get<u64> for CurrentSlot<T> {
        fn get() -> u64 {
            u64::from(pallet_aura::CurrentSlot::<T>::get())
        }
    }
}
