//! JSON to the programs' values and back. A number that is no whole one is a decimal there, never a float.

use rhai::{Array, Dynamic, Map};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Number, Value};

/// The program's value of a JSON value.
pub fn to_script(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => match n.as_i64() {
            Some(whole) => whole.into(),
            None => n
                .to_string()
                .parse::<Decimal>()
                .or_else(|_| Decimal::from_scientific(&n.to_string()))
                .map_or(Dynamic::UNIT, Dynamic::from_decimal),
        },
        Value::String(text) => text.clone().into(),
        Value::Array(all) => Dynamic::from_array(all.iter().map(to_script).collect::<Array>()),
        Value::Object(all) => {
            Dynamic::from_map(all.iter().map(|(k, v)| (k.as_str().into(), to_script(v))).collect::<Map>())
        }
    }
}

/// The JSON value of a program's value. Functions and other things without one become null.
pub fn to_json(value: &Dynamic) -> Value {
    // What a closure captured is shared.
    if value.is_shared() {
        return to_json(&value.flatten_clone());
    }
    if let Ok(b) = value.as_bool() {
        return Value::Bool(b);
    }
    if let Ok(whole) = value.as_int() {
        return Value::Number(whole.into());
    }
    if let Ok(decimal) = value.as_decimal() {
        return number(decimal);
    }
    if let Some(text) = value.read_lock::<rhai::ImmutableString>() {
        return Value::String(text.to_string());
    }
    if let Some(all) = value.read_lock::<Array>() {
        return Value::Array(all.iter().map(to_json).collect());
    }
    if let Some(all) = value.read_lock::<Map>() {
        return Value::Object(all.iter().map(|(k, v)| (k.to_string(), to_json(v))).collect());
    }
    if let Ok(c) = value.as_char() {
        return Value::String(c.to_string());
    }
    Value::Null
}

fn number(decimal: Decimal) -> Value {
    let decimal = decimal.normalize();
    if let Some(whole) = decimal.is_integer().then(|| decimal.to_i64()).flatten() {
        return Value::Number(whole.into());
    }
    decimal.to_f64().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn values_come_back_as_they_were() {
        let value = json!({"a": [1, 14.37, "x", null, true], "b": {"c": 0.1, "d": -3}});
        assert_eq!(to_json(&to_script(&value)), value);
    }
}
