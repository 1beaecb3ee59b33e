//! Makes the folder of a new connector: everything a folder needs, failing its conformance test until it is filled.

use std::fs;

use anyhow::{Result, bail};

use crate::{root, say};

/// Makes the folder of a new connector.
#[derive(clap::Args)]
pub struct Args {
    /// Its name: lower-case letters, digits and dashes.
    name: String,
    /// How it is spoken to.
    #[arg(long, value_parser = ["rest", "graphql", "json-rpc"], default_value = "rest")]
    driver: String,
}

/// Writes the folder, never over an existing one.
pub fn run(args: &Args) -> Result<()> {
    let name = &args.name;
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if name.is_empty() || !plain {
        bail!("`{name}`: use lower-case letters, digits and dashes");
    }
    let folder = root().join("connectors").join(name);
    if folder.exists() {
        bail!("connectors/{name} is there already");
    }
    fs::create_dir_all(folder.join("samples"))?;
    let manifest = MANIFEST.replace("{name}", name).replace("{driver}", &args.driver);
    fs::write(folder.join("connector.toml"), manifest)?;
    fs::write(folder.join("health.vrl"), HEALTH)?;
    fs::write(folder.join("README.md"), README.replace("{name}", name))?;
    say(format!("made connectors/{name}; CONTRIBUTING.md, \"Add a connector\", says what comes next"));
    Ok(())
}

const MANIFEST: &str = r#"[connector]
name = "{name}"
title = "{name}"
driver = "{driver}"
roles = ["store"]
api_version = "1"

[secrets.token]
help = "Where to make the token, and which permissions it needs."

[auth]
scheme = "bearer"
secret = "token"

[health]
request = "health.vrl"
expect = ".status == 200"
"#;

const HEALTH: &str =
    "# The cheapest request that proves address and credentials.\n{ \"method\": \"GET\", \"path\": \"/\" }\n";

const README: &str = "# {name}\n\nWhat it covers, permissions needed, set-up of the other side step by step, limits and traps, sources.\n";
