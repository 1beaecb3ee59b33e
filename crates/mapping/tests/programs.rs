//! Programs: what compiles, what runs, and what is said when not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use counterpart_mapping::functions::ALLOWED;
use counterpart_mapping::program::{Expect, MAX_NESTING, Program, RunErrorKind, Source, compile};
use serde_json::{Value, json};

fn program(text: &str, expect: Expect) -> Program {
    let told =
        |problems: Vec<_>| problems.iter().map(ToString::to_string).collect::<Vec<String>>().join("\n");
    compile(Source { file: "order.read.vrl", text }, expect)
        .unwrap_or_else(|p: Vec<_>| panic!("{text}\n{}", told(p)))
}

/// Everything that is said about a text that does not compile.
fn refused(text: &str, expect: Expect) -> String {
    let Err(problems) = compile(Source { file: "order.read.vrl", text }, expect) else {
        panic!("compiles: {:.200}", text)
    };
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

const ORDER: &str = r#"
lines = map_values(array!(.lines)) -> |line| {
    {
        "id": to_string!(line.id),
        "item": {"key": {"name": "sku", "value": line.sku}},
        "ordered": to_string!(line.quantity),
        "unit_price": amount!(line.price, .currency),
        "tax_lines": [{"code": map_code!("tax", line.tax), "amount": amount!(line.tax_amount, .currency)}],
    }
}
{"changes": [{
    "kind": "order",
    "type": "Order",
    "id": .id,
    "at": date_to_utc!(.updated_at),
    "label": .code,
    "payload": {
        "number": .code,
        "currency": .currency,
        "store": %settings.store,
        "lines": lines,
        "totals": {"total": amount!(.total, .currency)},
    },
}]}
"#;

fn order() -> Value {
    json!({
        "id": 17, "code": "W1001", "updated_at": "2026-03-01T10:30:00+01:00", "currency": "EUR", "total": "84.15",
        "lines": [{ "id": 1, "sku": "MOUSE-1", "quantity": 3, "price": "25.50", "tax": "DE10", "tax_amount": "7.65" }],
    })
}

fn metadata() -> Value {
    json!({ "settings": { "store": "main" }, "maps": { "tax": { "DE10": "4" } }, "now": "2026-03-01T12:00:00Z" })
}

#[test]
fn a_read_mapping_gives_canonical_changes() {
    let output = program(ORDER, Expect::Changes).run(&order(), &metadata()).unwrap();
    insta::assert_json_snapshot!(output);
}

#[test]
fn input_and_metadata_are_left_as_they_are() {
    let (input, metadata) = (order(), metadata());
    let text = ".lines = []\n.new = %settings\ndel(.id)\n.";
    let output = program(text, Expect::Object).run(&input, &metadata).unwrap();
    assert_eq!(output["lines"], json!([]));
    assert_eq!(output["new"], json!({ "store": "main" }));
    assert_eq!(output.get("id"), None);
    assert_eq!((input, metadata), (order(), self::metadata()));
}

#[test]
fn metadata_is_found_by_any_path() {
    let check = |text: &str, expect: Value| {
        assert_eq!(program(text, Expect::Any).run(&order(), &metadata()).unwrap(), expect, "{text}")
    };
    check("%now", json!("2026-03-01T12:00:00Z"));
    check("%settings", json!({ "store": "main" }));
    check("%settings.store", json!("main"));
    check("%settings.absent.deep", Value::Null);
    check("exists(%settings.store)", json!(true));
    check("exists(%settings.absent)", json!(false));
    check("%", metadata());
    check("get!(%maps, [\"tax\", \"DE10\"])", json!("4"));
    check("x = %maps.tax\nx.DE10", json!("4"));
    check("keys(object!(%maps.tax))", json!(["DE10"]));
}

#[test]
fn a_program_finds_everything_it_reads() {
    let input = json!({ "a": { "b": 1, "c": { "d": 2 } }, "list": [{ "x": 1, "y": 2 }], "name": "n" });
    let check = |text: &str, expect: Value| {
        assert_eq!(program(text, Expect::Any).run(&input, &json!({})).unwrap(), expect, "{text}");
    };
    check(".a.new = 3\n.a", json!({ "b": 1, "c": { "d": 2 }, "new": 3 }));
    check(".a = object!(.a)\n.a |= {\"e\": 5}\n.a.b", json!(1));
    check(". |= {\"e\": 5}\nlength(.)", json!(4));
    check(". = {\"e\": .name}\n.", json!({ "e": "n" }));
    check("x = del(.a.c)\n[x, .a]", json!([{ "d": 2 }, { "b": 1 }]));
    check("del(.a.c)\nkeys(object!(.))", json!(["a", "list", "name"]));
    check("x = {\"k\": .a.c}\nx.k.d", json!(2));
    check("get!(., [\"a\", \"b\"])", json!(1));
    check("for_each(array!(.list)) -> |_i, v| { .sum = v.x }\n.sum", json!(1));
    check("x, err = upcase(.name)\nif err == null { {\"n\": x}.n } else { .a }", json!("N"));
    check("name = string!(.name)\n\"{{ name }}!\"", json!("n!"));
    check("unnest!(.list)[0].name", json!("n"));
    check("object!(.a).c.d", json!(2));
    check("!exists(.a.z) && exists(.a.c.d)", json!(true));
    check("if .a.b == 1 { return .list }\n.name", json!([{ "x": 1, "y": 2 }]));
}

#[test]
fn a_path_alone_is_a_program() {
    let input = json!({ "body": { "list": [{ "a": 1 }, { "a": 2.5 }], ".odd key": true } });
    let check = |text: &str, expect: Value| {
        assert_eq!(program(text, Expect::Any).run(&input, &json!({})).unwrap(), expect, "{text}")
    };
    check(".body.list[0].a", json!(1));
    check(".body.list[-1].a", json!("2.5"));
    check(".body.list[-3].a", Value::Null);
    check(".body.\".odd key\"", json!(true));
    check(".absent.path", Value::Null);
    check(".", json!({ "body": { "list": [{ "a": 1 }, { "a": "2.5" }], ".odd key": true } }));
}

#[test]
fn programs_are_shared_between_threads_and_hashed() {
    fn check<T: Send + Sync + Clone + 'static>(_: &T) {}
    let first = program(".a", Expect::Any);
    check(&first);
    assert_eq!(first.hash().len(), 64);
    assert_eq!(first.hash(), program(".a", Expect::Bool).hash());
    assert_ne!(first.hash(), program(".b", Expect::Any).hash());
    let shared = first.clone();
    let out = std::thread::spawn(move || shared.run(&json!({ "a": 1 }), &json!({}))).join().unwrap();
    assert_eq!(out, Ok(json!(1)));
}

#[test]
fn what_does_not_compile_is_told_with_place_and_help() {
    let cases: &[(&str, &str)] = &[
        ("syntax", ".a = {\n  \"x\": 1\n  \"y\": 2\n}"),
        ("unfinished", ".a = upcase("),
        ("unhandled failure", "x = 1\ny = decimal_add(.a, .b)\ny"),
        ("unknown function", "decimal_ad!(.a, .b)"),
        ("wrong argument type", "money!(true, \"EUR\")"),
        ("missing argument", "money!(\"1\")"),
        ("unknown keyword", "money!(\"1\", iso: \"EUR\")"),
        ("undefined variable", "ü = 1\nline.price"),
        ("adding what cannot be added", "\"a\" + 1"),
        ("assigning to metadata", "%settings.store = \"x\"\n."),
        ("clock", ".x = 1\nnow()"),
        ("chance", "random_int(0, 10)"),
        ("environment", "get_env_var!(\"HOME\")"),
        ("network", "dns_lookup!(\"example.com\")"),
        ("log", "log(.email)"),
        ("float", "to_float!(.price)"),
        ("json text", "parse_json!(.text)"),
        ("of no use", "parse_aws_vpc_flow_log!(.x)"),
        ("computed abort", "abort \"bad \" + string!(.email)"),
        ("computed reject", "reject!(\"bad \" + string!(.email))"),
        ("template in reject", "x = \"a\"\nreject!(\"bad {{ x }}\")"),
    ];
    let told: String = cases
        .iter()
        .map(|(name, text)| format!("{name}\n  {}\n", refused(text, Expect::Any).replace('\n', "\n  ")))
        .collect();
    insta::assert_snapshot!(told);
}

#[test]
fn the_result_type_is_checked_as_far_as_it_is_known() {
    let cases: &[(&str, Expect)] = &[
        ("\"yes\"", Expect::Bool),
        ("if .a == 1 { true }", Expect::Bool),
        (".a = 1", Expect::Object),
        ("[]", Expect::Object),
        ("{}", Expect::Array),
        ("[]", Expect::Changes),
        ("{}", Expect::Changes),
        ("{\"changes\": {}}", Expect::Changes),
        ("{\"changes\": [], \"more\": 1}", Expect::Changes),
        ("{\"changes\": [{\"kind\": \"order\", \"id\": .id, \"lable\": .x}]}", Expect::Changes),
        ("\"/orders\"", Expect::Request),
        ("{\"methd\": \"GET\"}", Expect::Request),
        ("{\"method\": \"GET\", \"path\": \"/\", \"boddy\": {}}", Expect::Request),
    ];
    let told: String = cases
        .iter()
        .map(|(text, expect)| format!("{text}\n  {}\n", refused(text, *expect).replace('\n', "\n  ")))
        .collect();
    insta::assert_snapshot!(told);
    for (text, expect) in [
        (".a", Expect::Bool),
        (".a == 1", Expect::Bool),
        ("bool(.a) ?? false", Expect::Bool),
        (".", Expect::Object),
        (".a", Expect::Changes),
        ("{\"changes\": []}", Expect::Changes),
        (
            "{\"changes\": map_values(array!(.a)) -> |x| { {\"kind\": \"item\", \"type\": \"v\", \"id\": x.id, \"payload\": {}} }}",
            Expect::Changes,
        ),
        ("if .a == 1 { null } else { {\"method\": \"GET\", \"path\": \"/\"} }", Expect::Request),
        ("{\"query\": \"q.graphql\", \"variables\": {}}", Expect::Request),
        ("{\"method\": \"m\", \"params\": []}", Expect::Request),
        ("if .a == 1 { reject!(\"no\") }\n{\"path\": \"/\"}", Expect::Request),
        ("if .a == 1 { reject!(\"no\") } else { {\"path\": \"/\"} }", Expect::Request),
    ] {
        program(text, expect);
    }
}

#[test]
fn what_fails_in_a_run_is_told_with_place_and_path_and_without_the_datum() {
    let input = json!({ "email": "ada@example.com", "n": 5, "s": "text", "status": "Weird", "lines": [{ "qty": "Ada" }], "big": "12345" });
    let cases: &[(&str, &str)] = &[
        ("our function", "x = 1\n\ny = decimal_add!(.email, 1)\ny"),
        (
            "our function in a closure",
            "map_values(array!(.lines)) -> |line| {\n  decimal_add!(line.qty, 1)\n}",
        ),
        ("keyword argument", "decimal_add!(b: .email, a: 1)"),
        ("VRL's function", "to_int!(.email)"),
        ("VRL's function on a variable", "mail = .email\nparse_int!(mail)"),
        ("wrong type for VRL's function", "upcase!(.n)"),
        ("array wanted", "array!(.s)"),
        ("operator", "1 + .s ?? to_int!(.s)"),
        ("reference map", "map_code!(\"tax\", .status)"),
        ("rejected", "reject!(\"unknown status\", \".status\", code: .status)"),
        ("rejected with a datum for a code", "reject!(\"unknown status\", code: .email)"),
        ("aborted", "if .n == 5 {\n  abort \"five\"\n}"),
        ("float", "{\"a\": [{\"total\": 1.5}]}"),
        ("division", "{\"a\": 10 / 4}"),
    ];
    let mut told = String::new();
    for (name, text) in cases {
        let error = program(text, Expect::Any).run(&input, &json!({ "maps": {} })).unwrap_err();
        let message = format!("{error:?} {error}");
        assert!(
            !message.contains("ada@") && !message.contains("Ada") && !message.contains("12345"),
            "{message}"
        );
        told.push_str(&format!("{name}\n  {error}\n  {:?}\n", error.kind));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_missing_reference_is_typed() {
    let error = program(ORDER, Expect::Changes).run(&order(), &json!({})).unwrap_err();
    let expect = RunErrorKind::MissingReference { map: "tax".into(), code: "DE10".into() };
    assert_eq!(error.kind, expect);
    assert_eq!((error.line, error.column), (8, 32));
}

#[test]
fn a_result_of_the_wrong_type_is_told() {
    let run = |text: &str, expect| program(text, expect).run(&json!({ "a": "x" }), &json!({})).unwrap_err();
    let error = run(".a", Expect::Bool);
    assert_eq!(error.kind, RunErrorKind::WrongType);
    assert!(error.to_string().contains("gave a text, expected true or false"), "{error}");
    assert_eq!(run(".b", Expect::Object).kind, RunErrorKind::WrongType);
    assert_eq!(run(".a", Expect::Request).kind, RunErrorKind::WrongType);
}

#[test]
fn the_library_is_a_closed_list() {
    insta::assert_snapshot!(ALLOWED.join("\n"));
    for name in [
        "now",
        "get_env_var",
        "get_hostname",
        "dns_lookup",
        "reverse_dns",
        "http_request",
        "random_int",
        "uuid_v4",
        "uuid_v7",
        "log",
        "parse_groks",
        "sha2",
    ] {
        let told = refused(&format!("{name}()"), Expect::Any);
        assert!(told.starts_with(&format!("order.read.vrl:1:1: `{name}` cannot be called: ")), "{told}");
    }
}

#[test]
fn a_program_beyond_the_budget_is_refused_before_it_runs() {
    let nested = |depth: usize, body: &str| {
        (0..depth).fold(body.to_owned(), |inner, n| {
            format!("for_each(array!(.l{n})) -> |_i{n}, v{n}| {{ {inner} }}")
        })
    };
    program(&nested(4, "x = 1"), Expect::Any);
    let told = refused(&nested(6, "x = 1"), Expect::Any);
    assert!(told.contains("operation budget is exceeded"), "{told}");
    let parens = format!("{}1{}", "(".repeat(MAX_NESTING), ")".repeat(MAX_NESTING));
    program(&parens, Expect::Any);
    let cases = [
        (format!("({parens})"), "nested deeper than"),
        (format!("x = 1{}", " + 1".repeat(5000)), "operators or branches in one statement"),
        (format!("x = 1{}", "\n  + 1".repeat(5000)), "operators or branches in one statement"),
        (format!("x = {}true", "!".repeat(5000)), "operators or branches in one statement"),
        (format!("x = .{}a", "a.".repeat(5000)), "operators or branches in one statement"),
        (
            format!("if .a == 0 {{ 1 }}{}", " else if .a == 1 { 1 }".repeat(500)),
            "operators or branches in one statement",
        ),
        (" ".repeat(300 * 1024), "longer than 256 KiB"),
    ];
    for (text, expect) in cases {
        let told = refused(&text, Expect::Any);
        assert!(told.contains(expect), "{told}");
    }
    // What only looks deep: many statements, brackets in texts and comments.
    program(&format!("{}.", "x = {\"a\": [1, 2]}\n".repeat(2000)), Expect::Any);
    program(&format!("x = \"{}\" # {}\n.", "(".repeat(500), "[".repeat(500)), Expect::Any);
    program(&format!("x = 1{}", " + 1".repeat(120)), Expect::Any).run(&json!({}), &json!({})).unwrap();
}

#[test]
fn an_order_of_ten_thousand_lines_still_runs_and_a_square_of_it_does_not() {
    let mut order = order();
    let line = order["lines"][0].clone();
    order["lines"] = Value::Array(vec![line; 10_000]);
    let output = program(ORDER, Expect::Changes).run(&order, &metadata()).unwrap();
    assert_eq!(output["changes"][0]["payload"]["lines"].as_array().unwrap().len(), 10_000);

    let square = "n = 0\nfor_each(range(0, 10000) ?? []) -> |_i, _a| { for_each(range(0, 10000) ?? []) -> |_j, _b| { n = n + 1 } }\nn";
    let error = program(square, Expect::Any).run(&json!({}), &json!({})).unwrap_err();
    assert_eq!(error.kind, RunErrorKind::Budget);
}
