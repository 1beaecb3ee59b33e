//! Who buys: guests and people with accounts, some of whom come again.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// A buyer.
#[derive(Debug, Clone)]
pub struct Buyer {
    pub email: String,
    pub first_name: &'static str,
    pub last_name: &'static str,
    pub phone: String,
    pub account: bool,
    pub country: &'static str,
    city: &'static str,
    zip: &'static str,
}

/// Those who bought before.
#[derive(Debug, Default)]
pub struct Buyers {
    known: Vec<Buyer>,
}

const FIRST: &[&str] = &[
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Katja", "Leon",
    "Mia", "Noah", "Olga", "Paul", "Rosa", "Sven", "Tina", "Uwe", "Vera", "Zoë", "Łukasz", "Siân",
];
const LAST: &[&str] = &[
    "Adler", "Brandt", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Hansen", "Ivanova", "Jansen",
    "Keller", "Lang", "Müller", "Nowak", "O'Hara", "Petrov", "Rossi", "Schmidt", "Tanaka", "Ulrich", "Vogel",
    "Weiß",
];
const PLACES: &[(&str, &str, &str)] = &[
    ("DE", "Berlin", "10115"),
    ("DE", "München", "80331"),
    ("DE", "Köln", "50667"),
    ("AT", "Wien", "1010"),
    ("NL", "Utrecht", "3511 AA"),
    ("FR", "Lyon", "69001"),
];

impl Buyers {
    /// Somebody who bought before, or somebody new.
    pub fn next(&mut self, random: &mut StdRng) -> Buyer {
        if !self.known.is_empty() && random.random_bool(0.3) {
            return self.known[random.random_range(0..self.known.len())].clone();
        }
        let (first_name, last_name) =
            (FIRST[random.random_range(0..FIRST.len())], LAST[random.random_range(0..LAST.len())]);
        let (country, city, zip) = PLACES[random.random_range(0..PLACES.len())];
        let buyer = Buyer {
            email: format!("buyer{}@example.com", self.known.len() + 1),
            first_name,
            last_name,
            phone: format!("+49151{}", random.random_range(1_000_000..9_999_999)),
            account: random.random_bool(0.5),
            country,
            city,
            zip,
        };
        self.known.push(buyer.clone());
        buyer
    }
}

impl Buyer {
    /// As a store's checkout takes it.
    pub fn told(&self) -> Value {
        json!({
            "email": self.email, "first_name": self.first_name, "last_name": self.last_name, "phone": self.phone,
            "account": self.account,
        })
    }

    /// Where it goes.
    pub fn address(&self, house: i64) -> Value {
        json!({
            "name": format!("{} {}", self.first_name, self.last_name), "company": null,
            "address1": format!("Lindenweg {house}"), "address2": null, "city": self.city, "province": null,
            "zip": self.zip, "country": self.country, "phone": self.phone,
        })
    }
}
