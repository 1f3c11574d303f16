//! Types of the evidence pallet: what an offence is, and a header as a block author sealed it.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;
use sp_consensus_aura::{sr25519::AuthoritySignature, AURA_ENGINE_ID};
use sp_runtime::{
    traits::{Hash as _, Header as HeaderT},
    DigestItem, Permill,
};

/// Longest sealed header, bytes: 2^16 (= 65,536). The largest that the runtime makes carries an authority list of 1,024
/// keys and a set of 256 voters: 1,024 · 32 + 256 · 40 (= 43,008), and less than 1,000 for the rest.
pub const MAX_HEADER_BYTES: u32 = 1 << 16;
/// What of a slashed bond goes to the reporter: a tenth. Reporting costs nothing but attention, and an offender that
/// reports itself through another account still loses nine tenths.
pub const REPORTER_SHARE: Permill = Permill::from_percent(10);
/// Most GRANDPA sets whose votes can be charged: 2^7 (= 128). A set changes at most once an epoch.
pub const MAX_SETS: u32 = 1 << 7;
/// Most settlements kept: 2^8 (= 256), as many as accounts may be bonded as solver.
pub const MAX_SETTLEMENTS: u32 = 1 << 8;

/// A sealed header in SCALE: bounded before it is decoded.
pub type HeaderBytes = BoundedVec<u8, ConstU32<MAX_HEADER_BYTES>>;

/// What an account is charged with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Offence {
    /// It sealed two blocks of one slot.
    Blocks {
        /// The slot.
        slot: u64,
    },
    /// It signed two prevotes, or two precommits, for different blocks in one round.
    Votes {
        /// The set that voted.
        set_id: u64,
        /// The round.
        round: u64,
    },
}

/// A bond that was taken answers for all that its account did before: what it bonds anew is not taken for that.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Settlement<AccountId> {
    /// The account.
    pub account: AccountId,
    /// Blocks up to this slot are settled.
    pub slot: u64,
    /// Votes of sets up to this one are settled.
    pub set_id: u64,
}

impl<AccountId> Settlement<AccountId> {
    /// Whether an offence was answered for.
    pub fn covers(&self, offence: &Offence) -> bool {
        match offence {
            Offence::Blocks { slot } => *slot <= self.slot,
            Offence::Votes { set_id, .. } => *set_id <= self.set_id,
        }
    }
}

/// What is wrong with the bytes of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderFault {
    /// They are no header, or more than one.
    Malformed,
    /// There is not exactly one Aura slot of 8 bytes, or the last item is not the only seal, an Aura one of 64 bytes.
    BadDigest,
}

/// A header taken apart, as a node does before it executes the block.
pub struct SealedHeader<Hash> {
    /// The slot that it claims.
    pub slot: u64,
    /// Hash of the header without its seal: what the author signed.
    pub signed: Hash,
    /// The author's signature.
    pub seal: AuthoritySignature,
}

impl<Hash> SealedHeader<Hash> {
    /// Takes a header apart.
    pub fn read<H: HeaderT<Hash = Hash>>(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let mut input = bytes;
        let mut header = H::decode(&mut input).map_err(|_| HeaderFault::Malformed)?;
        if !input.is_empty() {
            return Err(HeaderFault::Malformed);
        }
        let seal = match header.digest_mut().pop() {
            Some(DigestItem::Seal(AURA_ENGINE_ID, seal)) => seal,
            _ => return Err(HeaderFault::BadDigest),
        };
        let seal = AuthoritySignature::try_from(seal.as_slice()).map_err(|_| HeaderFault::BadDigest)?;
        let slot = read_slot(header.digest().logs()).ok_or(HeaderFault::BadDigest)?;
        let signed = H::Hashing::hash_of(&header);
        Ok(Self { slot, signed, seal })
    }
}

/// The slot of a header whose seal is off: one Aura item of 8 bytes, and no further seal.
fn read_slot(logs: &[DigestItem]) -> Option<u64> {
    if logs.iter().any(|item| matches!(item, DigestItem::Seal(..))) {
        return None;
    }
    let slots: Vec<&Vec<u8>> = logs
        .iter()
        .filter_map(|item| match item {
            DigestItem::PreRuntime(AURA_ENGINE_ID, slot) => Some(slot),
            _ => None,
        })
        .collect();
    match slots.as_slice() {
        [slot] => Some(u64::from_le_bytes(slot.as_slice().try_into().ok()?)),
        _ => None,
    }
}
