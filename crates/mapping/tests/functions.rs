//! Our functions, by table: a call, and what it gives or why it fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use counterpart_mapping::functions::documentation;
use counterpart_mapping::program::{Expect, Source, compile};
use serde_json::{Value, json};

fn run(text: &str) -> Result<Value, String> {
    let metadata =
        json!({ "maps": { "tax": { "DE19": "7", "true": "yes" } }, "now": "2026-03-01T12:00:00Z" });
    let input = json!({ "qty": 3, "price": "13.75", "name": "Ada Lovelace", "none": null, "lines": [{ "t": "1.10" }, { "t": 2 }] });
    let program = compile(Source { file: "t.vrl", text }, Expect::Any).unwrap_or_else(|problems| {
        panic!("{text}: {}", problems.iter().map(ToString::to_string).collect::<String>())
    });
    let result = program.run(&input, &metadata).map_err(|e| e.message.into_string());
    if let Err(message) = &result {
        assert!(!message.contains("Ada") && !message.contains("13.75"), "a datum in a message: {message}");
    }
    result
}

fn gives(call: &str, expect: Value) {
    assert_eq!(run(call), Ok(expect), "{call}");
}

fn fails(call: &str, expect: &str) {
    assert_eq!(run(call), Err(expect.to_owned()), "{call}");
}

#[test]
fn every_example_gives_what_it_says() {
    for doc in documentation() {
        let expect: Value = serde_json::from_str(doc.gives).unwrap();
        gives(doc.example, expect);
        assert!(doc.example.contains(doc.name), "{} shows another function", doc.name);
        assert!(
            doc.usage.ends_with('.') && doc.parameters.iter().all(|(_, _, text)| text.ends_with('.')),
            "{}",
            doc.name
        );
    }
}

