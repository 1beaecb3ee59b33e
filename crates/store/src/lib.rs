//! The only place with SQL: durable inbox, records, counterparts, deliveries, reviews, configuration revisions.
//!
//! One SQLite file with a write-ahead log and `synchronous=FULL`. One writer thread commits whatever is queued as one
//! group; readers have connections of their own. Several processes may have the file open: nothing read is kept from
//! one call to the next. Payloads and personal data are sealed before they reach SQL.
//!
//! Never: decides anything; talks to a system; knows a vendor; logs a payload.

mod accounts;
pub mod bench;
mod commit;
mod crypto;
mod db;
mod deliveries;
mod error;
mod intake;
mod lanes;
mod readers;
mod records;
mod reviews;
mod rows;
mod settings;
mod store;
mod types;
mod writer;

pub use crypto::MasterKey;
pub use error::{Conflict, StoreError};
pub use store::Store;
pub use types::*;
