//! Queues that never lose an item and never make a block heavier than its bound: what a block has no room for is done in
//! the next one.

use crate::BlockNumber;
use codec::FullCodec;
use core::marker::PhantomData;
use frame_support::storage::{StorageDoubleMap, StorageMap, StorageValue};

/// Where an agenda is read next: block, and position in its list.
pub type AgendaCursor = (BlockNumber, u32);

/// Items due at a block number, kept in three storage items of a pallet: items by (block, position), number of items by
/// block, and the cursor.
pub struct Agenda<Item, Items, Lengths, Cursor>(PhantomData<(Item, Items, Lengths, Cursor)>);

impl<Item, Items, Lengths, Cursor> Agenda<Item, Items, Lengths, Cursor>
where
    Item: FullCodec,
    Items: StorageDoubleMap<BlockNumber, u32, Item, Query = Option<Item>>,
    Lengths: StorageMap<BlockNumber, u32, Query = u32>,
    Cursor: StorageValue<AgendaCursor, Query = AgendaCursor>,
{
    /// Puts `item` on the agenda of block `due`, or of the block after `now` if that is later.
    pub fn schedule(now: BlockNumber, due: BlockNumber, item: Item) {
        let block = due.max(now.saturating_add(1));
        let position = Lengths::get(block);
        Items::insert(block, position, item);
        Lengths::insert(block, position.saturating_add(1));
    }

    /// Takes the next item that is due at `now` or before.
    pub fn take(now: BlockNumber) -> Option<Item> {
        let (mut block, mut position) = Cursor::get();
        // Blocks come one by one, so this steps over at most the empty rest of the backlog.
        while block <= now && position >= Lengths::get(block) {
            Lengths::remove(block);
            block = block.checked_add(1)?;
            position = 0;
        }
        if block > now {
            Cursor::put((block, position));
            return None;
        }
        let item = Items::take(block, position);
        Cursor::put((block, position.saturating_add(1)));
        item
    }
}

/// First and one-past-last position of a queue.
pub type QueueBounds = (u64, u64);

/// First in, first out, kept in two storage items of a pallet: items by position, and the bounds.
pub struct Queue<Item, Items, Bounds>(PhantomData<(Item, Items, Bounds)>);

impl<Item, Items, Bounds> Queue<Item, Items, Bounds>
where
    Item: FullCodec,
    Items: StorageMap<u64, Item, Query = Option<Item>>,
    Bounds: StorageValue<QueueBounds, Query = QueueBounds>,
{
    /// Puts `item` at the end.
    pub fn push(item: Item) {
        let (first, end) = Bounds::get();
        Items::insert(end, item);
        Bounds::put((first, end.saturating_add(1)));
    }

    /// Takes the first item if `is_due` says so.
    pub fn take_if(is_due: impl FnOnce(&Item) -> bool) -> Option<Item> {
        let (first, end) = Bounds::get();
        if first >= end {
            return None;
        }
        let item = Items::get(first)?;
        if !is_due(&item) {
            return None;
        }
        Items::remove(first);
        Bounds::put((first.saturating_add(1), end));
        Some(item)
    }

    /// Number of items.
    pub fn len() -> u64 {
        let (first, end) = Bounds::get();
        end.saturating_sub(first)
    }
}
