//! How the families get what they need: one operand after the other, named by its source.

use crate::{
    geometry::{as_f32, read_word, write_word, Planes, Word, TILE_ELEMENTS, TILE_SIDE},
    types::{Dtype, Ending, Error, Requirement, Source, Statement},
};
use alloc::{borrow::Cow, vec, vec::Vec};

/// Why a computation stops before its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The question was badly put.
    Refused(Error),
    /// An operand ends the unit.
    Ends(Ending),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Refused(error)
    }
}

/// A supply of operands.
pub trait Operands<'a> {
    /// The `size` bytes at `source`, or a refusal.
    fn take(&mut self, source: Source, size: usize) -> Result<Cow<'a, [u8]>, Stop>;
}

/// Operands as a party of a dispute hands them over: exactly those needed, in order.
pub struct GivenOperands<'a, I: Iterator<Item = (Source, &'a [u8])>>(pub I);

impl<'a, I: Iterator<Item = (Source, &'a [u8])>> Operands<'a> for GivenOperands<'a, I> {
    fn take(&mut self, source: Source, size: usize) -> Result<Cow<'a, [u8]>, Stop> {
        match self.0.next() {
            Some((given, data)) if given == source && data.len() == size => Ok(Cow::Borrowed(data)),
            _ => Err(Error::BadOperands.into()),
        }
    }
}

/// Zeros for whatever is asked, written down.
#[derive(Default)]
pub struct BlankOperands(pub Vec<Requirement>);

impl<'a> Operands<'a> for BlankOperands {
    fn take(&mut self, source: Source, size: usize) -> Result<Cow<'a, [u8]>, Stop> {
        self.0.push(Requirement { source, size: size as u32 });
        Ok(Cow::Owned(vec![0; size]))
    }
}

/// A 32×32 tile of an input. What lies in its padding is never used: it may be anything.
pub struct Tile<'a> {
    dtype: Dtype,
    data: Cow<'a, [u8]>,
}

impl<'a> Tile<'a> {
    /// Takes tile `tile` of input `number`, which the statement has.
    pub fn take(
        statement: &Statement,
        operands: &mut impl Operands<'a>,
        number: usize,
        tile: u32,
    ) -> Result<Self, Stop> {
        let form = &statement.inputs[number];
        let source = Source::Input { input: number as u16, tile };
        Ok(Self { dtype: form.dtype, data: operands.take(source, form.tile_bytes())? })
    }

    /// The element at a place among the 1,024.
    pub fn word(&self, place: usize) -> Word {
        read_word(self.dtype, &self.data, place)
    }

    /// The element at row and column in the tile.
    pub fn at(&self, row: u64, column: u64) -> Word {
        self.word((row * TILE_SIDE + column) as usize)
    }
}

/// Part of the matrices of an f32 input, between multiples of 32 in both directions: it lies in one tile even where the
/// grid counts small last axes as one.
pub struct Part<'a> {
    tile: Tile<'a>,
    grid: Planes,
    matrices: Planes,
    /// Matrix, row and column where it begins.
    start: (u64, u64, u64),
}

impl<'a> Part<'a> {
    /// Takes the tile of input `number` that holds the part which begins at (matrix, row, column).
    pub fn take(
        statement: &Statement,
        operands: &mut impl Operands<'a>,
        number: usize,
        start: (u64, u64, u64),
    ) -> Result<Self, Stop> {
        let form = &statement.inputs[number];
        let (grid, matrices) = (form.grid(), form.matrices());
        let (tile, _) = grid.locate(matrices.element(start.0, start.1, start.2));
        Ok(Self { tile: Tile::take(statement, operands, number, tile)?, grid, matrices, start })
    }

    /// The element so many rows and columns from where the part begins.
    pub fn at(&self, down: u64, across: u64) -> f32 {
        let element = self.matrices.element(self.start.0, self.start.1 + down, self.start.2 + across);
        as_f32(self.tile.word(self.grid.locate(element).1))
    }
}

/// A tile of results, zero padded.
pub struct TileWriter {
    dtype: Dtype,
    data: Vec<u8>,
}

impl TileWriter {
    /// Zeros.
    pub fn new(dtype: Dtype) -> Self {
        Self { dtype, data: vec![0; TILE_ELEMENTS * dtype.size()] }
    }

    /// Sets the element at row and column in the tile.
    pub fn set(&mut self, row: u64, column: u64, word: Word) {
        write_word(self.dtype, &mut self.data, (row * TILE_SIDE + column) as usize, word);
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.data
    }
}

/// The bytes of one element, NaNs canonical.
pub fn write_element(dtype: Dtype, word: Word) -> Vec<u8> {
    let mut data = vec![0; dtype.size()];
    write_word(dtype, &mut data, 0, word);
    data
}

/// Ends the unit for a NaN or an infinity (rule E8).
pub fn check_finite(value: f32) -> Result<(), Stop> {
    if value.is_finite() {
        Ok(())
    } else {
        Err(Stop::Ends(Ending::NonFinite))
    }
}

/// Ends the unit for a NaN or +∞, of which amax gives no maximum (rule E8).
pub fn check_no_top(value: f32) -> Result<(), Stop> {
    if value.is_nan() || value == f32::INFINITY {
        Err(Stop::Ends(Ending::NonFinite))
    } else {
        Ok(())
    }
}

/// The index, unless it ends the unit by lying outside its table.
pub fn check_index(word: Word, size: u64) -> Result<u64, Stop> {
    if word < size {
        Ok(word) // a negative i64 is at least 2^63 here
    } else {
        Err(Stop::Ends(Ending::IndexOutOfRange))
    }
}
