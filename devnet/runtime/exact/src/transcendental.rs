//! E5: exp, log, tanh, erf, sin and cos as fixed programs of single-rounded f32 operations.
//!
//! `consensus/exact/transcendental.py` is the definition: each line there is one f32 operation, and so it is here.

use crate::float::round;

const fn f32s<const N: usize>(patterns: [u32; N]) -> [f32; N] {
    let mut values = [0.0; N];
    let mut at = 0;
    while at < N {
        values[at] = f32::from_bits(patterns[at]);
        at += 1;
    }
    values
}

/// (exp r − 1 − r) / r² on |r| ≤ 1.01·(ln 2)/2, highest power first.
const EXP: [f32; 5] = f32s([0x3AB6_8B03, 0x3C09_0836, 0x3D2A_AA8B, 0x3E2A_AA6C, 0x3F00_0000]);
/// (log(1+f) − f + f²/2) / f³ on √½ − 1 ≤ f ≤ √2 − 1.
const LOG: [f32; 9] = f32s([
    0x3D8E_C753,
    0xBDEB_1ADE,
    0x3DEF_5141,
    0xBDFE_7A63,
    0x3E11_E90D,
    0xBE2A_ADA5,
    0x3E4C_CEAD,
    0xBE7F_FFFE,
    0x3EAA_AAAA,
]);
/// (tanh x / x − 1) / x² in z = x² on |x| ≤ 0.625.
const TANH: [f32; 5] = f32s([0xBBC7_C6F2, 0x3CAC_0247, 0xBD5C_92C5, 0x3E08_870E, 0xBEAA_AAA9]);
/// erf x / x − 1 in z = x² on |x| ≤ 1.
const ERF: [f32; 7] = f32s([0x38A5_2B48, 0xBA52_2844, 0x3BAA_0938, 0xBCDB_FD5D, 0x3DE7_1688, 0xBEC0_939F, 0x3E03_75D4]);
/// −log(erfc a) on 1 ≤ a ≤ 4.
const ERFC: [f32; 9] = f32s([
    0xB5DB_BC18,
    0x3841_2E72,
    0xBA1C_72F3,
    0x3B9B_F663,
    0xBCD8_7123,
    0x3DE1_71AB,
    0x3F21_BF5A,
    0x3F90_AB7D,
    0xB9A7_D834,
]);
/// (sin r / r − 1) / r² in z = r² on |r| ≤ 0.787.
const SIN: [f32; 4] = f32s([0x3636_DCDF, 0xB950_09CD, 0x3C08_8887, 0xBE2A_AAAB]);
/// (cos r − 1 + r²/2) / r⁴ in z = r² on |r| ≤ 0.787.
const COS: [f32; 3] = f32s([0x37CD_EA18, 0xBAB6_0965, 0x3D2A_AAAA]);
/// π/2 in parts.
const HALF_PI: [f32; 5] = f32s([0x3FC9_0000, 0x39FD_A000, 0x33A2_2000, 0x2C34_6000, 0x248D_3132]);
const LOG2E: f32 = f32::from_bits(0x3FB8_AA3B);
/// ln 2 in two parts: 0.693359375 and −2.12194440e-4.
const LN2_HIGH: f32 = f32::from_bits(0x3F31_8000);
const LN2_LOW: f32 = f32::from_bits(0xB95E_8083);
const SQRT_HALF: f32 = f32::from_bits(0x3F35_04F3);
const TWO_OVER_PI: f32 = f32::from_bits(0x3F22_F983);
/// Largest argument with a finite exp (88.72283172607422).
const EXP_MAX: f32 = f32::from_bits(0x42B1_7217);
/// Under this, exp is +0.
const EXP_MIN: f32 = -104.0;
/// Largest |x| of sin and cos (= 2^13).
const ANGLE_MAX: f32 = 8192.0;

fn horner<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut result = coefficients[0];
    for coefficient in &coefficients[1..] {
        result *= x;
        result += coefficient;
    }
    result
}

/// 2^n for −126 ≤ n ≤ 127.
fn two_to(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}

