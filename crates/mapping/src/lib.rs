//! Compiles and runs mappings: VRL with our functions, diagnosed.
//!
//! A mapping is a program from one shape to another. [`json::read_json`] reads a body without losing a digit,
//! [`program::compile`] checks a program once, [`program::Program::run`] runs it as often as needed,
//! [`changes::read_changes`] turns a read mapping's output into typed changes, [`report::try_mapping`] tries a program on a
//! sample and says what is wrong, and [`json::write_json`] writes a body with number tokens where the target wants them.
//!
//! Never: I/O, a clock, randomness, a vendor's name; a datum in an error message.

pub mod changes;
pub mod diagnostic;
pub mod functions;
pub mod json;
pub mod program;
pub mod report;
mod value;
