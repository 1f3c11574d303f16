//! Narrowing by 16: from a node of a committed tree to a node 4 levels below it. Pure.
//!
//! The trees are the protocol's: leaf H(0x00 ‖ data), inner H(0x01 ‖ left ‖ right), an odd node promoted. A promoted node
//! keeps its hash on the next level, so that every level h of a tree of n leaves has ⌈n / 2^h⌉ nodes.

use crate::types::{Cursor, NARROWING};
use alloc::vec::Vec;
use pallet_verification::merkle::hash_inner;
use sp_core::H256;

/// Height of the root of a tree of `count` leaves: ⌈log2 count⌉.
pub fn compute_height(count: u32) -> u8 {
    count.saturating_sub(1).checked_ilog2().map_or(0, |log| log.saturating_add(1) as u8)
}

impl Cursor {
    /// The root of a tree of `count` leaves.
    pub fn root(count: u32, hash: H256) -> Self {
        Self { count, height: compute_height(count), index: 0, hash }
    }

    /// Whether it is a leaf, so that nothing is left to narrow.
    pub fn is_leaf(&self) -> bool {
        self.height == 0
    }

    fn drop(&self) -> u8 {
        self.height.min(NARROWING)
    }

    /// Index of its first node 4 levels below (or at the leaves).
    fn first(&self) -> u64 {
        u64::from(self.index) << self.drop()
    }

    /// Number of its nodes 4 levels below (or at the leaves): those that exist among at most 16.
    pub fn width(&self) -> u64 {
        let height = self.height.saturating_sub(self.drop());
        let nodes = u64::from(self.count).div_ceil(1u64 << height);
        nodes.saturating_sub(self.first()).min(1 << self.drop())
    }

    /// The `child`-th of those nodes, if there is one.
    pub fn child(&self, child: u8, children: &[H256]) -> Option<Self> {
        let hash = *children.get(usize::from(child))?;
        let index = self.first().saturating_add(child.into());
        let height = self.height.saturating_sub(self.drop());
        Some(Self { count: self.count, height, index: u32::try_from(index).ok()?, hash })
    }

    /// Whether `children` are as many as exist and combine to the node's hash.
    pub fn is_made_of(&self, children: &[H256]) -> bool {
        children.len() as u64 == self.width() && combine(children) == Some(self.hash)
    }
}

/// The node over some nodes side by side, the first of which has no odd index; nothing for none.
fn combine(nodes: &[H256]) -> Option<H256> {
    let mut level = nodes.to_vec();
    while level.len() > 1 {
        let pair = |pair: &[H256]| match pair {
            [left, right] => hash_inner(left, right),
            nodes => nodes.first().copied().unwrap_or_default(),
        };
        level = level.chunks(2).map(pair).collect::<Vec<_>>();
    }
    level.first().copied()
}
