//! Bytes to types, as `consensus/arbiter/codec.py` describes them: only what an encoder gives is taken (known codes,
//! shortest lengths, nothing after the end), and no length asks for more memory than the bytes themselves justify.

use crate::types::{Error, Form, Node, Op, MAX_OPENING_BYTES};
use alloc::{string::String, vec::Vec};
use codec::{Decode, DecodeAll, Error as CodecError, Input};

/// Decodes all of `data`; refuses with `TooLarge` or `Malformed`.
pub fn decode<T: Decode>(mut data: &[u8]) -> Result<T, Error> {
    if data.len() > MAX_OPENING_BYTES {
        return Err(Error::TooLarge);
    }
    T::decode_all(&mut data).map_err(|_| Error::Malformed)
}

impl Decode for Form {
    fn decode<I: Input>(input: &mut I) -> Result<Self, CodecError> {
        let form = Form { dtype: Decode::decode(input)?, shape: Decode::decode(input)? };
        form.is_legal().then_some(form).ok_or_else(|| "no shape of a graph".into())
    }
}

impl Decode for Node {
    /// Form, op u8, inputs, then the op's attributes.
    fn decode<I: Input>(input: &mut I) -> Result<Self, CodecError> {
        let (output, code, inputs) = (Form::decode(input)?, input.read_byte()?, Vec::decode(input)?);
        Ok(Node { op: decode_op(code, input)?, output, inputs })
    }
}

fn decode_op<I: Input>(code: u8, input: &mut I) -> Result<Op, CodecError> {
    const PLAIN: [Op; 25] = [
        Op::Iota,
        Op::Add,
        Op::Sub,
        Op::Mul,
        Op::Div,
        Op::Eq,
        Op::Ne,
        Op::Lt,
        Op::Le,
        Op::Gt,
        Op::Ge,
        Op::And,
        Op::Or,
        Op::Not,
        Op::Neg,
        Op::Abs,
        Op::Sqrt,
        Op::Exp,
        Op::Log,
        Op::Tanh,
        Op::Erf,
        Op::Sin,
        Op::Cos,
        Op::Where,
        Op::Cast,
    ];
    Ok(match code {
        0 => Op::Const { value: Decode::decode(input)? },
        1..=25 => PLAIN[usize::from(code) - 1].clone(),
        26 => Op::Sum { axes: Decode::decode(input)? },
        27 => Op::Amax { axes: Decode::decode(input)? },
        28 => Op::Matmul { bits: Decode::decode(input)? },
        29 => Op::Reshape,
        30 => Op::Expand,
        31 => Op::Transpose { perm: Decode::decode(input)? },
        32 => {
            let axis = Decode::decode(input)?;
            let [start, stop, step] = Decode::decode(input)?;
            Op::Slice { axis, start, stop, step }
        }
        33 => Op::Concat { axis: Decode::decode(input)? },
        34 => {
            let [low, high, interior] = Decode::decode(input)?;
            Op::Pad { low, high, interior }
        }
        35 => {
            let [kernel, stride, dilation] = Decode::decode(input)?;
            Op::Windows { kernel, stride, dilation }
        }
        36 => Op::TakeRows,
        37 => Op::Pick,
        38 => Op::AddRows,
        39 => Op::Uniform { stream: Decode::decode(input)? },
        40 => Op::Output { kind: Decode::decode(input)?, name: String::decode(input)? },
        41 => Op::Input { kind: Decode::decode(input)?, name: String::decode(input)? },
        _ => return Err("unknown op".into()),
    })
}
