//! What every store must do, whatever database is behind it.
//!
//! The tests know `setup::fresh` alone: another backend gives that function a second body.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod commit;
mod intake;
mod lanes;
mod records;
mod reviews;
mod settings;
mod setup;
