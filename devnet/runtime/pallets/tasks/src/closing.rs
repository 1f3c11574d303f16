//! What is given back of a task's escrow: all that a closed task no longer needs, as soon as nobody waits for its owner to
//! show that it has the data set. An owner who did not show it forfeits a share of whatever it would get back.

use crate::{pallet::*, types::Task, Forfeit, TaskId};
use frame_support::traits::{
    fungible::MutateHold,
    tokens::{Fortitude, Precision},
};
use pallet_stakes::Balance;
use sp_runtime::Saturating;

impl<T: Config> Pallet<T> {
    /// Somebody asks the owner for a part of its data set: until `end_question` nothing is given back to it.
    pub fn begin_question(task: TaskId) {
        Questions::<T>::mutate(task, |count| count.saturating_inc());
    }

    /// The owner has answered, or need not any more. What a closed task does not need is given back after the last one.
    pub fn end_question(task: TaskId) {
        Questions::<T>::mutate_exists(task, |count| {
            *count = count.take().and_then(|count| count.checked_sub(1)).filter(|count| *count > 0);
        });
        let Some(mut entry) = Tasks::<T>::get(task) else { return };
        let amount = Self::refund_rest(task, &mut entry);
        if amount > 0 {
            Self::deposit_event(Event::Refunded { task, amount });
            Self::store(task, entry);
        }
    }

    /// The owner did not answer: its task is closed, and of all that it will get back of it, now or later, it forfeits a
    /// share, a part of which goes to the finder. Units that are claimed go on and are paid whole. Ends a question.
    pub fn forfeit(task: TaskId, forfeit: Forfeit<T::AccountId>) {
        Forfeits::<T>::insert(task, forfeit);
        if let Some(mut entry) = Tasks::<T>::get(task).filter(|entry| !entry.closed) {
            entry.closed = true;
            Self::deposit_event(Event::TaskClosed { task, refunded: 0 });
            Self::store(task, entry);
        }
        Self::end_question(task);
    }

    /// Gives back what a closed task does not need for claimed units, unless its owner is asked something; gives what the
    /// owner got.
    pub(crate) fn refund_rest(task: TaskId, entry: &mut Task<T::AccountId>) -> Balance {
        let needed = entry.spec.price.saturating_mul(Balance::from(entry.active));
        let rest = entry.escrowed.saturating_sub(needed);
        if !entry.closed || rest == 0 || Questions::<T>::contains_key(task) {
            return 0;
        }
        let refund = rest.saturating_sub(Self::take_forfeit(task, entry, rest));
        if T::Currency::release(&HoldReason::Escrow.into(), &entry.owner, refund, Precision::Exact).is_err() {
            frame_support::defensive!("the escrow of a task is held on its owner");
        }
        entry.escrowed = entry.escrowed.saturating_sub(refund);
        entry.refunded = entry.refunded.saturating_add(refund);
        refund
    }

    /// Takes the forfeited share of `rest` out of the escrow; gives how much that is.
    fn take_forfeit(task: TaskId, entry: &mut Task<T::AccountId>, rest: Balance) -> Balance {
        let Some(Forfeit { finder, share, reward }) = Forfeits::<T>::get(task) else { return 0 };
        let lost = share.mul_floor(rest);
        let rewarded = Self::pay(&entry.owner, &finder, reward.mul_floor(lost));
        let burned = lost.saturating_sub(rewarded);
        Self::burn(&entry.owner, burned);
        entry.escrowed = entry.escrowed.saturating_sub(lost);
        entry.paid = entry.paid.saturating_add(rewarded);
        entry.burned = entry.burned.saturating_add(burned);
        Self::deposit_event(Event::Forfeited { task, finder, rewarded, burned });
        lost
    }

    /// Burns held money of an owner.
    pub(crate) fn burn(owner: &T::AccountId, amount: Balance) {
        let reason = HoldReason::Escrow.into();
        if T::Currency::burn_held(&reason, owner, amount, Precision::Exact, Fortitude::Force).is_err() {
            frame_support::defensive!("the escrow of a task is held on its owner");
        }
    }
}
