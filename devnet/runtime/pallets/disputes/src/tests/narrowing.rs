//! Narrowing by 16: what is laid open below a node, and that every leaf of trees of many sizes can be reached.

use super::*;
use crate::narrowing::compute_height;
use sp_core::H256;

fn tree(count: u32) -> Vec<Vec<H256>> {
    levels((0..count).map(hash).collect())
}

/// The nodes that an honest defender lays open below a cursor.
fn children(tree: &[Vec<H256>], cursor: &Cursor) -> Vec<H256> {
    let height = cursor.height.saturating_sub(NARROWING);
    let drop = cursor.height - height;
    let level = &tree[usize::from(height)];
    level.iter().skip((cursor.index as usize) << drop).take(1 << drop).copied().collect()
}

#[test]
fn every_leaf_of_any_tree_is_reached_in_rounds_of_four_levels() {
    for count in (1..=70).chain([255, 256, 257, 300, 1_000]) {
        let tree = tree(count);
        assert_eq!(tree.len(), usize::from(compute_height(count)) + 1);
        for leaf in 0..count {
            let mut cursor = Cursor::root(count, tree[tree.len() - 1][0]);
            let mut rounds = 0;
            while !cursor.is_leaf() {
                let children = children(&tree, &cursor);
                assert!(cursor.is_made_of(&children));
                let below = cursor.height.saturating_sub(NARROWING);
                let child = (leaf >> below) - (cursor.index << (cursor.height - below));
                cursor = cursor.child(child as u8, &children).expect("the leaf's ancestor");
                rounds += 1;
            }
            assert_eq!((cursor.index, cursor.hash), (leaf, tree[0][leaf as usize]));
            assert_eq!(rounds, u32::from(compute_height(count)).div_ceil(NARROWING.into()));
        }
    }
}

#[test]
fn children_are_all_that_exist_and_combine() {
    let tree = tree(20); // the root's children: 20 leaves have height 5, so 10 nodes of height 1
    let root = Cursor::root(20, tree[5][0]);
    let right = children(&tree, &root);
    assert_eq!((root.height, right.len()), (5, 10));
    let mut wrong = right.clone();
    wrong[9].0[0] ^= 1;
    let more = [right.clone(), vec![right[0]]].concat();
    for children in [wrong, more, right[..9].to_vec(), vec![root.hash], vec![]] {
        assert!(!root.is_made_of(&children));
    }
    assert_eq!(root.child(10, &right), None);
    let last = root.child(9, &right).expect("the last");
    assert_eq!((last.height, last.index, last.width()), (1, 9, 2));
}