/// e^x: +0 under −104, +∞ over 88.72….
pub fn exp(x: f32) -> f32 {
    if x.is_nan() {
        return x;
    }
    if x > EXP_MAX {
        return f32::INFINITY;
    }
    if x < EXP_MIN {
        return 0.0;
    }
    let n = round(x * LOG2E);
    let r = x - n * LN2_HIGH;
    let r = r - n * LN2_LOW;
    let p = horner(&EXP, r);
    let p = p * r;
    let p = p * r;
    let p = p + r;
    let p = p + 1.0;
    let whole = n as i32;
    let half = whole >> 1;
    let result = p * two_to(half);
    result * two_to(whole - half)
}

/// Natural logarithm: −∞ of ±0, NaN under zero.
pub fn log(x: f32) -> f32 {
    if x.is_nan() || x == f32::INFINITY {
        return x;
    }
    if x == 0.0 {
        return f32::NEG_INFINITY;
    }
    if x < 0.0 {
        return f32::NAN;
    }
    let tiny = x < f32::MIN_POSITIVE;
    let bits = if tiny { x * 33_554_432.0 } else { x }.to_bits() as i32;
    let mut exponent = (bits >> 23) - 126;
    let mantissa = f32::from_bits((bits & 0x007f_ffff | 0x3f00_0000) as u32);
    let small = mantissa < SQRT_HALF;
    exponent -= i32::from(small) + if tiny { 25 } else { 0 };
    let f = if small { mantissa * 2.0 } else { mantissa } - 1.0;
    let e = exponent as f32;
    let z = f * f;
    let y = horner(&LOG, f);
    let y = y * f;
    let y = y * z;
    let y = y + e * LN2_LOW;
    let y = y - z * 0.5;
    let result = f + y;
    result + e * LN2_HIGH
}

/// Hyperbolic tangent; odd, zeros keep their sign.
pub fn tanh(x: f32) -> f32 {
    if x.is_nan() {
        return x;
    }
    let a = x.abs();
    let result = if a < 0.625 {
        let z = x * x;
        let small = horner(&TANH, z);
        let small = small * z;
        let small = small * x;
        small + x
    } else {
        let twice = a + a;
        let large = exp(if twice < 20.0 { twice } else { 20.0 });
        let large = large + 1.0;
        let large = 2.0 / large;
        1.0 - large
    };
    result.copysign(x)
}

/// Error function; odd, zeros keep their sign.
pub fn erf(x: f32) -> f32 {
    if x.is_nan() {
        return x;
    }
    let a = if x.abs() < 4.0 { x.abs() } else { 4.0 };
    if a < 1.0 {
        let z = a * a;
        let small = horner(&ERF, z);
        let small = small * x;
        small + x
    } else {
        let large = 1.0 - exp(-horner(&ERFC, a));
        large.copysign(x)
    }
}

/// sin(|x| + quarters · π/2), negated where `odd` and x has its sign bit set; NaN where |x| > `ANGLE_MAX` or NaN.
fn rotate(x: f32, quarters: i32, odd: bool) -> f32 {
    let a = x.abs();
    if a.is_nan() || a > ANGLE_MAX {
        return f32::NAN;
    }
    let n = round(a * TWO_OVER_PI);
    let a = a - n * HALF_PI[0];
    let a = a - n * HALF_PI[1];
    let third = n * HALF_PI[2];
    let b = a - third;
    let lost = a - b;
    let lost = lost - third;
    let fourth = n * HALF_PI[3];
    let c = b - fourth;
    let lost_too = b - c;
    let lost_too = lost_too - fourth;
    let lost = lost + lost_too;
    let lost = lost - n * HALF_PI[4];
    let r = c + lost;
    let z = r * r;
    let quadrant = n as i32 + quarters;
    let value = if quadrant & 1 == 0 {
        let sine = horner(&SIN, z);
        let sine = sine * z;
        let sine = sine * r;
        sine + r
    } else {
        let cosine = horner(&COS, z);
        let cosine = cosine * z;
        let cosine = cosine * z;
        let cosine = cosine - z * 0.5;
        cosine + 1.0
    };
    let sign = ((quadrant & 2) << 30) as u32 ^ if odd { x.to_bits() & 0x8000_0000 } else { 0 };
    f32::from_bits(value.to_bits() ^ sign)
}

/// Sine of radians; odd, zeros keep their sign.
pub fn sin(x: f32) -> f32 {
    rotate(x, 0, true)
}

/// Cosine of radians.
pub fn cos(x: f32) -> f32 {
    rotate(x, 1, false)
}
