//! One run: traffic, faults, kills, then waiting until everything is at rest, then the count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use counterpart_hub::hub::Hub as Eye;
use counterpart_hub::views::{ReviewQuery, Status};
use counterpart_model::clock::Clock;
use counterpart_sandbox::clock::FastClock;
use counterpart_sandbox::faults::Rates;
use counterpart_sandbox::traffic::count::{Counts, Reports};
use counterpart_sandbox::traffic::{Systems, Traffic};
use jiff::{SignedDuration, Timestamp};

use super::broken;
use super::child::Hub;
use super::folder::Folder;
use super::outcome::{Latency, Outcome};
use super::screen::Screen;
use crate::args;
use crate::errors::{Exit, Failure};
use crate::output::Out;

/// Between two looks.
const TICK: Duration = Duration::from_millis(100);

/// Real time between two kills while orders are shipped.
const BETWEEN_KILLS: Duration = Duration::from_secs(10);

/// Nothing may have changed for so long before it counts as rest: longer than any poll that moves goods or money.
const REST: SignedDuration = SignedDuration::from_mins(15);

/// For so long is listened for echoes afterwards.
const AFTER: SignedDuration = SignedDuration::from_mins(15);

/// The warehouse works on for so long after the last order.
const SHIPPING: SignedDuration = SignedDuration::from_mins(10);

/// How long an order is in the ERP before it is packed: where everything fails now and then it takes longer until it is whole.
pub fn packed_after(faults: bool) -> SignedDuration {
    if faults { SignedDuration::from_mins(90) } else { SignedDuration::from_mins(10) }
}

/// How often things go wrong with `--faults`.
const WRONG: Rates = Rates {
    throttled: 0.02,
    failed: 0.005,
    broken: 0.005,
    lost: 0.005,
    inside: 0.005,
    repeated: 0.05,
    late: 0.10,
    dropped: 0.03,
    latest: Duration::ZERO,
};

/// A run under way.
pub struct Run<'a> {
    ask: &'a args::Demo,
    out: &'a Out,
    clock: FastClock,
    systems: Systems,
    traffic: Traffic,
    hub: Hub,
    eye: Eye,
    folder: Folder,
    port: u16,
    began: Instant,
    kills: Vec<u64>,
}

impl<'a> Run<'a> {
    /// Applies the configuration and starts the hub.
    ///
    /// # Errors
    /// When either fails.
    pub async fn new(
        ask: &'a args::Demo,
        out: &'a Out,
        clock: FastClock,
        systems: Systems,
        traffic: Traffic,
        folder: Folder,
        port: u16,
    ) -> Result<Self, Failure> {
        let hand = Eye::open(&folder.config(), Arc::new(clock)).await?;
        let problems: Vec<String> = hand.plan().await?.problems.iter().map(|p| format!("{p:?}")).collect();
        if !problems.is_empty() {
            return Err(Failure::problems("the demo's configuration cannot run", problems));
        }
        hand.apply(None, "the demo").await?;
        // Opened after that, so that it knows what runs.
        let eye = Eye::open(&folder.config(), Arc::new(clock)).await?;
        let hub = Hub::start(&folder.config(), &folder.log(), clock, port).await?;
        let kills = match (ask.faults, ask.orders) {
            (true, Some(orders)) => {
                (1..=ask.kills.into()).map(|n| orders * n / (u64::from(ask.kills) + 1)).collect()
            }
            _ => Vec::new(),
        };
        Ok(Self { ask, out, clock, systems, traffic, hub, eye, folder, port, began: Instant::now(), kills })
    }

    /// Runs to the end, if there is one.
    ///
    /// # Errors
    /// When something breaks down.
    pub async fn finish(mut self) -> Result<Exit, Failure> {
        let outcome = self.go().await?;
        self.out.answer(&outcome, |page| outcome.page(page));
        Ok(if outcome.is_right() { Exit::Done } else { Exit::Problems })
    }

    async fn go(&mut self) -> Result<Outcome, Failure> {
        let mut screen = Screen::new(self.ask.headless);
        if self.ask.faults {
            self.go_wrong();
        }
        while !self.traffic.is_done() {
            self.traffic.step(&self.systems).map_err(broken)?;
            self.look(&mut screen).await?;
            let placed = u64::try_from(self.traffic.placed.len()).unwrap_or(u64::MAX);
            if self.kills.first().is_some_and(|at| *at <= placed) {
                self.kill().await?;
            }
        }
        let mut killed = Instant::now();
        // Orders that arrive late in the ERP are packed too.
        let until = self.clock.now() + SHIPPING + packed_after(self.ask.faults) * 3;
        while self.clock.now() < until {
            self.traffic.step(&self.systems).map_err(broken)?;
            self.look(&mut screen).await?;
            // Orders may be placed faster than a hub can be killed: the rest of it happens while they are shipped.
            if !self.kills.is_empty() && killed.elapsed() >= BETWEEN_KILLS {
                self.kill().await?;
                killed = Instant::now();
            }
        }
        for sandbox in self.systems.all() {
            sandbox.faults().set(Rates::default());
        }
        let converged = self.rest(&mut screen).await?;
        let reports = Reports::ask(&self.systems).map_err(broken)?;
        let writes = reports.writes();
        if converged {
            let until = self.clock.now() + AFTER;
            while self.clock.now() < until {
                self.look(&mut screen).await?;
            }
        }
        let after = Reports::ask(&self.systems).map_err(broken)?;
        self.outcome(&after, after.writes() - writes, converged).await
    }

