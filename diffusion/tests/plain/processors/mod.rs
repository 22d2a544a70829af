//! Processors against their references, alone and as a stage.

mod golden;
mod stage;
