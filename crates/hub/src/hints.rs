//! Hints of our own: things that must be read again now, put into the inbox like any webhook.
//!
//! Never: reads by itself.

use counterpart_model::change::{Arrival, Channel};
use counterpart_model::ids::{ConnectionName, ExternalId};
use counterpart_store::StoreError;
use serde_json::json;

use crate::active::Active;
use crate::process::READ_NOW;
use crate::shared::Shared;

/// Asks for a thing to be read again, where the connection can read things of its type by id.
///
/// # Errors
/// When the database is away.
pub async fn read_again(
    shared: &Shared,
    active: &Active,
    connection: &ConnectionName,
    external: &ExternalId,
) -> Result<(), StoreError> {
    let Some(link) = active.links.get(connection) else { return Ok(()) };
    let Some(fetch) = link.connection.fetch_for(&external.remote_type) else { return Ok(()) };
    put(shared, connection, &fetch, std::slice::from_ref(&external.id)).await
}

/// Puts a request to read things by id into the inbox.
///
/// # Errors
/// When the database is away.
pub async fn put(
    shared: &Shared,
    connection: &ConnectionName,
    fetch: &str,
    ids: &[String],
) -> Result<(), StoreError> {
    let now = shared.now();
    let body = json!({ "fetch": fetch, "ids": ids }).to_string();
    let arrival = Arrival {
        connection: connection.clone(),
        channel: Channel::Api,
        topic: READ_NOW.into(),
        event_id: format!("{fetch}:{}@{now}", ids.join(",")),
        received_at: now,
        body: body.into_bytes(),
    };
    shared.store.accept(arrival).await.map(drop)
}
