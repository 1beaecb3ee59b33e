//! The address that the shop calls.

use anyhow::{Result, ensure};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::{ARRIVES, Options, arrived};
use crate::real::http::until;
use crate::real::lab::Lab;

/// More than any webhook may be.
const FAR_TOO_LARGE: usize = 32 << 20;

/// Wrong signature, no signature, unknown connection, too large, repeated.
pub fn endpoint(lab: &mut Lab, options: Options) -> Result<()> {
    let order = lab.shop.place_one(&["--lines", "STICKER-1=1"])?;
    arrived(lab, std::slice::from_ref(&order.code), ARRIVES)?;
    until("everything to be settled", ARRIVES, || lab.hub()?.settled())?;

    let body = serde_json::to_vec(&json!({
        "id": format!("made-up-{}", options.seed), "topic": "order.state", "entity_id": order.id,
        "order_id": order.id, "occurred_at": "2026-01-01T00:00:00.000Z",
    }))?;
    let right = sign(&lab.webhook_secret, &body)?;
    let wrong = sign("not the secret", &body)?;
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, &str, Headers, u16); 4] = [
        ("a wrong signature", "shop", &[("x-signature", &wrong)], 401),
        ("no signature", "shop", &[], 401),
        ("a signature that is no hex", "shop", &[("x-signature", "zz")], 401),
        ("an unknown connection", "nowhere", &[("x-signature", &right)], 404),
    ];
    for (what, connection, headers, expected) in cases {
        let status = lab.hub()?.webhook(connection, headers, body.clone())?.status;
        ensure!(status == expected, "{what}: HTTP {status}, not {expected}");
    }
    let large = vec![b' '; FAR_TOO_LARGE];
    let signature = sign(&lab.webhook_secret, &large)?;
    // A server may answer and close before it has read everything; then there is no answer to read.
    if let Ok(answer) = lab.hub()?.webhook("shop", &[("x-signature", &signature)], large) {
        ensure!(answer.status == 413, "far too large: HTTP {}, not 413", answer.status);
    }

    // Had one that was refused been kept, the first right one would be a repeat.
    for repeated in [false, true] {
        let answer = lab.hub()?.webhook("shop", &[("x-signature", &right)], body.clone())?;
        ensure!((200..300).contains(&answer.status), "rightly signed: HTTP {}", answer.status);
        ensure!(
            answer.json()?["repeated"] == repeated,
            "expected repeated to be {repeated}: {}",
            answer.text
        );
    }
    until("everything to be settled", ARRIVES, || lab.hub()?.settled())?;
    let sale = lab.erp.sale(&order.code)?;
    ensure!(sale.total == order.total_with_tax, "the sale changed");
    Ok(())
}

/// What the shop puts into `x-signature`.
pub fn sign(secret: &str, body: &[u8]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(body);
    Ok(hex::encode(mac.finalize().into_bytes()))
}
