//! Every golden vector of exact/v1, executed by places: each tile of the output, from the tiles and partials under it.

mod common;

use aipow_exact::{
    compute::compute_from,
    operands::{Operands, Stop},
    types::*,
};
use common::{hex, numbers, text, vectors};
use serde_json::Value;
use std::{borrow::Cow, collections::HashMap};

const SIDE: usize = 32;

/// A tensor of a vector with its tiles.
struct Tensor {
    form: Form,
    data: Vec<u8>,
}

impl Tensor {
    fn read(value: &Value) -> Self {
        Self { form: form(value), data: hex(text(value, "data")) }
    }

    /// The tiles in order, zero padded; written without `geometry`, which is under test.
    fn tiles(&self) -> Vec<Vec<u8>> {
        let size = self.form.dtype.size();
        let mut shape: Vec<usize> = self.form.shape.iter().map(|&n| n as usize).collect();
        while let [leading @ .., rows, columns] = shape.as_slice() {
            if leading.is_empty() || rows * columns > SIDE {
                break;
            }
            shape = [leading, &[rows * columns]].concat();
        }
        let columns = shape.last().copied().unwrap_or(1);
        let rows = if shape.len() > 1 { shape[shape.len() - 2] } else { 1 };
        let mut tiles = Vec::new();
        for plane in self.data.chunks(rows * columns * size) {
            for top in (0..rows).step_by(SIDE) {
                for left in (0..columns).step_by(SIDE) {
                    let mut tile = vec![0; SIDE * SIDE * size];
                    for row in top..rows.min(top + SIDE) {
                        let width = columns.min(left + SIDE) - left;
                        let line = &plane[(row * columns + left) * size..][..width * size];
                        tile[(row - top) * SIDE * size..][..line.len()].copy_from_slice(line);
                    }
                    tiles.push(tile);
                }
            }
        }
        tiles
    }
}

fn form(value: &Value) -> Form {
    let dtype = match text(value, "dtype") {
        "f32" => Dtype::F32,
        "i64" => Dtype::I64,
        "bool" => Dtype::Bool,
        "u32" => Dtype::U32,
        other => panic!("dtype {other}"),
    };
    Form { dtype, shape: numbers(&value["shape"]) }
}

fn op(vector: &Value) -> Op {
    let attrs = &vector["attrs"];
    let list = |name: &str| numbers(&attrs[name]);
    let bytes = |name: &str| list(name).iter().map(|&n| n as u8).collect();
    let number = |name: &str| attrs[name].as_u64().expect("a number") as u32;
    match text(vector, "op") {
        "const" => {
            let value = text(attrs, "value");
            let f32 = text(vector, "dtype") == "f32";
            let bits = if f32 { u64::from_str_radix(value, 16) } else { value.parse().map(|n: i64| n as u64) };
            Op::Const { value: bits.expect("a constant") }
        }
        "iota" => Op::Iota,
        "add" => Op::Add,
        "sub" => Op::Sub,
        "mul" => Op::Mul,
        "div" => Op::Div,
        "eq" => Op::Eq,
        "ne" => Op::Ne,
        "lt" => Op::Lt,
        "le" => Op::Le,
        "gt" => Op::Gt,
        "ge" => Op::Ge,
        "and" => Op::And,
        "or" => Op::Or,
        "not" => Op::Not,
        "neg" => Op::Neg,
        "abs" => Op::Abs,
        "sqrt" => Op::Sqrt,
        "exp" => Op::Exp,
        "log" => Op::Log,
        "tanh" => Op::Tanh,
        "erf" => Op::Erf,
        "sin" => Op::Sin,
        "cos" => Op::Cos,
        "where" => Op::Where,
        "cast" => Op::Cast,
        "sum" => Op::Sum { axes: bytes("axes") },
        "amax" => Op::Amax { axes: bytes("axes") },
        "matmul" => Op::Matmul { bits: number("bits") as u8 },
        "reshape" => Op::Reshape,
        "expand" => Op::Expand,
        "transpose" => Op::Transpose { perm: bytes("perm") },
        "slice" => {
            Op::Slice { axis: number("axis") as u8, start: number("start"), stop: number("stop"), step: number("step") }
        }
        "concat" => Op::Concat { axis: number("axis") as u8 },
        "pad" => Op::Pad { low: list("low"), high: list("high"), interior: list("interior") },
        "windows" => Op::Windows { kernel: list("kernel"), stride: list("stride"), dilation: list("dilation") },
        "take_rows" => Op::TakeRows,
        "pick" => Op::Pick,
        "add_rows" => Op::AddRows,
        "uniform" => Op::Uniform { stream: number("stream") },
        "output" => {
            let kind = match text(attrs, "kind") {
                "state" => OutputKind::State,
                "loss" => OutputKind::Loss,
                "grad_norm" => OutputKind::GradNorm,
                "result" => OutputKind::Result,
                other => panic!("kind {other}"),
            };
            Op::Output { kind, name: text(attrs, "name").into() }
        }
        other => panic!("op {other}"),
    }
}