    async fn kill(&mut self) -> Result<(), Failure> {
        self.kills.remove(0);
        self.hub.kill(&self.folder.config(), &self.folder.log(), self.clock, self.port).await
    }

    /// Faults from now on: at any time, and each system down once for a while.
    fn go_wrong(&self) {
        let now = self.clock.now();
        for (n, sandbox) in (0_i64..).zip(self.systems.all()) {
            sandbox
                .faults()
                .set(Rates { latest: Duration::from_secs(3600 * u64::from(self.ask.latest_hours)), ..WRONG });
            if let Some(down) = self.ask.down_minutes.filter(|m| *m > 0) {
                let from = now + SignedDuration::from_mins(2 + n * (i64::from(down) + 5));
                sandbox.faults().down(from, from + SignedDuration::from_mins(i64::from(down)));
            }
        }
    }

    async fn look(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        tokio::time::sleep(TICK).await;
        self.hub.alive(&self.folder.log())?;
        if screen.is_due() {
            let status = self.eye.status().await?;
            let url = format!("http://127.0.0.1:{}", self.port);
            screen.show(self.out, &self.systems, &self.traffic, &status, &url);
        }
        Ok(())
    }

    /// Waits until nothing is under way and nothing changes any more. False when that takes too long.
    async fn rest(&mut self, screen: &mut Screen) -> Result<bool, Failure> {
        let limit = Duration::from_secs(self.ask.timeout);
        let (mut still, mut last): (Timestamp, _) = (self.clock.now(), None);
        loop {
            self.look(screen).await?;
            let reports = Reports::ask(&self.systems).map_err(broken)?;
            let status = self.eye.status().await?;
            let now = (reports.writes(), under_way(&status), self.webhooks());
            if last.as_ref() != Some(&now) {
                still = self.clock.now();
            }
            if now.1 == 0 && now.2 == 0 && self.clock.now().duration_since(still) >= REST {
                return Ok(true);
            }
            last = Some(now);
            if self.began.elapsed() > limit {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }

    fn webhooks(&self) -> usize {
        self.systems.all().iter().map(|s| s.webhooks_under_way()).sum()
    }

    async fn outcome(&mut self, reports: &Reports, echoes: i64, converged: bool) -> Result<Outcome, Failure> {
        let status = self.eye.status().await?;
        let reviews = self.eye.reviews(ReviewQuery { limit: Some(10_000), ..ReviewQuery::default() }).await?;
        let about =
            reviews.iter().filter_map(|r| r.about.as_deref()?.split_once(' ').map(|(_, label)| label));
        let in_review: BTreeSet<String> = about.map(str::to_owned).collect();
        let mut faults_done = BTreeMap::new();
        let mut failures = Vec::new();
        for sandbox in self.systems.all() {
            for (name, n) in sandbox.faults().counts() {
                *faults_done.entry(name.to_owned()).or_default() += n;
            }
            failures.extend(sandbox.broken().into_iter().map(|b| format!("{}: {b}", sandbox.title())));
        }
        failures.truncate(20);
        Ok(Outcome {
            seed: self.ask.seed,
            faults: self.ask.faults,
            converged,
            counts: Counts::of(&self.traffic, reports, &in_review),
            in_review: status.reviews_open,
            echo_writes_after_convergence: echoes,
            unaccounted_changes: status.unaccounted,
            latency_ms: self.latency(reports),
            wall_s: self.began.elapsed().as_secs_f64(),
            peak_rss_mb: self.hub.peak_mib(),
            kills: self.hub.kills,
            faults_done,
            emulator_failures: failures,
        })
    }

    /// From placing an order to its being made in the ERP, which says when that was.
    fn latency(&self, reports: &Reports) -> Latency {
        let mut all = Vec::new();
        for order in reports.erp["orders"].as_array().into_iter().flatten() {
            let placed = order["reference"].as_str().and_then(|n| self.traffic.placed.get(n));
            let made = order["created"].as_str().and_then(|t| t.parse::<Timestamp>().ok());
            if let (Some(placed), Some(made)) = (placed, made) {
                let span = made.duration_since(placed.at).unsigned_abs();
                all.push(u64::try_from(self.clock.real(span).as_millis()).unwrap_or(u64::MAX));
            }
        }
        Latency::of(all)
    }
}

/// What the hub still has to do by itself.
fn under_way(status: &Status) -> u64 {
    let open = ["ready", "unknown", "blocked"];
    let deliveries: u64 = open.iter().filter_map(|s| status.deliveries.get(*s)).sum();
    // What belongs to an order that waits for a person waits with it.
    let waits = status.deliveries.get("in_review").is_some_and(|n| *n > 0);
    deliveries + if waits { 0 } else { status.inbox.get("pending").copied().unwrap_or(0) }
}
