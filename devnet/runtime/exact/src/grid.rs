//! E2: integers on a power-of-two grid. For a set with largest magnitude m, e ≥ −96 is the least exponent with m < 2^e;
//! a value x becomes round-half-even(x · 2^(bits−e)), so that no integer is above 2^bits.

use crate::float::{from_scaled, shift_half_even, split};

/// Least exponent of a grid.
pub const MIN_EXPONENT: i32 = -96;
/// Bits of the grid of sums (E4).
pub const SUM_BITS: i32 = 28;
/// Largest grid of a matmul (E3).
pub const MAX_MATMUL_BITS: u8 = 14;
/// No exact sum reaches 2^53 (= 9,007,199,254,740,992; rules E3 and E4).
pub const SUM_LIMIT: i64 = 1 << 53;

/// The grid's exponent for a finite largest magnitude.
pub fn exponent(magnitude: f32) -> i32 {
    let biased = (magnitude.to_bits() >> 23 & 0xff) as i32;
    (biased - 126).max(MIN_EXPONENT)
}

/// A finite x with |x| < 2^exponent on the grid.
pub fn quantise(x: f32, bits: i32, exponent: i32) -> i64 {
    let (mantissa, own) = split(x);
    let shift = own + bits - exponent;
    let magnitude = if shift < 0 {
        shift_half_even(mantissa.into(), shift.unsigned_abs())
    } else {
        u64::from(mantissa) << shift.min(39)
    } as i64;
    if x.is_sign_negative() {
        -magnitude
    } else {
        magnitude
    }
}

/// f32(sum · 2^exponent) in one rounding, a zero being +0; |sum| < 2^53.
pub fn rescale(sum: i64, exponent: i32) -> f32 {
    from_scaled(sum < 0, sum.unsigned_abs(), exponent)
}
