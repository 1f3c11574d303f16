//! Where the elements of a tensor lie in its 32×32 tiles. Forms have passed `node::check`: at most 2^28 elements, so that
//! every count, index and tile number here is under 2^28 + 1.

use crate::types::{Dtype, Form};
use alloc::vec::Vec;

/// Rows and columns of a tile.
pub const TILE_SIDE: u64 = 32;
/// Elements of a tile (= 1,024).
pub const TILE_ELEMENTS: usize = 1 << 10;

/// What a tile covers of its tensor, without the padding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// Row-major index over the leading dimensions.
    pub batch: u64,
    /// First row.
    pub row: u64,
    /// First column.
    pub column: u64,
    /// Rows, 1 … 32.
    pub height: u64,
    /// Columns, 1 … 32.
    pub width: u64,
}

/// Tiles (or chunks of 32) that cover `count` rows or columns.
pub fn tiles_over(count: u64) -> u64 {
    count.div_ceil(TILE_SIDE)
}

/// Product of dimensions, `u64::MAX` where it passes that.
pub fn product(shape: &[u32]) -> u64 {
    shape.iter().fold(1, |product: u64, &size| product.saturating_mul(size.into()))
}

impl Form {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        product(&self.shape)
    }

    /// The dimensions before the last two.
    pub fn leading(&self) -> &[u32] {
        &self.shape[..self.shape.len().saturating_sub(2)]
    }

    /// Rows as the tiling sees them: 1 for a vector or scalar.
    pub fn rows(&self) -> u64 {
        self.last_dimension(2)
    }

    /// Columns as the tiling sees them: 1 for a scalar.
    pub fn columns(&self) -> u64 {
        self.last_dimension(1)
    }

    /// Number of tiles.
    pub fn tile_count(&self) -> u64 {
        product(self.leading()).saturating_mul(tiles_over(self.rows())).saturating_mul(tiles_over(self.columns()))
    }

    /// Bytes of a tile.
    pub fn tile_bytes(&self) -> usize {
        TILE_ELEMENTS * self.dtype.size()
    }

    /// What a tile covers.
    pub fn region(&self, tile: u32) -> Region {
        let (down, across) = (tiles_over(self.rows()), tiles_over(self.columns()));
        let rest = u64::from(tile) / across;
        let (row, column) = (rest % down * TILE_SIDE, u64::from(tile) % across * TILE_SIDE);
        let (height, width) = ((self.rows() - row).min(TILE_SIDE), (self.columns() - column).min(TILE_SIDE));
        Region { batch: rest / down, row, column, height, width }
    }

    /// The tile that holds an element.
    pub fn tile_at(&self, batch: u64, row: u64, column: u64) -> u32 {
        let band = batch * tiles_over(self.rows()) + row / TILE_SIDE;
        (band * tiles_over(self.columns()) + column / TILE_SIDE) as u32
    }

    /// Tile of a row-major element, and its place in the tile.
    pub fn locate(&self, element: u64) -> (u32, usize) {
        let (rest, column) = (element / self.columns(), element % self.columns());
        let (batch, row) = (rest / self.rows(), rest % self.rows());
        (self.tile_at(batch, row, column), in_tile(row, column))
    }

    /// The dimension at a place counted from the last, which is 1; 1 where there is none.
    fn last_dimension(&self, place: usize) -> u64 {
        self.shape.len().checked_sub(place).map_or(1, |axis| self.shape[axis].into())
    }
}

/// Place of an element among the 1,024 of its tile.
pub fn in_tile(row: u64, column: u64) -> usize {
    (row % TILE_SIDE * TILE_SIDE + column % TILE_SIDE) as usize
}

/// Coordinates of a row-major index.
pub fn unravel(shape: &[u32], mut index: u64) -> Vec<u64> {
    let mut coordinates = alloc::vec![0; shape.len()];
    for (coordinate, &size) in coordinates.iter_mut().zip(shape).rev() {
        *coordinate = index % u64::from(size);
        index /= u64::from(size);
    }
    coordinates
}

/// Row-major index of coordinates.
pub fn ravel(shape: &[u32], coordinates: &[u64]) -> u64 {
    shape.iter().zip(coordinates).fold(0, |index, (&size, &coordinate)| index * u64::from(size) + coordinate)
}

/// Bits of one element: an f32's in the low half, an i64 in two's complement, a truth value as 0 or 1.
pub type Word = u64;

/// The element at `place` of row-major little-endian bytes, which reach so far.
pub fn read_word(dtype: Dtype, data: &[u8], place: usize) -> Word {
    let size = dtype.size();
    let mut bytes = [0; 8];
    bytes[..size].copy_from_slice(&data[place * size..][..size]);
    let word = u64::from_le_bytes(bytes);
    if dtype == Dtype::Bool {
        u64::from(word != 0)
    } else {
        word
    }
}

/// Writes an element into row-major bytes, NaNs canonical.
pub fn write_word(dtype: Dtype, data: &mut [u8], place: usize, word: Word) {
    let size = dtype.size();
    let word = if dtype == Dtype::F32 { crate::float::canonical_bits(as_f32(word)).into() } else { word };
    data[place * size..][..size].copy_from_slice(&word.to_le_bytes()[..size]);
}

/// An f32 from its bits.
pub fn as_f32(word: Word) -> f32 {
    f32::from_bits(word as u32)
}
