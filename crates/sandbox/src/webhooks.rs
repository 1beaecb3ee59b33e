//! Calls others: webhooks, signed when they are sent, tried again as the profile says; and the profile's own timers.
//!
//! Never: waits for one message before it sends another, as no vendor promises an order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use counterpart_model::clock::Clock;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::System;
use crate::host::Outgoing;
use crate::value::{to_json, to_script};

type Caller = Client<HttpConnector, Full<Bytes>>;

/// How many are sent at a time.
const AT_A_TIME: usize = 8;

fn caller() -> Caller {
    // Plain HTTP: it calls nobody but a hub on the same machine.
    Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(1)).build_http()
}

/// Asks another system something while its own caller waits, as handshakes do: a POST without a body. Status 0 says that there
/// was no answer in time.
pub fn ask(url: &str, time: Duration) -> (u16, String) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return (0, String::new()) };
    let Ok(request) = Request::post(url).body(Full::from(Bytes::new())) else { return (0, String::new()) };
    let answered = tokio::task::block_in_place(|| {
        runtime.block_on(tokio::time::timeout(time, async {
            let answer = caller().request(request).await.ok()?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.ok()?.to_bytes();
            Some((status, String::from_utf8_lossy(&body).into_owned()))
        }))
    });
    answered.ok().flatten().unwrap_or_default()
}

/// Sends until the system stops.
pub async fn run(mut arrivals: mpsc::UnboundedReceiver<Outgoing>, system: Arc<System>) {
    let client = caller();
    let free = Arc::new(Semaphore::new(AT_A_TIME));
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            arrived = arrivals.recv() => match arrived {
                None => return,
                Some(Outgoing::Timer { after, function, with }) => {
                    let system = Arc::clone(&system);
                    tasks.spawn(async move {
                        wait(&system, after.unsigned_abs()).await;
                        // A failure is on record already.
                        let _ = system.turn(&function, vec![to_script(&with)]);
                    });
                }
                Some(Outgoing::Webhook { url, sign, body, about }) => {
                    for delay in system.faults.deliveries() {
                        let hook = Hook { url: url.clone(), sign: sign.clone(), body: body.clone(), about: about.clone() };
                        let (system, client, free) = (Arc::clone(&system), client.clone(), Arc::clone(&free));
                        system.host.under_way.fetch_add(1, Ordering::SeqCst);
                        tasks.spawn(async move {
                            wait(&system, delay).await;
                            hook.send(&system, &client, &free).await;
                            system.host.under_way.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                }
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn wait(system: &System, time: Duration) {
    tokio::time::sleep(system.host.clock.real(time)).await;
}

/// How a call went.
enum Taken {
    Yes,
    Refused(u16),
    Unanswered,
}

fn worth_another(retry_on: &[String], status: u16) -> bool {
    retry_on.is_empty() || retry_on.iter().any(|begin| status.to_string().starts_with(begin))
}

struct Hook {
    url: String,
    sign: String,
    body: String,
    about: Value,
}

impl Hook {
    async fn send(&self, system: &System, client: &Caller, free: &Semaphore) {
        let settings = &system.profile.manifest.webhooks;
        let mut pauses = settings.retry_s.iter();
        let mut tries = 0;
        loop {
            tries += 1;
            let taken = {
                let _free = free.acquire().await;
                self.once(system, client, tries, Duration::from_secs(settings.timeout_s)).await
            };
            match taken {
                Taken::Yes => return,
                Taken::Refused(status) if !worth_another(&settings.retry_on, status) => break,
                Taken::Refused(_) | Taken::Unanswered => {}
            }
            let Some(pause) = pauses.next() else { break };
            wait(system, Duration::from_secs(*pause)).await;
        }
        if system.has("webhook_given_up") {
            let _ = system.turn("webhook_given_up", vec![to_script(&self.about)]);
        }
    }

    async fn once(&self, system: &System, client: &Caller, tries: u32, timeout: Duration) -> Taken {
        let delivery = json!({"url": self.url, "body": self.body, "about": self.about, "tries": tries});
        // Not for one that was unsubscribed meanwhile: the program answers with nothing.
        let Ok(headers) = system.turn(&self.sign, vec![to_script(&delivery)]) else { return Taken::Yes };
        let Value::Object(mut headers) = to_json(&headers) else { return Taken::Yes };
        // Some bodies tell which try it is.
        let body = match headers.remove("@body") {
            Some(Value::String(body)) => body,
            _ => self.body.clone(),
        };
        let mut request = Request::post(&self.url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        let Ok(request) = request.body(Full::from(Bytes::from(body))) else { return Taken::Yes };
        match tokio::time::timeout(timeout, client.request(request)).await {
            Ok(Ok(answer)) if answer.status().is_success() => Taken::Yes,
            Ok(Ok(answer)) => Taken::Refused(answer.status().as_u16()),
            _ => Taken::Unanswered,
        }
    }
}