#[test]
fn decimals() {
    gives("decimal_add!(.price, .qty)", json!("16.75"));
    gives(r#"decimal_sub!("1", "1.00")"#, json!("0.00"));
    gives(r#"decimal_neg!("0")"#, json!("0"));
    gives(r#"decimal_mul!("-1.5", "0.10")"#, json!("-0.150"));
    gives(r#"decimal_div!("-10", "4", 0)"#, json!("-3"));
    gives(r#"decimal_div!("10", "4", 0, "half_even")"#, json!("2"));
    gives(r#"decimal_round!("2.5", 0, mode: "down")"#, json!("2"));
    gives("decimal_sum!([])", json!("0"));
    gives("decimal_sum(.lines[0]) ?? \"no\"", json!("no"));
    gives(r#"decimal_cmp!("10", "9.99")"#, json!(1));
    gives(r#"decimal!("+1.0")"#, json!("1.0"));
    gives("decimal_add(.name, 1) ?? \"0\"", json!("0"));
    fails(
        "decimal_add!(.name, 1)",
        "decimal_add: `a`: expected a decimal number such as \"12.50\", got another text",
    );
    fails(
        "decimal_add!(1, .none)",
        "decimal_add: `b`: expected a decimal number such as \"12.50\", got null",
    );
    fails(
        "decimal_add!(1, .absent)",
        "decimal_add: `b`: expected a decimal number such as \"12.50\", got null",
    );
    fails(
        r#"decimal!("1e5")"#,
        "decimal: `value`: expected a decimal number such as \"12.50\", got another text",
    );
    fails(
        r#"decimal!("1_000")"#,
        "decimal: `value`: expected a decimal number such as \"12.50\", got another text",
    );
    fails(
        r#"decimal!("")"#,
        "decimal: `value`: expected a decimal number such as \"12.50\", got an empty text",
    );
    fails(r#"decimal_div!("1", "0.0", 2)"#, "decimal_div: `b`: division by zero");
    fails(r#"decimal_round!("1", 29)"#, "decimal_round: `scale`: expected 0 to 28 decimal places");
    fails(
        r#"decimal_sum!(["1", "x"])"#,
        "decimal_sum: `values`: entry 1 is no decimal number such as \"12.50\"",
    );
    fails(
        r#"decimal_mul!("9999999999999999999", "9999999999999999999.5")"#,
        "decimal_mul: the result has more digits than can be kept exactly (28): round first",
    );
}

#[test]
fn money() {
    let eur = |amount: &str| json!({ "amount": amount, "currency": "EUR" });
    gives(r#"money!(.qty, "EUR")"#, eur("3.00"));
    gives(r#"money!("0.123", "EUR")"#, eur("0.123"));
    gives(r#"money!("-0", "EUR")"#, eur("0.00"));
    gives(r#"money!("500", "JPY")"#, json!({ "amount": "500", "currency": "JPY" }));
    gives(
        r#"amount!("1", "EUR", "1.1", "USD")"#,
        json!({ "shop": eur("1.00"), "presentment": { "amount": "1.10", "currency": "USD" } }),
    );
    gives(r#"money_from_minor!("-5", "KWD")"#, json!("-0.005"));
    gives(r#"money_from_minor!(500, "JPY")"#, json!("500"));
    gives(r#"money_to_minor!(money!("1.5", "EUR"))"#, json!(150));
    gives(r#"money_to_minor!("1.500", "EUR")"#, json!(150));
    gives(r#"money_sub!(money!("1", "EUR"), money!("3", "EUR"))"#, eur("-2.00"));
    gives(r#"money_mul!("1.05", "1.5")"#, json!("1.575"));
    gives(r#"money_div!("1", 3, 4)"#, json!("0.3333"));
    gives(r#"money_round!(money!("2.345", "EUR"))"#, eur("2.35"));
    gives(r#"money_sum!([], "EUR")"#, eur("0.00"));
    gives(r#"money_sum!(["1", 2])"#, json!("3"));
    gives(r#"money_sum!(["1", money!("2", "EUR")], "EUR")"#, eur("3.00"));
    gives(
        r#"money_allocate!(money!("-10", "EUR"), [1, 1, 1])"#,
        json!([eur("-3.33"), eur("-3.33"), eur("-3.34")]),
    );
    gives(r#"money_allocate!("1", ["0.5", 0], "JPY")"#, json!(["1", "0"]));
    fails(
        r#"money!(1, "EURO")"#,
        "money: `currency`: expected an ISO 4217 code such as EUR, got another text",
    );
    fails(r#"money!(1, .none)"#, "money: `currency`: expected an ISO 4217 code such as EUR, got null");
    fails(
        r#"money_add!(money!(1, "EUR"), money!(1, "USD"))"#,
        "money_add: cannot combine EUR with USD: convert one of them at a stated rate first",
    );
    fails(
        r#"money_add!(money!(1, "EUR"), "1")"#,
        "money_add: one operand has a currency and the other has none: use money() on it",
    );
    fails(
        r#"money_add!({"amount": 1}, "1")"#,
        "money_add: `a`: expected money such as {\"amount\": \"12.50\", \"currency\": \"EUR\"}, or a decimal number, got an object",
    );
    fails(
        r#"money_to_minor!("1.005", "EUR")"#,
        "money_to_minor: the amount is finer than the minor unit of EUR: round it first",
    );
    fails(r#"money_sum!([])"#, "money_sum: `currency`: an empty list has no currency: state it");
    fails(
        r#"money_allocate!("1", [0], "EUR")"#,
        "money_allocate: cannot allocate by these weights: they must not be negative and one at least must be above zero",
    );
}

#[test]
fn dates() {
    let check = |call: &str, expect: &str| gives(call, json!(expect));
    check(r#"date_to_utc!("2026-03-01T10:30:00+01:00")"#, "2026-03-01T09:30:00Z");
    check(r#"date_to_utc!("2026-03-01T09:30:00.250Z")"#, "2026-03-01T09:30:00.25Z");
    check(r#"date_to_utc!("2026-03-01T09:30:00.000+0000")"#, "2026-03-01T09:30:00Z");
    check(r#"date_to_utc!("2026-03-01 09:30:00", "UTC")"#, "2026-03-01T09:30:00Z");
    check(r#"date_to_utc!("2026-07-01", "Europe/Berlin")"#, "2026-06-30T22:00:00Z");
    check("date_to_utc!(%now)", "2026-03-01T12:00:00Z");
    check(r#"date_parse!("3/1/2026 9:30 PM -0500", "%m/%d/%Y %I:%M %p %z")"#, "2026-03-02T02:30:00Z");
    check(r#"date_format!("2026-03-01", "%d %b %Y", "UTC")"#, "01 Mar 2026");
    check(r#"date_from_unix!("1772357400000", "milliseconds")"#, "2026-03-01T09:30:00Z");
    fails(
        r#"date_to_utc!(.name)"#,
        "date_to_utc: `value`: expected a date such as 2026-03-01T09:30:00Z, got another text",
    );
    fails(
        r#"date_to_utc!("2026-03-01 09:30:00")"#,
        "date_to_utc: `zone`: the date has no offset from UTC: state its zone, such as Europe/Berlin",
    );
    fails(
        r#"date_to_utc!("2026-03-01 09:30:00", "Mars/Base")"#,
        "date_to_utc: `zone`: expected an IANA name of a time zone, such as Europe/Berlin",
    );
    fails(
        r#"date_parse!("x", "%d.%m.%Y")"#,
        "date_parse: `value`: expected a date in the stated format, got another text",
    );
    fails(
        "date_from_unix!(9000000000000000)",
        "date_from_unix: `value`: outside of the years that there are",
    );
}

#[test]
fn parties() {
    gives(r#"phone_e164!("+49 (0)30 901820")"#, json!("+4930901820"));
    gives(r#"phone_e164!("030/901820", "Germany")"#, json!("+4930901820"));
    fails(
        r#"phone_e164!(.name)"#,
        "phone_e164: `value`: expected a phone number that is valid in its country, got another text",
    );
    fails(
        r#"phone_e164!("030 901820", "Atlantis")"#,
        "phone_e164: `country`: expected a country, got another text",
    );
    gives(r#"country_code!("usa")"#, json!("US"));
    fails(
        r#"country_code!(.name)"#,
        "country_code: `value`: expected a country's name or ISO 3166-1 code, got another text",
    );
    gives(r#"address_lines!("1 Main Street\r\n\n Floor 2 ")"#, json!(["1 Main Street", "Floor 2"]));
    gives("address_lines!(null)", json!([]));
    gives(r#"address_join!(["a", null, "b"], "\n")"#, json!("a\nb"));
    gives(r#"address_split!("Postfach")"#, json!({ "street": "Postfach", "house_number": null }));
}

#[test]
fn reference_maps() {
    gives(r#"map_code!("tax", "DE19")"#, json!("7"));
    gives(r#"map_code!("tax", true)"#, json!("yes"));
    gives(r#"map_code("tax", "XX") ?? null"#, json!(null));
    gives(r#"map_code_or!("nomap", .none, 5)"#, json!(5));
    gives("%maps.tax.DE19", json!("7"));
    fails(r#"map_code!("tax", "XX")"#, "the reference map `tax` has no entry for `XX`");
    fails(r#"map_code!("tax", .none)"#, "map_code: `code`: expected a code, got null");
}
