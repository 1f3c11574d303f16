//! The arbiter of exact/v1 for whoever asks a node: a side of a dispute learns what the chain would answer.

use aipow_exact::{Error, Outcome};
use alloc::vec::Vec;
use frame::deps::sp_api::decl_runtime_apis;

decl_runtime_apis! {
    /// Answers of the arbiter; every argument is an encoding that `consensus/arbiter/codec.py` documents.
    pub trait ExactApi {
        /// The value of a place from a Statement and \[Operand\], whose origin is not looked at.
        fn compute(statement: Vec<u8>, operands: Vec<u8>) -> Result<Outcome, Error>;
        /// The value of a place from an Opening, proved under the roots and claims of Agreed.
        fn arbitrate(agreed: Vec<u8>, opening: Vec<u8>) -> Result<Outcome, Error>;
    }
}
