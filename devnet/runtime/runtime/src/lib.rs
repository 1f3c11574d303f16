//! The aipow runtime: FRAME's stock pallets and those of proof of useful work, one Wasm blob for all presets.
//!
//! Read in this order: the pallets' list (`mod runtime`), their configuration, the genesis presets (`genesis.rs`), the
//! runtime APIs that a node calls (`apis.rs`; `exact_api.rs` declares ours). The byte contract with the clients is
//! `docs/protocol.md`.

#![cfg_attr(not(feature = "std"), no_std)]
#![recursion_limit = "256"]

extern crate alloc;

pub mod apis;
pub mod exact_api;
pub mod genesis;

use alloc::vec::Vec;
use frame::{
    deps::sp_consensus_aura::sr25519::AuthorityId as AuraId,
    prelude::*,
    runtime::{
        prelude::*,
        types_common::{AccountId, BlockOf},
    },
};
use frame_support::{
    parameter_types,
    traits::VariantCountOf,
    weights::{constants::WEIGHT_REF_TIME_PER_MILLIS, ConstantMultiplier, IdentityFee},
};

/// Balances, in plancks.
pub type Balance = u128;
/// Heights of blocks.
pub type BlockNumber = u32;
/// One UNIT in plancks: 10^12 (= 1,000,000,000,000).
pub const UNIT: Balance = 1_000_000_000_000;
/// The smallest balance an account may have: a thousandth of a UNIT (= 1,000,000,000 plancks).
pub const EXISTENTIAL_DEPOSIT: Balance = UNIT / 1_000;
/// Most GRANDPA voters: 192 miners and 16 bootstrap accounts fit into 2^8 (= 256).
pub const MAX_VOTERS: u32 = 1 << 8;
/// Most accounts bonded in one role: 2^8 (= 256).
pub const MAX_STAKERS: u32 = 1 << 8;

/// What every signed transaction carries beside its call, in the order of `docs/protocol.md`.
pub type TxExtension = (
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckEra<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
    frame_system::WeightReclaim<Runtime>,
);

/// A block of this chain.
pub type Block = BlockOf<Runtime, TxExtension>;
/// Its header.
pub type Header = HeaderFor<Runtime>;
/// Executes blocks: hooks, inherents, transactions, roots.
pub type RuntimeExecutive =
    Executive<Runtime, Block, frame_system::ChainContext<Runtime>, Runtime, AllPalletsWithSystem>;

/// Keys that a node generates for an operator.
pub mod opaque {
    use super::*;
    use frame::deps::sp_runtime::impl_opaque_keys;

    impl_opaque_keys! {
        /// Block authoring (sr25519) and finality (ed25519).
        pub struct SessionKeys {
            pub aura: Aura,
            pub grandpa: Grandpa,
        }
    }
}

/// Name and versions of this runtime.
#[runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: alloc::borrow::Cow::Borrowed("aipow"),
    impl_name: alloc::borrow::Cow::Borrowed("aipow"),
    authoring_version: 1,
    spec_version: 1,
    impl_version: 1,
    apis: apis::RUNTIME_API_VERSIONS,
    transaction_version: 1,
    system_version: 1,
};

#[frame_construct_runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp;
    #[runtime::pallet_index(2)]
    pub type Aura = pallet_aura;
    #[runtime::pallet_index(3)]
    pub type Grandpa = pallet_grandpa;
    #[runtime::pallet_index(4)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(5)]
    pub type TransactionPayment = pallet_transaction_payment;
    #[runtime::pallet_index(6)]
    pub type Utility = pallet_utility;
    #[runtime::pallet_index(7)]
    pub type Sudo = pallet_sudo;
    #[runtime::pallet_index(10)]
    pub type Stakes = pallet_stakes;
    #[runtime::pallet_index(11)]
    pub type Tasks = pallet_tasks;
    #[runtime::pallet_index(12)]
    pub type Verification = pallet_verification;
    #[runtime::pallet_index(13)]
    pub type Beacon = pallet_beacon;
    #[runtime::pallet_index(14)]
    pub type BlockRights = pallet_block_rights;
    #[runtime::pallet_index(15)]
    pub type Disputes = pallet_disputes;
    #[runtime::pallet_index(16)]
    pub type Availability = pallet_availability;
    #[runtime::pallet_index(17)]
    pub type Evidence = pallet_evidence;
    #[runtime::pallet_index(18)]
    pub type Jackpot = pallet_jackpot;
}

parameter_types! {
    pub const Version: RuntimeVersion = VERSION;
    /// Half a second of reference time a block, 75 % of it for ordinary transactions.
    pub RuntimeBlockWeights: frame_system::limits::BlockWeights =
        frame_system::limits::BlockWeights::with_sensible_defaults(
            Weight::from_parts(500 * WEIGHT_REF_TIME_PER_MILLIS, u64::MAX),
            Perbill::from_percent(75),
        );
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type Block = Block;
    type Version = Version;
    type AccountData = pallet_balances::AccountData<Balance>;
    type BlockWeights = RuntimeBlockWeights;
    type BlockHashCount = ConstU32<2_400>;
    type SS58Prefix = ConstU16<42>;
    type MaxConsumers = ConstU32<16>;
}