/// A node with the whole tensors that it reads: every operand on demand.
struct Evaluation {
    statement: Statement,
    inputs: Vec<Vec<Vec<u8>>>,
    known: HashMap<Vec<u8>, Vec<u8>>,
}

impl Evaluation {
    fn new(vector: &Value) -> Self {
        let tensors: Vec<Tensor> = vector["inputs"].as_array().expect("a list").iter().map(Tensor::read).collect();
        let node = Node { op: op(vector), output: form(vector), inputs: (0..tensors.len() as u32).collect() };
        let inputs = tensors.iter().map(|tensor| tensor.form.clone()).collect();
        Self {
            statement: Statement { node, inputs, place: Place::Tile(0) },
            inputs: tensors.iter().map(Tensor::tiles).collect(),
            known: HashMap::new(),
        }
    }

    fn value(&mut self, place: Place) -> Result<Vec<u8>, Stop> {
        let key = codec::Encode::encode(&place);
        if let Some(value) = self.known.get(&key) {
            return Ok(value.clone());
        }
        let statement = Statement { place, ..self.statement.clone() };
        let value = compute_from(&statement, self)?;
        self.known.insert(key, value.clone());
        Ok(value)
    }
}

impl Operands<'static> for Evaluation {
    fn take(&mut self, source: Source, size: usize) -> Result<Cow<'static, [u8]>, Stop> {
        let data = match source {
            Source::Input { input, tile } => self.inputs[usize::from(input)][tile as usize].clone(),
            Source::Claim(place) => self.value(place)?,
        };
        assert_eq!(data.len(), size, "{source:?}");
        Ok(Cow::Owned(data))
    }
}

#[test]
fn every_tile_of_every_golden_vector() {
    for (number, vector) in vectors("exact/ops.json").iter().enumerate() {
        let mut evaluation = Evaluation::new(vector);
        let expected = Tensor::read(&vector["output"]).tiles();
        for (tile, expected) in (0..).zip(expected) {
            let found = evaluation.value(Place::Tile(tile));
            assert!(found == Ok(expected), "vector {number}, {}, tile {tile}", vector["op"]);
        }
        let beyond = evaluation.statement.node.output.tile_count() as u32;
        assert_eq!(evaluation.value(Place::Tile(beyond)), Err(Stop::Refused(Error::BadPlace)));
    }
}

#[test]
fn every_golden_refusal_ends_the_unit() {
    for (number, vector) in vectors("exact/refusals.json").iter().enumerate() {
        let ending = match text(vector, "error") {
            "NonFiniteState" => Ending::NonFinite,
            "IndexOutOfRange" => Ending::IndexOutOfRange,
            other => panic!("error {other}"),
        };
        let mut evaluation = Evaluation::new(vector);
        let tiles = evaluation.statement.node.output.tile_count() as u32;
        let ends = (0..tiles).any(|tile| evaluation.value(Place::Tile(tile)) == Err(Stop::Ends(ending)));
        let checks = evaluation.inputs.iter().map(|tiles| tiles.len() as u32).enumerate().any(|(input, tiles)| {
            let input = input as u16;
            (0..tiles).any(|tile| evaluation_ends(vector, Place::Check { input, tile }, ending))
        });
        assert!(ends && checks, "vector {number}, {}: {ends}, {checks}", vector["op"]);
    }
}

fn evaluation_ends(vector: &Value, place: Place, ending: Ending) -> bool {
    Evaluation::new(vector).value(place) == Err(Stop::Ends(ending))
}
