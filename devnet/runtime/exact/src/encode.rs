//! Types to bytes, as a party of a dispute hands them over: what `decode` reads, and nothing else.

use crate::types::{Form, Node, Op};
use codec::{Encode, Output};

impl Encode for Form {
    fn encode_to<T: Output + ?Sized>(&self, out: &mut T) {
        (self.dtype, &self.shape).encode_to(out);
    }
}

impl Encode for Node {
    /// Form, op u8, inputs, then the op's attributes.
    fn encode_to<T: Output + ?Sized>(&self, out: &mut T) {
        self.output.encode_to(out);
        (code(&self.op), &self.inputs).encode_to(out);
        match &self.op {
            Op::Const { value } => value.encode_to(out),
            Op::Sum { axes } | Op::Amax { axes } | Op::Transpose { perm: axes } => axes.encode_to(out),
            Op::Matmul { bits } => bits.encode_to(out),
            Op::Slice { axis, start, stop, step } => (axis, start, stop, step).encode_to(out),
            Op::Concat { axis } => axis.encode_to(out),
            Op::Pad { low: a, high: b, interior: c } | Op::Windows { kernel: a, stride: b, dilation: c } => {
                (a, b, c).encode_to(out)
            }
            Op::Uniform { stream } => stream.encode_to(out),
            Op::Output { kind, name } => (kind, name).encode_to(out),
            Op::Input { kind, name } => (kind, name).encode_to(out),
            _ => {}
        }
    }
}

/// The op's code, its place in `consensus.arbiter.statement.ATTRIBUTES`.
fn code(op: &Op) -> u8 {
    use Op::*;
    match op {
        Const { .. } => 0,
        Iota => 1,
        Add => 2,
        Sub => 3,
        Mul => 4,
        Div => 5,
        Eq => 6,
        Ne => 7,
        Lt => 8,
        Le => 9,
        Gt => 10,
        Ge => 11,
        And => 12,
        Or => 13,
        Not => 14,
        Neg => 15,
        Abs => 16,
        Sqrt => 17,
        Exp => 18,
        Log => 19,
        Tanh => 20,
        Erf => 21,
        Sin => 22,
        Cos => 23,
        Where => 24,
        Cast => 25,
        Sum { .. } => 26,
        Amax { .. } => 27,
        Matmul { .. } => 28,
        Reshape => 29,
        Expand => 30,
        Transpose { .. } => 31,
        Slice { .. } => 32,
        Concat { .. } => 33,
        Pad { .. } => 34,
        Windows { .. } => 35,
        TakeRows => 36,
        Pick => 37,
        AddRows => 38,
        Uniform { .. } => 39,
        Output { .. } => 40,
        Input { .. } => 41,
    }
}