impl pallet_timestamp::Config for Runtime {
    type Moment = u64;
    type OnTimestampSet = Aura;
    type MinimumPeriod = pallet_block_rights::MinimumPeriod<Runtime>;
    type WeightInfo = ();
}

impl pallet_aura::Config for Runtime {
    type AuthorityId = AuraId;
    type MaxAuthorities = ConstU32<{ pallet_block_rights::MAX_SLOTS }>;
    type DisabledValidators = ();
    type AllowMultipleBlocksPerSlot = ConstBool<false>;
    type SlotDuration = pallet_block_rights::SlotDuration<Runtime>;
}

impl pallet_grandpa::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = ConstU32<MAX_VOTERS>;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = ConstU64<0>;
    type KeyOwnerProof = frame::deps::sp_core::Void;
    type EquivocationReportSystem = ();
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Runtime {
    type Balance = Balance;
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
    type AccountStore = System;
    type MaxLocks = ConstU32<16>;
    type MaxReserves = ConstU32<0>;
    type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
}

impl pallet_transaction_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type OnChargeTransaction = pallet_transaction_payment::FungibleAdapter<Balances, ()>;
    type OperationalFeeMultiplier = ConstU8<5>;
    type WeightToFee = IdentityFee<Balance>;
    type LengthToFee = ConstantMultiplier<Balance, ConstU128<1_000_000>>;
    type FeeMultiplierUpdate = pallet_transaction_payment::ConstFeeMultiplier<FixedFeeMultiplier>;
    type WeightInfo = ();
}

parameter_types! {
    /// Fees do not follow the load: one.
    pub FixedFeeMultiplier: pallet_transaction_payment::Multiplier =
        pallet_transaction_payment::Multiplier::from_u32(1);
}

impl pallet_utility::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type PalletsOrigin = OriginCaller;
    type WeightInfo = ();
}

impl pallet_sudo::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type WeightInfo = ();
}

impl pallet_stakes::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Obligations = (Tasks, Verification);
    type MaxStakers = ConstU32<MAX_STAKERS>;
    type WeightInfo = pallet_stakes::weights::StatedWeight<Runtime>;
}

/// Finalised work becomes credits of block rights.
pub struct CreditBlockRights;
impl pallet_tasks::CreditSink<AccountId> for CreditBlockRights {
    fn credit(account: &AccountId, macs: u64) {
        BlockRights::note_credit(account, macs);
    }
}

impl pallet_tasks::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Stakes = Stakes;
    type Credits = CreditBlockRights;
    type Policy = Verification;
    type MaxDeadline = ConstU32<{ 7 * 24 * 3_600 }>;
    type MaxTimeoutsPerBlock = ConstU32<32>;
    type WeightInfo = pallet_tasks::weights::StatedWeight<Runtime>;
}

impl pallet_verification::Config for Runtime {
    type Beacon = Beacon;
    type Disputes = Disputes;
    type Lottery = Jackpot;
    type MaxDrawsPerBlock = ConstU32<32>;
    type MaxTimersPerBlock = ConstU32<32>;
    type WeightInfo = pallet_verification::weights::StatedWeight<Runtime>;
}

impl pallet_disputes::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type MaxClocksPerBlock = ConstU32<32>;
    type MaxMootPerBlock = ConstU32<32>;
    type WeightInfo = pallet_disputes::weights::StatedWeight<Runtime>;
}

impl pallet_jackpot::Config for Runtime {
    type Currency = Balances;
    type MaxEndsPerBlock = ConstU32<32>;
    type WeightInfo = pallet_jackpot::weights::StatedWeight<Runtime>;
}
impl pallet_availability::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type MaxDeadlinesPerBlock = ConstU32<32>;
    type WeightInfo = pallet_availability::weights::StatedWeight<Runtime>;
}

/// The largest `settle` takes less than a quarter of a block.
const _: () = assert!(
    pallet_disputes::weights::MAX_SETTLE_REF_TIME + 5 * WEIGHT_REF_TIME_PER_MILLIS < 125 * WEIGHT_REF_TIME_PER_MILLIS
);

impl pallet_beacon::Config for Runtime {
    type CurrentSlot = pallet_block_rights::CurrentSlot<Runtime>;
    type SlotsPerEpoch = pallet_block_rights::SlotsPerEpoch<Runtime>;
    type Stakes = Stakes;
    type OnRotation = (Verification, BlockRights);
    type MaxParticipants = ConstU32<MAX_STAKERS>;
    type WeightInfo = ();
}

impl pallet_block_rights::Config for Runtime {
    type Stakes = Stakes;
    type Beacon = Beacon;
    type WeightInfo = ();
}

impl pallet_evidence::Config for Runtime {
    type WeightInfo = pallet_evidence::weights::StatedWeight<Runtime>;
}
