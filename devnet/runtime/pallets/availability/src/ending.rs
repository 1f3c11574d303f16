//! How an ask ends, and who pays: answered, unanswered, or moot.

use crate::{asking::Asked, pallet::*, types::*, HoldReason};
use frame_support::traits::{
    fungible::MutateHold,
    tokens::{Fortitude, Precision, Restriction},
};
use pallet_stakes::Balance;
use pallet_tasks::Forfeit;

type TasksPallet<T> = pallet_tasks::Pallet<T>;
type VerificationPallet<T> = pallet_verification::Pallet<T>;

impl<T: Config> Pallet<T> {
    /// The answer was right: its unit may become final again, or its owner's task be refunded.
    pub(crate) fn on_answer(id: AskId, ask: Ask<T::AccountId>) {
        Self::note_end(&ask);
        if ask.chunk.is_data() {
            TasksPallet::<T>::end_question(ask.task);
        } else {
            VerificationPallet::<T>::release(ask.task, ask.unit);
        }
        let paid = Self::settle(&ask);
        let answerer = ask.answerer.clone();
        Self::keep(id, ask, Outcome::Answered);
        Self::deposit_event(Event::Answered { ask: id, answerer, paid });
    }

    /// The deposit of an answered ask: the compensation goes to who answered, the rest is burned, also what that account
    /// cannot receive. Gives what was paid.
    fn settle(ask: &Ask<T::AccountId>) -> Balance {
        let reason = HoldReason::Ask.into();
        let paid = <T as Config>::Currency::transfer_on_hold(
            &reason,
            &ask.asker,
            &ask.answerer,
            Params::<T>::get().compensation.min(ask.deposit),
            Precision::Exact,
            Restriction::Free,
            Fortitude::Force,
        );
        let paid = paid.unwrap_or(0);
        let rest = ask.deposit.saturating_sub(paid);
        let burned = <T as Config>::Currency::burn_held(&reason, &ask.asker, rest, Precision::Exact, Fortitude::Force);
        if burned.is_err() {
            frame_support::defensive!("the deposit of an ask is held on its asker");
        }
        paid
    }

    /// The deadline of an ask has passed. Gives how many units were listed again.
    pub(crate) fn on_deadline(id: AskId) -> u32 {
        let Some(ask) = Asks::<T>::take(id) else { return 0 }; // answered
        Self::note_end(&ask);
        let reason = HoldReason::Ask.into();
        if <T as Config>::Currency::release(&reason, &ask.asker, ask.deposit, Precision::Exact).is_err() {
            frame_support::defensive!("the deposit of an ask is held on its asker");
        }
        if !Self::is_awaited(&ask) {
            if ask.chunk.is_data() {
                TasksPallet::<T>::end_question(ask.task);
            }
            Self::keep(id, ask, Outcome::Moot);
            Self::deposit_event(Event::Moot { ask: id });
            return 0;
        }
        Self::keep(id, ask.clone(), Outcome::Unanswered);
        let Ask { task, unit, answerer, asker, chunk, .. } = ask;
        Self::deposit_event(Event::Unanswered { ask: id, task, unit, answerer, asker: asker.clone() });
        let AvailabilityParams { reward_share: reward, owner_share: share, .. } = Params::<T>::get();
        if chunk.is_data() {
            TasksPallet::<T>::forfeit(task, Forfeit { finder: asker, share, reward });
            return 0;
        }
        VerificationPallet::<T>::refuse_silent(task, unit, &asker, reward)
    }

    /// Whether silence still costs something: the unit has the result that was asked about; the owner of the data set has
    /// not lost for its silence already.
    fn is_awaited(ask: &Ask<T::AccountId>) -> bool {
        if ask.chunk.is_data() {
            return !pallet_tasks::Forfeits::<T>::contains_key(ask.task);
        }
        Self::find_result(ask.task, ask.unit).is_some_and(|Asked { attempt, .. }| attempt == ask.attempt)
    }

    /// Remembers how an ask ended.
    fn keep(id: AskId, ask: Ask<T::AccountId>, outcome: Outcome) {
        let Ask { task, unit, answerer, asker, chunk, deposit, deadline, .. } = ask;
        let ended = Self::now();
        Ended::<T>::insert(id, EndedAsk { task, unit, answerer, asker, chunk, deposit, deadline, ended, outcome });
    }
}
