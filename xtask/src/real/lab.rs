//! Everything that runs in one round: database server, shop, shop's worker, ERP, hub, and the doors between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};

use super::erp::{self, Erp};
use super::gate::{Gate, Mode};
use super::http::Http;
use super::hub::{Hub, MEMORY_LIMIT_MIB, Places};
use super::install::{self, Installed};
use super::postgres::Cluster;
use super::process::Service;
use super::shop::{self, Shop, Webhook};
use super::{ports, random_hex};
use crate::say;

/// Rounds whose logs are kept.
const KEPT_ROUNDS: usize = 10;
/// How long a server may take to answer first, on a machine that builds at the same time.
const START: Duration = Duration::from_secs(120);

/// A running lab. Dropping it stops everything; the hub first, the database server last.
pub struct Lab {
    hub: Option<Hub>,
    /// Between shop and hub: webhooks.
    pub webhooks: Gate,
    /// Between hub and ERP.
    pub erp_door: Gate,
    /// Between hub and the shop's API.
    pub shop_door: Gate,
    /// The shop.
    pub shop: Shop,
    /// The ERP.
    pub erp: Erp,
    /// Key that webhooks are signed with.
    pub webhook_secret: String,
    /// Where the hub listens, or would.
    pub hub_port: u16,
    /// Where everything logs to.
    pub logs: PathBuf,
    hub_folder: PathBuf,
    shop_server: Service,
    shop_worker: Service,
    erp_server: Service,
    cluster: Cluster,
}

impl Lab {
    /// Starts everything but the hub, from fresh databases.
    pub fn start(folder: &Path, installed: &Installed, program: Option<&Path>) -> Result<Self> {
        let round = new_round(folder)?;
        let logs = round.join("logs");
        let hub_folder = round.join("hub");
        fs::create_dir_all(&logs)?;
        fs::create_dir_all(&hub_folder)?;
        install::copy(&installed.secrets(), &hub_folder.join("secrets"))?;
        let secrets = hub_folder.join("secrets");
        let webhook_secret = random_hex(24);
        fs::write(secrets.join("webhook"), &webhook_secret)?;
        fs::write(secrets.join("hub-key"), random_hex(32))?;
        fs::write(secrets.join("hub-token"), random_hex(24))?;

        let work = install::temporary("lab")?;
        install::copy(&installed.cluster(), &work.join("pg"))?;
        shop::lay_out(&work.join("shop"), installed)?;

        let mut ports = ports::pick(7)?;
        let (erp_listener, shop_listener, webhook_listener) =
            (ports.listener(), ports.listener(), ports.listener());
        let (hub, shop, erp, database) = (ports.take(), ports.take(), ports.take(), ports.take());
        let webhooks = Gate::open(webhook_listener, hub)?;
        let erp_door = Gate::open(erp_listener, erp)?;
        let shop_door = Gate::open(shop_listener, shop)?;

        let cluster = Cluster::start(&work.join("pg"), database, &logs)?;
        let mut erp_server = erp::server(&work.join("erp"), installed, database, erp, &logs)?;
        let webhook = Webhook { port: webhooks.port, secret: webhook_secret.clone() };
        let [mut shop_server, mut shop_worker] =
            shop::services(&work.join("shop"), database, shop, &secrets, &webhook, &logs)?;
        for service in [&mut erp_server, &mut shop_server, &mut shop_worker] {
            service.start()?;
        }
        let http = Rc::new(Http::new()?);
        let mut lab = Self {
            hub: None,
            erp: Erp::new(Rc::clone(&http), erp, &secrets)?,
            shop: Shop::new(Rc::clone(&http), &work.join("shop"), shop, &secrets, &logs)?,
            webhooks,
            erp_door,
            shop_door,
            webhook_secret,
            hub_port: hub,
            logs,
            hub_folder,
            shop_server,
            shop_worker,
            erp_server,
            cluster,
        };
        lab.erp.log_in(START)?;
        lab.shop.log_in(START)?;
        if let Some(program) = program {
            let places =
                Places { hub, shop: lab.shop_door.port, erp: lab.erp_door.port, guest: lab.erp.guest()? };
            lab.hub = Some(Hub::new(http, program, &lab.hub_folder, places, &lab.logs));
            lab.hub()?.configure("live")?;
        }
        Ok(lab)
    }

    /// The hub.
    pub fn hub(&mut self) -> Result<&mut Hub> {
        self.hub.as_mut().context("this run has no hub")
    }

    /// Opens every door and has the hub run with every flow live, whatever the scenario before left behind.
    pub fn orderly(&mut self) -> Result<()> {
        for door in [&self.webhooks, &self.erp_door, &self.shop_door] {
            door.set(Mode::Open);
        }
        match &mut self.hub {
            Some(hub) => hub.start(),
            None => Ok(()),
        }
    }

    /// Stops the hub and starts it with the flow of orders in another state.
    pub fn restart_with_orders(&mut self, state: &str) -> Result<()> {
        let hub = self.hub()?;
        hub.stop();
        hub.configure(state)?;
        hub.start()
    }

    /// Fails when something has died by itself, or the hub takes more memory than it may.
    pub fn alive(&mut self) -> Result<()> {
        self.cluster.alive()?;
        for service in [&mut self.erp_server, &mut self.shop_server, &mut self.shop_worker] {
            service.alive()?;
        }
        if let Some(hub) = &mut self.hub {
            hub.alive()?;
            let peak = hub.peak_mib();
            ensure!(
                peak < MEMORY_LIMIT_MIB,
                "the hub held {peak} MiB; it must stay below {MEMORY_LIMIT_MIB}"
            );
        }
        Ok(())
    }

    /// Shows the end of the hub's log.
    pub fn show_last_words(&self) {
        if let Some(hub) = &self.hub {
            say(format!(
                "the end of the hub's log ({}):\n{}",
                self.logs.join("hub.log").display(),
                hub.log_tail(25)
            ));
        }
    }

    /// Says where everything is, and waits to be interrupted.
    pub fn wait_for_interrupt(&self) {
        say(format!(
            "left running until Ctrl-C: {}; the hub's folder is {}",
            self.shop.describe(),
            self.hub_folder.display()
        ));
        loop {
            std::thread::park();
        }
    }
}

/// Makes the folder of a round, and removes those of long ago.
fn new_round(folder: &Path) -> Result<PathBuf> {
    let rounds = folder.join("rounds");
    fs::create_dir_all(&rounds)?;
    let mut old: Vec<_> = fs::read_dir(&rounds)?.flatten().map(|entry| entry.path()).collect();
    old.sort();
    for path in old.iter().take(old.len().saturating_sub(KEPT_ROUNDS - 1)) {
        let _ = fs::remove_dir_all(path);
    }
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let round = rounds.join(format!("{seconds}-{}", random_hex(2)));
    fs::create_dir_all(&round)?;
    install::private(&round)?;
    Ok(round)
}
