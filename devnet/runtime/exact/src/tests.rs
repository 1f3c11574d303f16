//! The integer-made float operations against the machine's own, which are right where they exist; constants recomputed.

use crate::{
    float::{canonical_bits, from_scaled, larger, round, shift_half_even, sqrt},
    geometry::{ravel, unravel},
    grid::{exponent, quantise, rescale, MIN_EXPONENT},
    philox::philox4x32,
    transcendental::{cos, erf, exp, log, sin, tanh},
    types::{Dtype, Form},
    weights::{MAX_AGREED_BYTES, MAX_REF_TIME},
};

/// Bit patterns of all exponents with mantissas at both ends and in between, both signs: 4 · 256 · 2 and 200,000 more.
fn patterns() -> impl Iterator<Item = f32> {
    let edges = (0..1_u32 << 9).flat_map(|head| {
        [0, 1, 0x2a_aaaa, 0x40_0000, 0x7f_fffe, 0x7f_ffff].map(|mantissa| f32::from_bits(head << 23 | mantissa))
    });
    let spread = (0..200_000_u32).map(|n| f32::from_bits(n.wrapping_mul(0x9e37_79b1)));
    edges.chain(spread)
}

#[test]
fn sqrt_is_the_machines() {
    for x in patterns() {
        let (own, machine) = (sqrt(x), x.sqrt());
        assert_eq!(canonical_bits(own), canonical_bits(machine), "{x:e}");
    }
}

#[test]
fn round_is_half_even_with_the_sign_kept() {
    for x in patterns().filter(|x| x.abs() < 4_194_304.0) {
        assert_eq!(round(x).to_bits(), x.round_ties_even().to_bits(), "{x:e}");
    }
    for (x, nearest) in [(0.5, 0.0_f32), (1.5, 2.0), (2.5, 2.0), (-0.5, -0.0), (-1.5, -2.0)] {
        assert_eq!(round(x).to_bits(), nearest.to_bits());
    }
}

#[test]
fn one_rounding_is_that_from_f64() {
    let magnitudes = [1_u64, 2, 3, 0xff_ffff, 0x100_0001, 0x1ff_ffff, (1 << 53) - 1, (1 << 52) + 1, 0x1b_3c5d_7e9f];
    for magnitude in magnitudes {
        for scale in -230..=260 {
            for negative in [false, true] {
                let sum = if negative { -(magnitude as i64) } else { magnitude as i64 };
                let exact = sum as f64 * 2_f64.powi(scale);
                let expected = exact as f32 + 0.0; // a zero is +0
                assert_eq!(rescale(sum, scale).to_bits(), expected.to_bits(), "{sum} · 2^{scale}");
            }
        }
    }
    assert_eq!(from_scaled(false, (1 << 63) - 1, -300), 0.0);
    assert_eq!(rescale(0, 10).to_bits(), 0);
}

#[test]
fn half_even_shifts() {
    let pairs = [((5, 1), 2), ((7, 1), 4), ((6, 2), 2), ((10, 2), 2), ((u64::MAX >> 1, 63), 1), ((1, 64), 0)];
    for ((value, shift), expected) in pairs {
        assert_eq!(shift_half_even(value, shift), expected, "{value} >> {shift}");
    }
    assert_eq!(shift_half_even(1 << 62, 63), 0, "a half goes to the even zero");
}

#[test]
fn a_grid_is_that_of_its_definition() {
    for x in patterns().filter(|x| x.is_finite()) {
        let e = exponent(x.abs());
        assert!(e >= MIN_EXPONENT && f64::from(x.abs()) < 2_f64.powi(e), "{x:e}");
        assert!(e == MIN_EXPONENT || f64::from(x.abs()) >= 2_f64.powi(e - 1), "{x:e}");
        for bits in [1, 12, 14, 28] {
            for e in [e, e + 1, 128] {
                let exact = (f64::from(x) * 2_f64.powi(bits - e)).round_ties_even();
                assert_eq!(quantise(x, bits, e), exact as i64, "{x:e} {bits} {e}");
            }
        }
    }
}

