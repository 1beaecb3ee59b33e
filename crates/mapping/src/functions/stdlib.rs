//! Which part of VRL's library programs can call, and why the rest is kept from them.
//!
//! Never: lets through what reads a file, the environment, the network, the clock or chance, or what writes a log.

use vrl::compiler::Function;

/// Functions of VRL's library that programs can call, by name.
pub const ALLOWED: &[&str] = &[
    "abs",
    "append",
    "array",
    "bool",
    "camelcase",
    "ceil",
    "chunks",
    "compact",
    "contains",
    "contains_all",
    "decode_base16",
    "decode_base64",
    "decode_percent",
    "del",
    "downcase",
    "encode_base16",
    "encode_base64",
    "encode_csv",
    "encode_json",
    "encode_percent",
    "ends_with",
    "exists",
    "filter",
    "find",
    "flatten",
    "floor",
    "for_each",
    "format_int",
    "from_entries",
    "get",
    "includes",
    "int",
    "is_array",
    "is_boolean",
    "is_empty",
    "is_float",
    "is_integer",
    "is_json",
    "is_null",
    "is_nullish",
    "is_object",
    "is_string",
    "join",
    "kebabcase",
    "keys",
    "length",
    "map_keys",
    "map_values",
    "match",
    "match_any",
    "match_array",
    "merge",
    "mod",
    "object",
    "object_from_array",
    "parse_csv",
    "parse_int",
    "parse_key_value",
    "parse_query_string",
    "parse_regex",
    "parse_regex_all",
    "parse_tokens",
    "parse_url",
    "pascalcase",
    "pop",
    "push",
    "range",
    "remove",
    "replace",
    "replace_with",
    "round",
    "screamingsnakecase",
    "set",
    "slice",
    "snakecase",
    "split",
    "starts_with",
    "string",
    "strip_whitespace",
    "strlen",
    "tally",
    "tally_value",
    "to_bool",
    "to_entries",
    "to_int",
    "to_string",
    "truncate",
    "unflatten",
    "unique",
    "unnest",
    "upcase",
    "values",
    "zip",
];

/// Functions kept from programs although VRL's documentation has them, by group: the reason, what to do, the names.
const REFUSED: &[(&str, &str, &[&str])] = &[
    ("a program has no clock", "use `%now`", &["now"]),
    (
        "a program gives the same result every time, so it has no chance in it",
        "make ids out of the datum's own",
        &["random_bool", "random_bytes", "random_float", "random_int", "uuid_v4", "uuid_v7"],
    ),
    (
        "a program reads nothing but its input",
        "put the value into the connection's settings and use `%settings`",
        &["get_env_var", "get_hostname", "get_timezone_name", "get_secret", "set_secret", "remove_secret"],
    ),
    (
        "a program does no input or output",
        "declare a step or a fetch in the connector's manifest",
        &[
            "dns_lookup",
            "reverse_dns",
            "http_request",
            "parse_groks",
            "parse_grok",
            "parse_proto",
            "encode_proto",
            "validate_json_schema",
        ],
    ),
    (
        "what a program sees may be personal, so it writes no log",
        "try the mapping on a sample to see what it makes of it",
        &["log"],
    ),
    (
        "its message could carry a datum into a log",
        "use `reject` with a plain text",
        &["assert", "assert_eq"],
    ),
    (
        "floating-point numbers lose cents",
        "keep the decimal string and use the `decimal_*` and `money_*` functions",
        &["to_float", "parse_float", "float", "format_number"],
    ),
    (
        "its numbers would be floating-point",
        "bodies are read before the program runs; declare the field as JSON in the manifest",
        &["parse_json", "parse_yaml", "parse_cbor", "parse_xml"],
    ),
    (
        "VRL's timestamps are read and written with other rules than canonical payloads have",
        "use `date_to_utc`, `date_parse`, `date_format` and `date_from_unix`",
        &[
            "parse_timestamp",
            "format_timestamp",
            "to_unix_timestamp",
            "from_unix_timestamp",
            "timestamp",
            "to_timestamp",
            "parse_duration",
            "is_timestamp",
        ],
    ),
    (
        "its output can be far larger than its input",
        "decompress before the hub",
        &["decode_gzip", "decode_zlib", "decode_zstd", "decode_snappy", "decode_lz4"],
    ),
    (
        "the hub signs and encrypts, with keys that no program sees",
        "declare the signature scheme in the connector's manifest",
        &[
            "hmac",
            "encrypt",
            "decrypt",
            "encrypt_ip",
            "decrypt_ip",
            "md5",
            "sha1",
            "sha2",
            "sha3",
            "crc",
            "seahash",
            "xxhash",
        ],
    ),
];

/// The allowed functions.
pub(super) fn allowed() -> impl Iterator<Item = Box<dyn Function>> {
    vrl::stdlib::all().into_iter().filter(|function| ALLOWED.contains(&function.identifier()))
}

/// Why a function is kept from programs, and what to do; `None` for one that is simply not known.
pub(crate) fn refusal(name: &str) -> Option<(&'static str, &'static str)> {
    let known =
        REFUSED.iter().find(|(_, _, names)| names.contains(&name)).map(|(why, help, _)| (*why, *help));
    let other = || {
        let exists = vrl::stdlib::all().iter().any(|function| function.identifier() == name);
        exists.then_some((
            "it is of no use for mappings",
            "see the reference page of functions for what there is",
        ))
    };
    if ALLOWED.contains(&name) { None } else { known.or_else(other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allowed_name_exists_and_none_is_refused() {
        assert!(ALLOWED.is_sorted(), "keep the list sorted");
        let there: Vec<_> = allowed().map(|function| function.identifier()).collect();
        let gone: Vec<_> = ALLOWED.iter().filter(|name| !there.contains(name)).collect();
        assert_eq!(gone, Vec::<&&str>::new(), "not in VRL's library");
        for (_, _, names) in REFUSED {
            for name in *names {
                assert!(!ALLOWED.contains(name) && refusal(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn nothing_impure_is_let_through() {
        // `del`, `for_each` and the like change the program's own input or variables, nothing else.
        let impure: Vec<_> = allowed().filter(|f| !f.pure()).map(|f| f.identifier()).collect();
        assert_eq!(impure, ["del"]);
    }
}
