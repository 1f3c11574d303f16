//! Canonical JSON of a node (RFC 8785), the leaf of the graph root (`consensus/graph/node.py`).

use crate::types::{Dtype, InputKind, Node, Op, OutputKind};
use alloc::{string::String, vec::Vec};
use core::fmt::{Display, Write};

impl Op {
    /// Its name in graphs.
    pub fn name(&self) -> &'static str {
        use Op::*;
        match self {
            Const { .. } => "const",
            Iota => "iota",
            Add => "add",
            Sub => "sub",
            Mul => "mul",
            Div => "div",
            Eq => "eq",
            Ne => "ne",
            Lt => "lt",
            Le => "le",
            Gt => "gt",
            Ge => "ge",
            And => "and",
            Or => "or",
            Not => "not",
            Neg => "neg",
            Abs => "abs",
            Sqrt => "sqrt",
            Exp => "exp",
            Log => "log",
            Tanh => "tanh",
            Erf => "erf",
            Sin => "sin",
            Cos => "cos",
            Where => "where",
            Cast => "cast",
            Sum { .. } => "sum",
            Amax { .. } => "amax",
            Matmul { .. } => "matmul",
            Reshape => "reshape",
            Expand => "expand",
            Transpose { .. } => "transpose",
            Slice { .. } => "slice",
            Concat { .. } => "concat",
            Pad { .. } => "pad",
            Windows { .. } => "windows",
            TakeRows => "take_rows",
            Pick => "pick",
            AddRows => "add_rows",
            Uniform { .. } => "uniform",
            Output { .. } => "output",
            Input { .. } => "input",
        }
    }
}

/// The node's canonical JSON. Names have no control characters (`node::check` refuses them).
pub fn canonical_json(node: &Node) -> Vec<u8> {
    let dtype = match node.output.dtype {
        Dtype::F32 => "f32",
        Dtype::I64 => "i64",
        Dtype::Bool => "bool",
        Dtype::U32 => "u32",
    };
    let (op, inputs, shape) = (node.op.name(), list(&node.inputs), list(&node.output.shape));
    let attributes = attributes(node);
    alloc::format!(r#"{{"attrs":{{{attributes}}},"dtype":"{dtype}","in":{inputs},"op":"{op}","shape":{shape}}}"#)
        .into_bytes()
}

/// The members of `attrs`, keys ascending.
fn attributes(node: &Node) -> String {
    let first = node.output.shape.first().copied().unwrap_or(0);
    match &node.op {
        &Op::Const { value } => match node.output.dtype {
            Dtype::F32 => alloc::format!(r#""value":"{value:08x}""#),
            _ => alloc::format!(r#""value":"{}""#, value as i64),
        },
        Op::Iota => alloc::format!(r#""n":{first}"#),
        Op::Sum { axes } | Op::Amax { axes } => alloc::format!(r#""axes":{}"#, list(axes)),
        Op::Matmul { bits } => alloc::format!(r#""bits":{bits}"#),
        Op::Transpose { perm } => alloc::format!(r#""perm":{}"#, list(perm)),
        Op::Slice { axis, start, stop, step } => {
            alloc::format!(r#""axis":{axis},"start":{start},"step":{step},"stop":{stop}"#)
        }
        Op::Concat { axis } => alloc::format!(r#""axis":{axis}"#),
        Op::Pad { low, high, interior } => {
            alloc::format!(r#""high":{},"interior":{},"low":{}"#, list(high), list(interior), list(low))
        }
        Op::Windows { kernel, stride, dilation } => {
            alloc::format!(r#""dilation":{},"kernel":{},"stride":{}"#, list(dilation), list(kernel), list(stride))
        }
        Op::AddRows => alloc::format!(r#""rows":{first}"#),
        Op::Uniform { stream } => alloc::format!(r#""stream":{stream}"#),
        Op::Output { kind, name } => {
            let kind = match kind {
                OutputKind::State => "state",
                OutputKind::Loss => "loss",
                OutputKind::GradNorm => "grad_norm",
                OutputKind::Result => "result",
            };
            named(kind, name)
        }
        Op::Input { kind, name } => {
            let kind = match kind {
                InputKind::State => "state",
                InputKind::Batch => "batch",
                InputKind::Seed => "seed",
                InputKind::Step => "step",
            };
            named(kind, name)
        }
        _ => String::new(),
    }
}

fn named(kind: &str, name: &str) -> String {
    let mut text = alloc::format!(r#""kind":"{kind}","name":""#);
    for character in name.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    text
}

fn list(items: &[impl Display]) -> String {
    let mut text = String::from("[");
    for (number, item) in items.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        _ = write!(text, "{comma}{item}");
    }
    text.push(']');
    text
}
