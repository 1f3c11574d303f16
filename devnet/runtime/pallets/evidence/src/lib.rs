//! # Evidence
//!
//! Guilt that two signatures prove, whoever shows them: an author that sealed two blocks of one slot (Aura), a voter that
//! signed two prevotes or two precommits of one round (GRANDPA). Nobody has to be asked and nothing can be disputed.
//!
//! The offender loses its **whole solver bond**, unbonding money included: a node that runs once cannot do either by
//! accident, a third of the voters that does it together can finalise two histories, and what two histories are worth to
//! a double-spender has no bound. The reporter gets a tenth ([`REPORTER_SHARE`]) and pays no fee, the rest is burned. The
//! offender is left out of the next schedule whatever it bonds anew.
//!
//! A report counts for as many slots as an unbonding takes blocks, so that the bond is still there; blocks by their slot,
//! votes by the end of their set. The bond that was taken answers for all that came before (`Settlements`): nobody pays
//! twice for one offence.
//!
//! A key says nothing of the chain that it signs for, as everywhere in Substrate: whoever uses one key on two chains, or
//! in two nodes, makes such evidence.

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
    use alloc::boxed::Box;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use pallet_block_rights::{AuraOwner, CurrentSlot, GrandpaOwner};
    use pallet_stakes::{Balance, Role, SlashReason, StakeProvider};
    use sp_consensus_aura::sr25519::AuthorityId as AuraId;
    use sp_consensus_grandpa::{check_equivocation_proof, EquivocationProof, SetId};
    use sp_runtime::RuntimeAppPublic;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> + pallet_block_rights::Config {
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// GRANDPA sets whose votes can be charged, each with the slot from which it is in force; the current one is the last.
    #[pallet::storage]
    pub type SetStarts<T: Config> = StorageValue<_, BoundedVec<(SetId, u64), ConstU32<MAX_SETS>>, ValueQuery>;

    /// What has been answered for, the oldest first.
    #[pallet::storage]
    pub type Settlements<T: Config> =
        StorageValue<_, BoundedVec<Settlement<T::AccountId>, ConstU32<MAX_SETTLEMENTS>>, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An account lost its solver bond for an equivocation.
        Charged {
            /// Whose key signed twice.
            offender: T::AccountId,
            /// Who showed it.
            reporter: T::AccountId,
            /// What it signed twice.
            offence: Offence,
            /// What was taken, plancks; the reporter's share included.
            amount: Balance,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The bytes are no header, or more than one: hand in a block's header in SCALE, with its seal.
        MalformedHeader,
        /// A header needs exactly one Aura slot of 8 bytes, and as its last item one Aura seal of 64.
        BadDigest,
        /// The headers are of different slots: an author may seal one block in each.
        DifferentSlots,
        /// Both headers are the same: show two.
        SameBlock,
        /// A seal is not the key's signature of its header.
        BadSeal,
        /// The votes are for the same block, or a signature is not the voter's for this round and set.
        BadVotes,
        /// The slot is still to come: wait for it.
        FutureSlot,
        /// No such set has voted yet.
        FutureSet,
        /// It is longer ago than an unbonding takes: the bond need not be there any more.
        TooOld,
        /// No account answers for this key.
        UnknownKey,
        /// The account has lost its bond since, and with that answered for it.
        AlreadySettled,
        /// The account has no solver bond: there is nothing to take.
        NothingToSlash,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Notes the slot in which a GRANDPA set comes into force, and forgets those that cannot be charged any more.
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            let current = pallet_grandpa::Pallet::<T>::current_set_id();
            let mut sets = SetStarts::<T>::get();
            if sets.last().is_none_or(|(set_id, _)| *set_id != current) {
                let now = CurrentSlot::<T>::get();
                push(&mut sets, (current, now));
                let first = sets.iter().skip(1).take_while(|(_, end)| end.saturating_add(Self::window()) < now).count();
                sets.drain(..first);
                SetStarts::<T>::put(sets);
            }
            <T as Config>::WeightInfo::on_initialize()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Charges the owner of an authoring key with two blocks of one slot. `first` and `second` are their headers in
        /// SCALE with their seals, at most 64 KiB each; parents and numbers do not matter. Free of fees if it holds.
        #[pallet::call_index(0)]
        #[pallet::weight(<T as Config>::WeightInfo::report_aura((first.len() + second.len()) as u32))]
        pub fn report_aura(
            origin: OriginFor<T>,
            author: AuraId,
            first: HeaderBytes,
            second: HeaderBytes,
        ) -> DispatchResultWithPostInfo {
            let reporter = ensure_signed(origin)?;
            ensure!(first != second, Error::<T>::SameBlock);
            let (one, other) = (Self::read_header(&first)?, Self::read_header(&second)?);
            ensure!(one.slot == other.slot, Error::<T>::DifferentSlots);
            let now = CurrentSlot::<T>::get();
            ensure!(one.slot <= now, Error::<T>::FutureSlot);
            ensure!(one.slot.saturating_add(Self::window()) >= now, Error::<T>::TooOld);
            let offender = AuraOwner::<T>::get(&author).ok_or(Error::<T>::UnknownKey)?;
            let offence = Offence::Blocks { slot: one.slot };
            ensure!(!Self::is_settled(&offender, &offence), Error::<T>::AlreadySettled);
            for header in [one, other] {
                ensure!(author.verify(&header.signed, &header.seal), Error::<T>::BadSeal);
            }
            Self::charge(offender, reporter, offence)
        }

        /// Charges the owner of a finality key with two prevotes, or two precommits, of one round. The proof is that of a
        /// stock node. Free of fees if it holds.
        #[pallet::call_index(1)]
        #[pallet::weight(<T as Config>::WeightInfo::report_grandpa())]
        pub fn report_grandpa(
            origin: OriginFor<T>,
            proof: Box<EquivocationProof<T::Hash, BlockNumberFor<T>>>,
        ) -> DispatchResultWithPostInfo {
            let reporter = ensure_signed(origin)?;
            let offence = Offence::Votes { set_id: proof.set_id(), round: proof.round() };
            Self::ensure_set_is_chargeable(proof.set_id())?;
            let offender = GrandpaOwner::<T>::get(proof.offender()).ok_or(Error::<T>::UnknownKey)?;
            ensure!(!Self::is_settled(&offender, &offence), Error::<T>::AlreadySettled);
            ensure!(check_equivocation_proof(*proof), Error::<T>::BadVotes);
            Self::charge(offender, reporter, offence)
        }
    }

    impl<T: Config> Pallet<T> {
        /// Slots after an offence in which it can be charged: as many as an unbonding takes blocks.
        pub fn window() -> u64 {
            <T as pallet_block_rights::Config>::Stakes::unbonding_blocks().into()
        }

        fn read_header(bytes: &[u8]) -> Result<SealedHeader<T::Hash>, Error<T>> {
            SealedHeader::read::<HeaderFor<T>>(bytes).map_err(|fault| match fault {
                HeaderFault::Malformed => Error::MalformedHeader,
                HeaderFault::BadDigest => Error::BadDigest,
            })
        }

        /// A set's votes can be charged while it is in force, and for a window after its end.
        fn ensure_set_is_chargeable(set_id: SetId) -> Result<(), Error<T>> {
            let sets = SetStarts::<T>::get();
            ensure!(sets.last().is_some_and(|(last, _)| set_id <= *last), Error::<T>::FutureSet);
            let place = sets.iter().position(|(one, _)| *one == set_id).ok_or(Error::<T>::TooOld)?;
            let end = sets.get(place.saturating_add(1)).map_or(u64::MAX, |(_, end)| *end);
            ensure!(end.saturating_add(Self::window()) >= CurrentSlot::<T>::get(), Error::<T>::TooOld);
            Ok(())
        }

        fn is_settled(account: &T::AccountId, offence: &Offence) -> bool {
            Settlements::<T>::get().iter().any(|one| one.account == *account && one.covers(offence))
        }

        /// Takes the bond, rewards the reporter, and notes that everything up to now is answered for.
        fn charge(offender: T::AccountId, reporter: T::AccountId, offence: Offence) -> DispatchResultWithPostInfo {
            let amount = <T as pallet_block_rights::Config>::Stakes::slash_for(
                Role::Solver,
                &offender,
                Balance::MAX,
                SlashReason::Equivocation,
                &reporter,
                REPORTER_SHARE,
            );
            ensure!(amount > 0, Error::<T>::NothingToSlash);
            pallet_block_rights::Pallet::<T>::bar(&offender);
            Self::settle(&offender);
            Self::deposit_event(Event::Charged { offender, reporter, offence, amount });
            Ok(Pays::No.into())
        }

        /// Keeps a settlement while something that it covers could be reported; when there are too many, the oldest goes.
        fn settle(account: &T::AccountId) {
            let (slot, set_id) = (CurrentSlot::<T>::get(), pallet_grandpa::Pallet::<T>::current_set_id());
            let mut list = Settlements::<T>::get();
            list.retain(|one| {
                let is_open = one.slot.saturating_add(Self::window()) >= slot;
                one.account != *account && (is_open || Self::ensure_set_is_chargeable(one.set_id).is_ok())
            });
            push(&mut list, Settlement { account: account.clone(), slot, set_id });
            Settlements::<T>::put(list);
        }
    }

    /// Appends to a bounded list; the oldest goes when it is full.
    fn push<V, N: Get<u32>>(list: &mut BoundedVec<V, N>, item: V) {
        if list.is_full() {
            list.remove(0);
        }
        let _ = list.try_push(item);
    }
}
