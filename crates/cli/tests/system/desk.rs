//! A folder with a configuration, the binary run in it, and the hub that it becomes.
//!
//! Never: sleeps for something to have happened: everything is looked for until it is there or time is up.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::http::{Answer, send};
use crate::toys::{Erp, Shop, lock};

/// When something that should happen is given up.
const PATIENCE: Duration = Duration::from_secs(40);
const TOKEN: &str = "a token of the tests";
const WEBHOOK_SECRET: &str = "a secret of the tests";

/// The toy connectors: path below `connectors/`, text.
const CONNECTORS: &[(&str, &str)] = &[
    ("toyshop/connector.toml", include_str!("toyshop/connector.toml")),
    ("toyshop/order.read.vrl", include_str!("toyshop/order.read.vrl")),
    ("toyerp/connector.toml", include_str!("toyerp/connector.toml")),
    ("toyerp/sale.create.vrl", include_str!("toyerp/sale.create.vrl")),
    ("toyerp/sale.result.vrl", include_str!("toyerp/sale.result.vrl")),
];

/// Looks until there is something to give.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "given up after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A folder of its own for each test.
pub struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// The store `shop` and the given ERPs, applied. `flows` is the rest of the configuration.
    pub fn new(shop: &Shop, erps: &[(&str, &Erp)], flows: &str) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        for (path, text) in CONNECTORS {
            desk.write(&format!("connectors/{path}"), text);
        }
        let mut config = hub_section("127.0.0.1:0");
        config.push_str(&format!(
            "[connections.shop]\nconnector = \"toyshop\"\nurl = \"http://{}\"\nallow_private = true\n\
             secrets = {{ webhook = {{ env = \"WEBHOOK_SECRET\" }} }}\n",
            shop.address
        ));
        for (name, erp) in erps {
            config.push_str(&format!(
                "[connections.{name}]\nconnector = \"toyerp\"\nurl = \"http://{}\"\nallow_private = true\n",
                erp.address
            ));
        }
        config.push_str(flows);
        desk.write("counterpart.toml", &config);
        desk.run(&["apply", "--yes"], 0);
        desk
    }

    /// One shop, one ERP, orders from one to the other.
    pub fn plain(shop: &Shop, erp: &Erp) -> Self {
        Self::new(shop, &[("erp", erp)], &flow("orders", "erp", "state = \"live\""))
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A second configuration of the same database that listens on an address.
    pub fn write_listening(&self, name: &str, address: SocketAddr) {
        self.write(name, &hub_section(&address.to_string()));
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str], code: i32) -> Output {
        let output = self.command(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}\n{}\n{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        output
    }

    /// What a command says with `--json`.
    pub fn ask(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat(), 0);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts the hub and waits until it listens.
    pub fn serve(&self) -> Hub {
        self.serve_with(&[])
    }

    /// Starts the hub with these environment variables besides.
    pub fn serve_with(&self, variables: &[(&str, &str)]) -> Hub {
        let mut command = self.command(&["serve"]);
        command.envs(variables.iter().copied()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let lines = log.clone();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|l| lock(&lines).push(l)));
        let mut hub = Hub { child, log, address: ([127, 0, 0, 1], 0).into() };
        hub.address = until("the hub listens", || {
            let said =
                lock(&hub.log).iter().find_map(|l| l.strip_prefix("listening on http://")?.parse().ok());
            assert!(said.is_some() || hub.ended().is_none(), "the hub ended:\n{}", hub.log());
            said
        });
        hub
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_counterpart"));
        command.args(args).current_dir(self.folder.path()).env_clear().env("USER", "mona");
        command.env("HUB_KEY", "5a".repeat(32)).env("HUB_TOKEN", TOKEN).env("WEBHOOK_SECRET", WEBHOOK_SECRET);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn hub_section(listen: &str) -> String {
    format!(
        "[hub]\nlisten = \"{listen}\"\nkey = {{ env = \"HUB_KEY\" }}\napi_tokens = [{{ env = \"HUB_TOKEN\" }}]\n\
         connectors = \"connectors\"\n"
    )
}

/// A flow of orders from the shop.
pub fn flow(name: &str, to: &str, rest: &str) -> String {
    format!("[flows.{name}]\nkind = \"order\"\nfrom = [\"shop\"]\nto = \"{to}\"\n{rest}\n")
}

/// A running hub; killed, as by `kill -9`, at the end.
pub struct Hub {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    pub address: SocketAddr,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the hub's log:\n{}", self.log());
        }
    }
}

impl Hub {
    /// SIGKILL.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    fn log(&self) -> String {
        lock(&self.log).join("\n")
    }

    /// Sends the webhook of an order; an error when the hub dies over it.
    pub fn tell(&self, number: u32) -> std::io::Result<Answer> {
        Self::tell_at(self.address, number)
    }

    /// As [`Hub::tell`], without holding the hub.
    pub fn tell_at(address: SocketAddr, number: u32) -> std::io::Result<Answer> {
        let body =
            json!({ "id": format!("event-{number}"), "topic": "order", "order": format!("7{number}") });
        let body = body.to_string().into_bytes();
        post(address, "shop", &sign(&body), &body, body.len())
    }

    /// Sends the webhook of an order, which must be taken.
    pub fn told(&self, number: u32) {
        assert_eq!(self.tell(number).unwrap().status, 200);
    }

    /// Asks the API.
    pub fn get(&self, path: &str) -> Answer {
        let token = format!("Bearer {TOKEN}");
        let line = format!("GET /api/v1/{path}");
        send(self.address, &line, &[("authorization", &token)], b"", 0).unwrap()
    }

    pub fn status(&self) -> Value {
        let answer = self.get("status");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// The deliveries of an order along a flow, oldest first; none as long as it is not known.
    pub fn deliveries(&self, number: u32, flow: &str) -> Vec<Value> {
        let answer = self.get(&format!("explain/order/{number}"));
        let all = answer.body[0]["deliveries"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|d| d["flow"] == flow).collect()
    }

    /// Waits until the order's only delivery has come into a state.
    pub fn delivery(&self, number: u32, flow: &str, state: &str) -> Value {
        until(&format!("the delivery of {number} along {flow} is {state}"), || {
            let all = self.deliveries(number, flow);
            assert!(all.len() < 2, "more than one: {all:?}");
            all.into_iter().find(|d| d["state"] == state)
        })
    }

    /// Waits until nothing is pending or under way, and checks that the counts add up.
    pub fn quiet(&self) -> Value {
        let status = until("nothing is under way", || {
            let status = self.status();
            let count = |of: &str, name: &str| status[of][name].as_u64().unwrap_or(0);
            let busy = count("inbox", "pending")
                + ["ready", "blocked", "unknown"].iter().map(|s| count("deliveries", s)).sum::<u64>();
            (busy == 0).then_some(status)
        });
        assert_eq!(status["unaccounted"], 0, "{status}");
        status
    }
}

/// The signature of a body, as the toy shop sends it.
pub fn sign(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Posts a webhook to a connection.
pub fn post(
    to: SocketAddr,
    connection: &str,
    signature: &str,
    body: &[u8],
    length: usize,
) -> std::io::Result<Answer> {
    send(to, &format!("POST /webhooks/{connection}"), &[("x-signature", signature)], body, length)
}
