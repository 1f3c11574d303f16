//! E1: f32 with one IEEE-754 rounding per operation.
//!
//! Rust's `+ - * /` on f32 are single IEEE operations, natively (SSE2, NEON) and in Wasm, and are never contracted to an
//! FMA. What `core` lacks is here, in integers: square root, rounding to an integer, and the one rounding of a scaled
//! integer, by which every exact sum becomes an f32.

/// The bits of every NaN in bytes that are compared or hashed (rule E8).
pub const NAN_BITS: u32 = 0x7fc0_0000;

const SIGN: u32 = 0x8000_0000;
const INFINITY: u32 = 0x7f80_0000;
/// Exponent of the last place of a subnormal.
const LEAST_PLACE: i32 = -149;

/// The bits of `x`, `NAN_BITS` for every NaN.
pub fn canonical_bits(x: f32) -> u32 {
    if x.is_nan() {
        NAN_BITS
    } else {
        x.to_bits()
    }
}

/// |x| = mantissa · 2^exponent of a finite `x`, the mantissa under 2^24.
pub fn split(x: f32) -> (u32, i32) {
    let bits = x.to_bits() & !SIGN;
    let (biased, fraction) = ((bits >> 23) as i32, bits & 0x007f_ffff);
    if biased == 0 {
        (fraction, LEAST_PLACE)
    } else {
        (fraction | 0x0080_0000, biased - 150)
    }
}

/// `value` / 2^`shift`, rounded half to even; `value` < 2^63.
pub fn shift_half_even(value: u64, shift: u32) -> u64 {
    if shift == 0 {
        return value;
    }
    if shift > 63 {
        return 0; // under a half
    }
    let (quotient, rest, half) = (value >> shift, value & ((1 << shift) - 1), 1 << (shift - 1));
    let up = rest > half || (rest == half && quotient & 1 == 1);
    quotient + u64::from(up)
}

/// f32(±magnitude · 2^exponent) in one rounding, half to even; too large is an infinity, every zero is +0.
/// `magnitude` < 2^63, |`exponent`| < 2^20.
pub fn from_scaled(negative: bool, magnitude: u64, exponent: i32) -> f32 {
    if magnitude == 0 {
        return 0.0; // whose logarithm is none
    }
    let top = magnitude.ilog2() as i32 + exponent;
    if top > 127 {
        return if negative { f32::NEG_INFINITY } else { f32::INFINITY };
    }
    let place = (top - 23).max(LEAST_PLACE);
    let shift = place - exponent;
    let places =
        if shift < 0 { magnitude << shift.unsigned_abs() } else { shift_half_even(magnitude, shift.unsigned_abs()) };
    if places == 0 {
        return 0.0;
    }
    // A mantissa that rounds up to the next power of two carries into the exponent, as it should.
    let bits = (((place - LEAST_PLACE) as u32) << 23) + places as u32;
    f32::from_bits(bits.min(INFINITY) | if negative { SIGN } else { 0 })
}

/// The square root, correctly rounded: √−0 = −0, of what is under zero NaN.
pub fn sqrt(x: f32) -> f32 {
    if x.is_nan() || x == 0.0 || x == f32::INFINITY {
        return x;
    }
    if x < 0.0 {
        return f32::NAN;
    }
    let (mantissa, exponent) = split(x);
    // x = wide · 2^(exponent − up) with an even exponent and 61 or 62 bits: a root of 31 bits and "was there a rest".
    let up = mantissa.leading_zeros() as i32 + 29;
    let up = up + ((exponent - up) & 1);
    let wide = u64::from(mantissa) << up;
    let root = wide.isqrt();
    let rest = u64::from(root * root != wide);
    from_scaled(false, root << 1 | rest, (exponent - up) / 2 - 1)
}

/// The nearest integer, half to even, with x's sign; |x| < 2^22.
pub fn round(x: f32) -> f32 {
    const BIG: f32 = 8_388_608.0; // 2^23, whose last place is 1
    ((x.abs() + BIG) - BIG).copysign(x)
}

/// An integer in the order of the values, −0 under +0; NaNs lie outside the infinities.
pub fn order_key(x: f32) -> i32 {
    let bits = x.to_bits() as i32;
    if bits < 0 {
        bits ^ 0x7fff_ffff
    } else {
        bits
    }
}

/// The larger of two, −0 under +0.
pub fn larger(a: f32, b: f32) -> f32 {
    if order_key(b) > order_key(a) {
        b
    } else {
        a
    }
}
