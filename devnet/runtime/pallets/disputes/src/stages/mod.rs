//! The moves, by stage: what each checks and where it leads (docs/disputes.md, "Stages and moves").

mod choices;
mod data;
mod history;
mod node;
mod place;
mod step;

pub use data::{element_size, MAX_ARRAY};
pub use step::state_leaf;
