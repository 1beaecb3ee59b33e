//! Reads a published contract: JSON or YAML, packed or not.
//!
//! Never: writes; looks outside the folder that it is given.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use serde_json::Value;

/// Reads a file below the folder of contracts, by the endings of its name.
pub fn read(folder: &Path, name: &str) -> Result<Value> {
    if Path::new(name).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
        bail!("`{name}` is no path below the folder of contracts");
    }
    let shown = || format!("cannot read the contract {name}");
    let mut bytes = fs::read(folder.join(name)).with_context(shown)?;
    let plain = match name.strip_suffix(".gz") {
        Some(plain) => {
            let packed = std::mem::take(&mut bytes);
            GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).with_context(shown)?;
            plain
        }
        None => name,
    };
    if plain.ends_with(".yaml") || plain.ends_with(".yml") {
        serde_yaml_ng::from_slice(&bytes).with_context(shown)
    } else {
        serde_json::from_slice(&bytes).with_context(shown)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;

    #[test]
    fn json_yaml_and_packed_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        put("a.json", br#"{"a": {"200": 1}}"#);
        put("a.yaml", b"a:\n 200: 1\n");
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(br#"{"a": {"200": 1}}"#).unwrap();
        put("a.json.gz", &packed.finish().unwrap());
        for name in ["a.json", "a.yaml", "a.json.gz"] {
            assert_eq!(super::read(folder.path(), name).unwrap(), json!({"a": {"200": 1}}), "{name}");
        }
        assert!(super::read(folder.path(), "../a.json").is_err());
        assert!(super::read(folder.path(), "none.json").is_err());
    }
}
