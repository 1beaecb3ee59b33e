//! Brings values that mean the same into one form, so that equal things compare equal.
//!
//! Never: guesses; what cannot be read stays what it is.

/// An e-mail address in comparable form: trimmed, lower case. Dots and tags in the local part are kept: only some
/// providers ignore them.
pub fn email(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (local, domain) = text.rsplit_once('@')?;
    let sound = !local.is_empty()
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !text.chars().any(char::is_whitespace);
    sound.then_some(text)
}

/// A telephone number in E.164 form; `country` is an ISO code for numbers without a country prefix.
pub fn phone(text: &str, country: Option<&str>) -> Option<String> {
    let country = country.and_then(|code| code.parse().ok());
    let number = phonenumber::parse(country, text).ok()?;
    phonenumber::is_valid(&number).then(|| number.format().mode(phonenumber::Mode::E164).to_string())
}

/// A name or title for comparing: lower case, single spaces, no punctuation.
pub fn name(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .flat_map(char::to_lowercase)
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A SKU: trimmed, upper case. Inner spaces and leading zeros count.
pub fn sku(text: &str) -> Option<String> {
    let text = text.trim().to_uppercase();
    (!text.is_empty()).then_some(text)
}

/// A tax id with its scheme: upper case, without spaces, dots and dashes.
pub fn tax_id(scheme: &str, value: &str) -> Option<String> {
    let value: String = value.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect();
    (!value.is_empty()).then(|| format!("{}:{value}", scheme.trim().to_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_mean_the_same_become_equal() {
        for (text, expect) in [
            (" Ada@Example.COM ", Some("ada@example.com")),
            ("a.b+tag@example.com", Some("a.b+tag@example.com")),
            ("ada@localhost", None),
            ("ada", None),
            ("a b@example.com", None),
        ] {
            assert_eq!(email(text).as_deref(), expect, "{text}");
        }
        assert_eq!(phone("030 901820", Some("DE")).as_deref(), Some("+4930901820"));
        assert_eq!(phone("+49 30 901820", None).as_deref(), Some("+4930901820"));
        assert_eq!(phone("12", Some("DE")), None);
        assert_eq!(name("  Müller-Lüdenscheidt,  GmbH "), "müller lüdenscheidt gmbh");
        assert_eq!(sku(" mouse-1 ").as_deref(), Some("MOUSE-1"));
        assert_eq!(tax_id("eu_vat", "DE 123.456-789").as_deref(), Some("EU_VAT:DE123456789"));
    }
}
