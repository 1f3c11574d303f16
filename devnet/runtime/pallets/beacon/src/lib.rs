//! # Beacon
//!
//! Randomness that no block author can choose (block hashes can be ground). In the first third of an epoch bonded accounts
//! commit to a secret, in the second third they reveal it; at the epoch's end the secrets are hashed into the seed. Who
//! commits and does not reveal is slashed and left out of the next schedule: the last to reveal can still withhold
//! (one bit of influence), and pays for it.
//!
//! The beacon is also the clock of epochs: its rotation calls the hooks of [`OnRotation`] in order.

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
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use pallet_stakes::{Role, SlashReason, StakeProvider};
    use sp_core::H256;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// The slot of the current block, known before this pallet's `on_initialize`.
        type CurrentSlot: Get<u64>;
        /// Slots of an epoch.
        type SlotsPerEpoch: Get<u64>;
        /// The bonds that answer for no-shows.
        type Stakes: StakeProvider<Self::AccountId>;
        /// What happens at a rotation, in order.
        type OnRotation: OnRotation;
        /// Most accounts that commit in an epoch.
        #[pallet::constant]
        type MaxParticipants: Get<u32>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// The current epoch.
    #[pallet::storage]
    pub type Epoch<T: Config> = StorageValue<_, EpochIndex, ValueQuery>;

    /// The seed that the last rotation made; at first that of genesis.
    #[pallet::storage]
    pub type Seed<T: Config> = StorageValue<_, [u8; 32], ValueQuery>;

    /// Slot of block 1.
    #[pallet::storage]
    pub type GenesisSlot<T: Config> = StorageValue<_, u64, OptionQuery>;

    /// Commitments of the current epoch.
    #[pallet::storage]
    pub type Commits<T: Config> = CountedStorageMap<_, Blake2_128Concat, T::AccountId, H256>;

    /// Revealed secrets of the current epoch.
    #[pallet::storage]
    pub type Reveals<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Secret>;

    /// Who committed in the last epoch and did not reveal, in order of account id.
    #[pallet::storage]
    pub type NoShows<T: Config> = StorageValue<_, BoundedVec<T::AccountId, T::MaxParticipants>, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An account committed to a secret.
        Committed {
            /// The account.
            account: T::AccountId,
            /// The epoch it takes part in.
            epoch: EpochIndex,
        },
        /// An account revealed its secret.
        Revealed {
            /// The account.
            account: T::AccountId,
            /// The epoch it takes part in.
            epoch: EpochIndex,
        },
        /// An epoch began.
        EpochRotated {
            /// The epoch that begins.
            epoch: EpochIndex,
            /// The new seed.
            seed: [u8; 32],
            /// How many accounts revealed.
            revealed: u32,
            /// How many committed and did not reveal.
            no_shows: u32,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// Commits are closed: commit in the first third of an epoch's slots.
        CommitsClosed,
        /// Reveals are closed: reveal in the second third of an epoch's slots.
        RevealsClosed,
        /// The account has no sufficient bond in any role: bond first.
        NotBonded,
        /// The account has committed in this epoch: reveal that secret, and commit again in the next one.
        AlreadyCommitted,
        /// As many accounts as allowed have committed: try again in the next epoch.
        TooManyParticipants,
        /// The account did not commit in this epoch: nothing to reveal.
        NotCommitted,
        /// The account has revealed its secret already.
        AlreadyRevealed,
        /// The secret is not the committed one: the commitment binds account, epoch and secret.
        WrongSecret,
    }

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The seed of epoch 0.
        pub seed: H256,
        #[serde(skip)]
        #[doc(hidden)]
        pub _marker: PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            Seed::<T>::put(self.seed.0);
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Rotates in the first block whose next slot belongs to a later epoch.
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            let slot = T::CurrentSlot::get();
            let genesis = GenesisSlot::<T>::get().unwrap_or_else(|| {
                GenesisSlot::<T>::put(slot);
                slot
            });
            let next = compute_epoch(slot.saturating_add(1), genesis, T::SlotsPerEpoch::get());
            let ended = Epoch::<T>::get();
            let weight = T::WeightInfo::on_initialize();
            if next <= ended {
                return weight;
            }
            weight.saturating_add(Self::rotate(ended, next))
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Commits the sender to a secret: `commitment = H("beacon/v1" ‖ account ‖ epoch u32 ‖ secret)`. Bonded accounts
        /// only, once an epoch, in its first third.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::commit())]
        pub fn commit(origin: OriginFor<T>, commitment: H256) -> DispatchResult {
            let who = ensure_signed(origin)?;
            ensure!(Self::window() == Some(Window::Commit), Error::<T>::CommitsClosed);
            ensure!(Self::answering_role(&who).is_some(), Error::<T>::NotBonded);
            ensure!(!Commits::<T>::contains_key(&who), Error::<T>::AlreadyCommitted);
            ensure!(Commits::<T>::count() < T::MaxParticipants::get(), Error::<T>::TooManyParticipants);
            Commits::<T>::insert(&who, commitment);
            Self::deposit_event(Event::Committed { account: who, epoch: Epoch::<T>::get() });
            Ok(())
        }

        /// Reveals the secret that the sender committed to in this epoch, in its second third.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::reveal())]
        pub fn reveal(origin: OriginFor<T>, secret: Secret) -> DispatchResult {
            let who = ensure_signed(origin)?;
            ensure!(Self::window() == Some(Window::Reveal), Error::<T>::RevealsClosed);
            let commitment = Commits::<T>::get(&who).ok_or(Error::<T>::NotCommitted)?;
            ensure!(!Reveals::<T>::contains_key(&who), Error::<T>::AlreadyRevealed);
            let epoch = Epoch::<T>::get();
            ensure!(compute_commitment(&who, epoch, &secret) == commitment, Error::<T>::WrongSecret);
            Reveals::<T>::insert(&who, secret);
            Self::deposit_event(Event::Revealed { account: who, epoch });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// The window of the current block; none in the block that has rotated already, whose slot is still of the epoch
        /// before.
        fn window() -> Option<Window> {
            let (slot, n) = (T::CurrentSlot::get(), T::SlotsPerEpoch::get());
            let genesis = GenesisSlot::<T>::get()?;
            (compute_epoch(slot, genesis, n) == Epoch::<T>::get()).then(|| compute_window(slot, n))
        }

        /// The role whose bond answers for an account in the beacon, if it has one.
        fn answering_role(who: &T::AccountId) -> Option<Role> {
            [Role::Verifier, Role::Solver].into_iter().find(|role| T::Stakes::is_eligible(*role, who))
        }

        fn rotate(ended: EpochIndex, next: EpochIndex) -> Weight {
            let mut commits: Vec<T::AccountId> = Commits::<T>::iter_keys().collect();
            commits.sort();
            let participants = commits.len() as u32;
            let mut reveals = Vec::new();
            let mut absent = Vec::new();
            for account in commits {
                Commits::<T>::remove(&account);
                match Reveals::<T>::take(&account) {
                    Some(secret) => reveals.push((account, secret)),
                    None => absent.push(account),
                }
            }
            for account in &absent {
                Self::slash_no_show(account);
            }
            let seed = compute_next_seed(&Seed::<T>::get(), &reveals);
            let no_shows = absent.len() as u32;
            Seed::<T>::put(seed);
            NoShows::<T>::put(BoundedVec::truncate_from(absent));
            Epoch::<T>::put(next);
            Self::deposit_event(Event::EpochRotated { epoch: next, seed, revealed: reveals.len() as u32, no_shows });
            T::WeightInfo::rotate(participants).saturating_add(T::OnRotation::on_rotation(ended, seed))
        }

        /// Takes the penalty from the verifier bond if there is one, else from the solver bond.
        fn slash_no_show(who: &T::AccountId) {
            let bonded = T::Stakes::bond_of(Role::Verifier, who) > 0;
            let role = if bonded { Role::Verifier } else { Role::Solver };
            T::Stakes::slash(role, who, T::Stakes::penalty(), SlashReason::BeaconNoShow);
        }
    }

    impl<T: Config> BeaconInfo<T::AccountId> for Pallet<T> {
        fn epoch() -> EpochIndex {
            Epoch::<T>::get()
        }

        fn draw_epoch() -> EpochIndex {
            let epoch = Epoch::<T>::get();
            match Self::window() {
                Some(Window::Reveal | Window::Quiet) => epoch.saturating_add(1),
                Some(Window::Commit) | None => epoch,
            }
        }

        fn no_shows() -> Vec<T::AccountId> {
            NoShows::<T>::get().into_inner()
        }
    }
}
