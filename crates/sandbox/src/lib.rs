//! Emulates vendors' systems for the demo, tests and load: one generic emulator, run over a profile that lies in a connector's
//! folder (`emulator/`) and is made from the vendor's contract or documentation.
//!
//! Never: shares parsing code with `connect`, reads a connector's manifest, knows a vendor's name, is reached from `serve`.

pub mod clock;
pub mod faults;
mod graphql;
mod host;
mod limits;
mod odata;
pub mod profile;
mod server;
pub mod traffic;
mod value;
mod webhooks;
mod world;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{AST, Dynamic, Engine, Scope};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock::FastClock;
use crate::faults::Faults;
use crate::host::{Host, Outgoing, Reply};
use crate::profile::{Profile, ProfileError};

/// How an emulated system is started.
pub struct Setup {
    /// What it emulates.
    pub profile: Profile,
    /// Its clock.
    pub clock: FastClock,
    /// Where its random choices begin.
    pub seed: u64,
    /// What the profile's programs may look up with `setting(name)`: credentials it accepts, addresses it calls.
    pub settings: Value,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// A running emulated system. It stops when dropped.
pub struct Sandbox {
    system: Arc<System>,
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

/// Why an emulated system cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The profile is wrong.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

/// What an emulated system said instead of doing what a person asked for.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It refused, as the vendor would.
    #[error("refused with {status}: {body}")]
    Refused {
        /// Status that a request would have been answered with.
        status: u16,
        /// Body of that answer.
        body: Value,
        /// Its headers.
        headers: Vec<(String, String)>,
    },
    /// The profile itself failed.
    #[error("the profile failed: {0}")]
    Broken(String),
}

/// What a whole system needs to answer one request or act once.
struct System {
    profile: Arc<Profile>,
    schema: Option<graphql::Schema>,
    engine: Engine,
    program: AST,
    functions: HashSet<String>,
    host: Arc<Host>,
    faults: Faults,
    limits: Mutex<limits::Limits>,
    /// One turn at a time: a request, an action, a timer.
    turn: Mutex<()>,
    broken: Mutex<Vec<String>>,
    seen: Mutex<std::collections::BTreeMap<String, u64>>,
}

impl Sandbox {
    /// Starts one: compiles the profile, lets it prepare its data, listens.
    ///
    /// # Errors
    /// When the profile is wrong or the address taken.
    pub async fn start(setup: Setup) -> Result<Self, StartError> {
        let listener = tokio::net::TcpListener::bind(setup.listen)
            .await
            .map_err(|error| StartError::Listen(setup.listen, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(setup.listen, error))?;
        let (outbox, arrivals) = mpsc::unbounded_channel();
        let system = Arc::new(System::new(setup, address, outbox)?);
        if system.has("begin") {
            system
                .turn("begin", Vec::new())
                .map(drop)
                .map_err(|refusal| ProfileError::Program(refusal.to_string()))?;
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(server::serve(listener, Arc::clone(&system)));
        tasks.spawn(webhooks::run(arrivals, Arc::clone(&system)));
        Ok(Self { system, address, _tasks: tasks })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the profile calls itself.
    pub fn title(&self) -> &str {
        &self.system.profile.manifest.title
    }

    /// Lets somebody act inside the system: a buyer orders, a clerk ships. The action is a function of the profile's program.
    ///
    /// # Errors
    /// When the system refuses, or the profile fails.
    pub fn act(&self, action: &str, with: &Value) -> Result<Value, Refusal> {
        let done = self.system.turn(&format!("act_{action}"), vec![value::to_script(with)])?;
        Ok(value::to_json(&done))
    }

    /// Whether somebody can do that in this system.
    pub fn can(&self, action: &str) -> bool {
        self.system.has(&format!("act_{action}"))
    }

    /// What goes wrong, to be switched while it runs.
    pub fn faults(&self) -> &Faults {
        &self.system.faults
    }

    /// Failures of the profile itself, which are never the caller's fault; a run with any proves nothing.
    pub fn broken(&self) -> Vec<String> {
        lock(&self.system.broken).clone()
    }

    /// How many requests there were for each route and status, such as `GET /things 200`.
    pub fn requests(&self) -> std::collections::BTreeMap<String, u64> {
        lock(&self.system.seen).clone()
    }

    /// Webhooks on their way or waiting to be tried again.
    pub fn webhooks_under_way(&self) -> usize {
        self.system.host.under_way.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl System {
    fn new(
        setup: Setup,
        address: SocketAddr,
        outbox: mpsc::UnboundedSender<Outgoing>,
    ) -> Result<Self, StartError> {
        let Setup { profile, clock, seed, mut settings, .. } = setup;
        if let Some(all) = settings.as_object_mut() {
            all.insert("url".into(), Value::String(format!("http://{address}")));
        }
        let profile = Arc::new(profile);
        let limits = limits::Limits::new(&profile.manifest.limits);
        let host = Arc::new(Host::new(Arc::clone(&profile), clock, seed, settings, outbox));
        lock(&host.world).set_lag(jiff::SignedDuration::from_millis(profile.manifest.search_lag_ms));
        let engine = host::engine(&host);
        let program = engine.compile(&profile.program).map_err(|e| ProfileError::Program(e.to_string()))?;
        let functions = program.iter_functions().map(|f| f.name.to_owned()).collect();
        let schema = profile.schema.as_deref().map(graphql::Schema::parse).transpose()?;
        Ok(Self {
            schema,
            engine,
            program,
            functions,
            faults: Faults::new(seed),
            limits: Mutex::new(limits),
            host,
            profile,
            turn: Mutex::default(),
            broken: Mutex::default(),
            seen: Mutex::default(),
        })
    }

    fn has(&self, function: &str) -> bool {
        self.functions.contains(function)
    }

    /// Calls a function of the program; the caller has the turn.
    fn call(&self, function: &str, with: Vec<Dynamic>) -> Result<Dynamic, Refusal> {
        let mut scope = Scope::new();
        match self.engine.call_fn::<Dynamic>(&mut scope, &self.program, function, with) {
            Ok(done) => Ok(done),
            Err(error) => {
                if let rhai::EvalAltResult::ErrorRuntime(thrown, _) = error.unwrap_inner()
                    && let Some(reply) = Reply::from_script(thrown)
                {
                    return Err(Refusal::Refused {
                        status: reply.status,
                        body: reply.body,
                        headers: reply.headers,
                    });
                }
                let text = format!("{function}: {error}");
                tracing::error!(system = %self.profile.manifest.title, "{text}");
                lock(&self.broken).push(text.clone());
                Err(Refusal::Broken(text))
            }
        }
    }

    /// Runs `what` as one turn: its changes and messages are kept as a whole, or not at all.
    fn in_turn<T, E>(&self, what: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let _turn = lock(&self.turn);
        lock(&self.host.world).begin();
        let done = what();
        if done.is_ok() {
            lock(&self.host.world).commit();
            self.host.flush();
        } else {
            lock(&self.host.world).roll_back();
            self.host.forget();
        }
        done
    }

    /// One function as a turn.
    fn turn(&self, function: &str, with: Vec<Dynamic>) -> Result<Dynamic, Refusal> {
        self.in_turn(|| self.call(function, with))
    }
}

/// A lock whose holder may have panicked: what it guards is still the best there is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
