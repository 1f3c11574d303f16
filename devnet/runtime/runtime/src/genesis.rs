//! The genesis presets `dev`, `local` and `test`: same code, other constants.

use crate::{AccountId, Balance, UNIT};
use alloc::{string::ToString, vec, vec::Vec};
use frame::{
	deps::sp_keyring::{Ed25519Keyring, Sr25519Keyring},
	runtime::prelude::PresetId,
};
use serde_json::{json, Value};

/// What each development account has at the start: 10^6 UNIT (= 10^18 plancks).
pub const ENDOWMENT: Balance = 1_000_000 * UNIT;

/// The accounts of //Alice … //Ferdie, the well-known development seeds.
pub fn development_accounts() -> Vec<AccountId> {
	use Sr25519Keyring::{Alice, Bob, Charlie, Dave, Eve, Ferdie};
	[Alice, Bob, Charlie, Dave, Eve, Ferdie].into_iter().map(|key| key.to_account_id()).collect()
}

fn preset_json() -> Value {
	let alice = Sr25519Keyring::Alice;
	let balances: Vec<(AccountId, Balance)> =
		development_accounts().into_iter().map(|account| (account, ENDOWMENT)).collect();
	json!({
		"balances": { "balances": balances },
		"aura": { "authorities": vec![alice.public()] },
		"grandpa": { "authorities": vec![(Ed25519Keyring::Alice.public(), 1u64)] },
		"sudo": { "key": alice.to_account_id() },
	})
}

/// Names of the presets.
pub fn preset_names() -> Vec<PresetId> {
	vec!["dev".to_string(), "local".to_string(), "test".to_string()]
}

/// The JSON patch of a preset, to be merged into the default genesis; `None` for an unknown name.
pub fn preset(id: &PresetId) -> Option<Vec<u8>> {
	match id.as_str() {
		"dev" | "local" | "test" => Some(preset_json().to_string().into_bytes()),
		_ => None,
	}
}