#[test]
fn maxima_order_zeros() {
    for (a, b) in [(-0.0, 0.0), (0.0, -0.0), (f32::NEG_INFINITY, -3.0), (-3.0, -2.0), (1.0e-45, -1.0)] {
        let expected = if a == b { 0.0 } else { f32::max(a, b) };
        assert_eq!(larger(a, b).to_bits(), expected.to_bits());
    }
}

#[test]
fn transcendental_edges() {
    let nan = canonical_bits(f32::NAN);
    for function in [exp, log, tanh, erf, sin, cos] {
        assert_eq!(canonical_bits(function(f32::NAN)), nan);
    }
    assert_eq!((exp(f32::NEG_INFINITY), exp(f32::INFINITY), exp(-104.5)), (0.0, f32::INFINITY, 0.0));
    assert_eq!((log(0.0), log(f32::INFINITY)), (f32::NEG_INFINITY, f32::INFINITY));
    assert!(log(-1.0).is_nan() && sin(8192.5).is_nan() && cos(f32::INFINITY).is_nan() && !sin(8192.0).is_nan());
    for odd in [tanh, erf, sin] {
        assert_eq!((odd(0.0).to_bits(), odd(-0.0).to_bits()), (0, 0x8000_0000));
    }
    assert_eq!((tanh(10.0), tanh(f32::NEG_INFINITY), erf(4.0), erf(-5.0), cos(-0.0)), (1.0, -1.0, 1.0, -1.0, 1.0));
}

#[test]
fn transcendental_functions_are_near_the_machines() {
    let near = |own: f32, true_value: f64| {
        let place = f64::from(f32::EPSILON) * true_value.abs().max(f64::from(f32::MIN_POSITIVE));
        (f64::from(own) - true_value).abs() <= 2.0 * place
    };
    for x in patterns().filter(|x| x.is_finite()) {
        let wide = f64::from(x);
        assert!(x.abs() > 87.0 || near(exp(x), wide.exp()), "exp {x:e}");
        assert!(x <= 0.0 || near(log(x), wide.ln()), "log {x:e}");
        assert!(near(tanh(x), wide.tanh()), "tanh {x:e}");
        assert!(x.abs() > 8192.0 || (near(sin(x), wide.sin()) && near(cos(x), wide.cos())), "sin, cos {x:e}");
    }
}

#[test]
fn philox_gives_the_published_words() {
    // Random123's known answers for philox4x32 with 10 rounds.
    assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox4x32([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
}

#[test]
fn the_costliest_answer_weighs_less_than_a_quarter_of_a_block() {
    assert_eq!((MAX_AGREED_BYTES, MAX_REF_TIME), (41_004, 108_540_000_000));
    const QUARTER_OF_HALF_A_SECOND: u64 = 125_000_000_000;
    const { assert!(MAX_REF_TIME <= QUARTER_OF_HALF_A_SECOND) }
}

#[test]
fn tiles_partition_their_tensor() {
    for shape in [
        vec![],
        vec![1],
        vec![70],
        vec![33, 5],
        vec![3, 2, 64, 33],
        vec![2, 1, 40],
        vec![5, 40, 3, 3],
        vec![3, 2, 2, 2, 2],
    ] {
        let form = Form { dtype: Dtype::F32, shape };
        let mut seen = vec![false; form.tile_count() as usize * 1_024];
        let grid = form.grid();
        for element in 0..form.elements() {
            let (tile, place) = grid.locate(element);
            let region = form.region(tile);
            let (row, column) = (place as u64 / 32, place as u64 % 32);
            assert!(row < region.height && column < region.width, "{form:?} {element}");
            assert_eq!(grid.element(region.batch, region.row + row, region.column + column), element);
            assert!(!core::mem::replace(&mut seen[tile as usize * 1_024 + place], true));
            assert_eq!(ravel(&form.shape, &unravel(&form.shape, element)), element);
        }
    }
}
