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
    /// Row-major index over the leading axes of the grid.
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

    /// The matrices in the last two axes; a vector is one of one row, a scalar one of one element.
    pub fn matrices(&self) -> Planes {
        let columns = self.shape.last().map_or(1, |&size| size.into());
        let rows = self.shape.iter().rev().nth(1).map_or(1, |&size| size.into());
        let count = product(&self.shape[..self.shape.len().saturating_sub(2)]);
        Planes { count, rows, columns }
    }

    /// What the tiling sees: the matrices, but while there are more than two axes and the last two hold at most 32
    /// elements together, they count as one axis.
    pub fn grid(&self) -> Planes {
        let mut axes = self.shape.len();
        let mut planes = self.matrices();
        while axes > 2 && planes.rows * planes.columns <= TILE_SIDE {
            axes -= 1;
            planes.columns *= planes.rows;
            planes.rows = self.shape[axes - 2].into();
            planes.count = product(&self.shape[..axes - 2]);
        }
        planes
    }

    /// Number of tiles.
    pub fn tile_count(&self) -> u64 {
        let Planes { count, rows, columns } = self.grid();
        count.saturating_mul(tiles_over(rows)).saturating_mul(tiles_over(columns))
    }

    /// Bytes of a tile.
    pub fn tile_bytes(&self) -> usize {
        TILE_ELEMENTS * self.dtype.size()
    }

    /// What a tile covers.
    pub fn region(&self, tile: u32) -> Region {
        let grid = self.grid();
        let (down, across) = (tiles_over(grid.rows), tiles_over(grid.columns));
        let rest = u64::from(tile) / across;
        let (row, column) = (rest % down * TILE_SIDE, u64::from(tile) % across * TILE_SIDE);
        let (height, width) = ((grid.rows - row).min(TILE_SIDE), (grid.columns - column).min(TILE_SIDE));
        Region { batch: rest / down, row, column, height, width }
    }
}

impl Region {
    /// The n-th element that the tile covers, row by row without padding: its row-major index in the tensor, and its
    /// place among the tile's 1,024; nothing if it covers fewer.
    pub fn element(&self, form: &Form, n: u32) -> Option<(u32, usize)> {
        let (down, across) = (u64::from(n) / self.width, u64::from(n) % self.width);
        let element = form.grid().element(self.batch, self.row + down, self.column + across);
        (down < self.height).then_some((element as u32, (down * TILE_SIDE + across) as usize))
    }
}

/// Whether bytes are a tile as a value is committed to: its length, zero padding, canonical NaNs and truth values.
pub fn is_canonical_tile(form: &Form, tile: u32, data: &[u8]) -> bool {
    if data.len() != form.tile_bytes() || u64::from(tile) >= form.tile_count() {
        return false;
    }
    let region = form.region(tile);
    let mut canonical = alloc::vec![0; data.len()];
    for row in 0..region.height {
        for column in 0..region.width {
            let place = (row * TILE_SIDE + column) as usize;
            write_word(form.dtype, &mut canonical, place, read_word(form.dtype, data, place));
        }
    }
    canonical == data
}

/// A tensor seen as planes of rows and columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Planes {
    /// How many.
    pub count: u64,
    /// Rows of each.
    pub rows: u64,
    /// Columns of each.
    pub columns: u64,
}

impl Planes {
    /// Row-major index of an element.
    pub fn element(&self, plane: u64, row: u64, column: u64) -> u64 {
        (plane * self.rows + row) * self.columns + column
    }

    /// For a grid: tile of a row-major element, and its place among the tile's 1,024.
    pub fn locate(&self, element: u64) -> (u32, usize) {
        let (rest, column) = (element / self.columns, element % self.columns);
        let (plane, row) = (rest / self.rows, rest % self.rows);
        let band = plane * tiles_over(self.rows) + row / TILE_SIDE;
        let tile = band * tiles_over(self.columns) + column / TILE_SIDE;
        (tile as u32, (row % TILE_SIDE * TILE_SIDE + column % TILE_SIDE) as usize)
    }
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
