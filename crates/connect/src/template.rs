//! `{setting}` in an endpoint or a constant header. Anything more is a program's work.

use serde_json::Value;

use crate::path::text_of;

/// Names that a template stands for.
pub fn names(template: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        found.push(name.to_owned());
        rest = after;
    }
    found
}

/// Fills a template in from settings; an absent one leaves nothing.
pub fn fill(template: &str, settings: &Value) -> String {
    let mut text = template.to_owned();
    for name in names(template) {
        let value = settings.get(&name).and_then(text_of).unwrap_or_default();
        text = text.replace(&format!("{{{name}}}"), &value);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn settings_are_filled_in() {
        let settings = json!({ "database": "main", "n": 3 });
        assert_eq!(super::fill("/{database}/rpc/{n}{x}", &settings), "/main/rpc/3");
        assert_eq!(super::fill("/plain{", &settings), "/plain{");
    }
}
