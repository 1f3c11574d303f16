//! Tests of the availability pallet: who may ask what and when, what answers it, what silence costs, and what asking does.

mod data;
mod results;

use crate::{mock::*, *};
use frame_support::{assert_ok, dispatch::DispatchResult, traits::fungible::Inspect};
use pallet_stakes::{Balance, SlashReason};
use pallet_tasks::{UnitIndex, UnitState};

const DEPOSIT: Balance = UNIT / 10;
const COMPENSATION: Balance = UNIT / 50;
const TILE: Chunk = Chunk::Checkpoint { checkpoint: 2, entry: 0, tile: 7 };
const RECORD: Chunk = Chunk::Transcript { segment: 1 };

fn origin(who: &AccountId) -> RuntimeOrigin {
    RuntimeOrigin::signed(who.clone())
}

fn state(unit: UnitIndex) -> UnitState<AccountId> {
    pallet_tasks::Units::<Test>::get(0, unit).state
}

fn free(who: &AccountId) -> Balance {
    Balances::balance(who)
}

fn ask(who: &AccountId, unit: UnitIndex, chunk: Chunk) -> DispatchResult {
    Availability::ask(origin(who), 0, unit, chunk)
}

fn answer(id: AskId, opening: Opening) -> DispatchResult {
    Availability::answer(origin(&solver()), id, Box::new(opening))
}

/// Claims and submits a unit as the solver.
fn submit(unit: UnitIndex) -> Execution {
    assert_ok!(Tasks::claim(origin(&solver()), 0, unit));
    let execution = Execution::new(0, unit);
    assert_ok!(Verification::submit(origin(&solver()), 0, unit, execution.root(), execution.end(), MACS));
    execution
}

/// What a call leaves behind when it is refused, as in a transaction: nothing.
fn transactional(call: impl FnOnce() -> DispatchResult) -> DispatchResult {
    frame_support::storage::with_storage_layer(call)
}

fn slashes() -> Vec<(AccountId, Balance, SlashReason)> {
    let found = System::events().into_iter().filter_map(|record| match record.event {
        RuntimeEvent::Stakes(pallet_stakes::Event::Slashed { account, amount, reason, .. }) => {
            Some((account, amount, reason))
        }
        _ => None,
    });
    found.collect()
}

/// Fee of an answer of `bytes`, plancks, by the runtime's rule: a planck a unit of weight and 10^6 a byte; a signature
/// and the extensions add at most 150 bytes, the base weight of a transaction is 108,157 ns of the reference machine.
fn answer_fee(bytes: u32) -> Balance {
    let weight = weights::StatedWeight::<Test>::answer(bytes).ref_time() + 108_157_000;
    // The mock's storage costs nothing: 14 reads of 25 µs and 13 writes of 100 µs, as RocksDB's weights have them.
    let storage = 14 * 25_000_000 + 13 * 100_000_000;
    Balance::from(weight + storage) + Balance::from(bytes + 150) * 1_000_000
}
