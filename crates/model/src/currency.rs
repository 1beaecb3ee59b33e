//! Currencies: ISO 4217 codes with the number of decimal places and the name of each.
//!
//! Never: exchange rates, symbols, formatting for people.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A currency of the ISO 4217 table.
///
/// Codes withdrawn since 2021 are in it, because old orders carry them; metals and test codes are not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency(u8);

/// A text that is no currency code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown currency `{0}`: use an upper-case ISO 4217 code such as EUR, USD, JPY or KWD")]
pub struct UnknownCurrency(pub String);

impl Currency {
    /// Every currency, by code.
    pub fn all() -> impl Iterator<Item = Currency> {
        (0..TABLE.len()).filter_map(|index| u8::try_from(index).ok().map(Currency))
    }

    /// The three-letter code.
    pub fn code(self) -> &'static str {
        TABLE[usize::from(self.0)].0
    }

    /// How many decimal places its minor unit has: 0, 2, 3 or 4.
    pub fn exponent(self) -> u32 {
        TABLE[usize::from(self.0)].1
    }

    /// The English name.
    pub fn name(self) -> &'static str {
        TABLE[usize::from(self.0)].2
    }

    /// One minor unit, such as 0.01 for EUR, 1 for JPY and 0.001 for KWD.
    pub fn minor_unit(self) -> Decimal {
        Decimal::new(1, self.exponent())
    }

    /// Half a minor unit: sums of amounts that are finer than a minor unit agree with a stated sum when they differ by
    /// no more. Sums of whole minor units then have to agree exactly.
    pub fn half_minor_unit(self) -> Decimal {
        Decimal::new(5, self.exponent() + 1)
    }

    /// The largest rounding line an order may carry: what cash rounding can explain, and never less than five minor
    /// units.
    pub fn rounding_limit(self) -> Decimal {
        let cash = CASH_STEPS
            .iter()
            .find(|(code, _)| *code == self.code())
            .map_or(Decimal::ZERO, |(_, step)| Decimal::new(*step, 2));
        cash.max(self.minor_unit() * Decimal::from(5))
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;
    fn from_str(text: &str) -> Result<Self, UnknownCurrency> {
        let found = TABLE.binary_search_by(|row| row.0.cmp(text)).ok();
        found.and_then(|index| u8::try_from(index).ok()).map(Currency).ok_or_else(|| {
            // What stands here may be anything: a long text is cut, so that it fills no log.
            UnknownCurrency(text.chars().take(12).collect())
        })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'_, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Currency {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$", "x-type": "currency" })
    }
}

/// Smallest coin steps, in hundredths, where cash totals are rounded by more than five minor units.
const CASH_STEPS: &[(&str, i64)] = &[
    ("CZK", 100),
    ("DKK", 50),
    ("HKD", 10),
    ("HUF", 500),
    ("ILS", 10),
    ("INR", 100),
    ("KRW", 1000),
    ("NOK", 100),
    ("NZD", 10),
    ("SEK", 100),
];

/// Code, decimal places, name; sorted by code.
const TABLE: &[(&str, u32, &str)] = &[
    ("AED", 2, "UAE dirham"),
    ("AFN", 2, "Afghani"),
    ("ALL", 2, "Lek"),
    ("AMD", 2, "Armenian dram"),
    ("ANG", 2, "Netherlands Antillean guilder"),
    ("AOA", 2, "Kwanza"),
    ("ARS", 2, "Argentine peso"),
    ("AUD", 2, "Australian dollar"),
    ("AWG", 2, "Aruban florin"),
    ("AZN", 2, "Azerbaijan manat"),
    ("BAM", 2, "Convertible mark"),
    ("BBD", 2, "Barbados dollar"),
    ("BDT", 2, "Taka"),
    ("BGN", 2, "Bulgarian lev"),
    ("BHD", 3, "Bahraini dinar"),
    ("BIF", 0, "Burundi franc"),
    ("BMD", 2, "Bermudian dollar"),
    ("BND", 2, "Brunei dollar"),
    ("BOB", 2, "Boliviano"),
    ("BOV", 2, "Bolivian Mvdol"),
    ("BRL", 2, "Brazilian real"),
    ("BSD", 2, "Bahamian dollar"),
    ("BTN", 2, "Ngultrum"),
    ("BWP", 2, "Pula"),
    ("BYN", 2, "Belarusian ruble"),
    ("BZD", 2, "Belize dollar"),
    ("CAD", 2, "Canadian dollar"),
    ("CDF", 2, "Congolese franc"),
    ("CHE", 2, "WIR euro"),
    ("CHF", 2, "Swiss franc"),
    ("CHW", 2, "WIR franc"),
    ("CLF", 4, "Unidad de fomento"),
    ("CLP", 0, "Chilean peso"),
    ("CNY", 2, "Yuan renminbi"),
    ("COP", 2, "Colombian peso"),
    ("COU", 2, "Unidad de valor real"),
    ("CRC", 2, "Costa Rican colon"),
    ("CUC", 2, "Convertible peso"),
    ("CUP", 2, "Cuban peso"),
    ("CVE", 2, "Cabo Verde escudo"),
    ("CZK", 2, "Czech koruna"),
    ("DJF", 0, "Djibouti franc"),
    ("DKK", 2, "Danish krone"),
    ("DOP", 2, "Dominican peso"),
    ("DZD", 2, "Algerian dinar"),
    ("EGP", 2, "Egyptian pound"),
    ("ERN", 2, "Nakfa"),
    ("ETB", 2, "Ethiopian birr"),
    ("EUR", 2, "Euro"),
    ("FJD", 2, "Fiji dollar"),
    ("FKP", 2, "Falkland Islands pound"),
    ("GBP", 2, "Pound sterling"),
    ("GEL", 2, "Lari"),
    ("GHS", 2, "Ghana cedi"),
    ("GIP", 2, "Gibraltar pound"),
    ("GMD", 2, "Dalasi"),
    ("GNF", 0, "Guinean franc"),
    ("GTQ", 2, "Quetzal"),
    ("GYD", 2, "Guyana dollar"),
    ("HKD", 2, "Hong Kong dollar"),
    ("HNL", 2, "Lempira"),
    ("HRK", 2, "Kuna"),
    ("HTG", 2, "Gourde"),
    ("HUF", 2, "Forint"),
    ("IDR", 2, "Rupiah"),
    ("ILS", 2, "New Israeli sheqel"),
    ("INR", 2, "Indian rupee"),
    ("IQD", 3, "Iraqi dinar"),
    ("IRR", 2, "Iranian rial"),
    ("ISK", 0, "Iceland krona"),
    ("JMD", 2, "Jamaican dollar"),
    ("JOD", 3, "Jordanian dinar"),
    ("JPY", 0, "Yen"),
    ("KES", 2, "Kenyan shilling"),
    ("KGS", 2, "Som"),
    ("KHR", 2, "Riel"),
    ("KMF", 0, "Comorian franc"),
    ("KPW", 2, "North Korean won"),
    ("KRW", 0, "Won"),
    ("KWD", 3, "Kuwaiti dinar"),
    ("KYD", 2, "Cayman Islands dollar"),
    ("KZT", 2, "Tenge"),
    ("LAK", 2, "Lao kip"),
    ("LBP", 2, "Lebanese pound"),
    ("LKR", 2, "Sri Lanka rupee"),
    ("LRD", 2, "Liberian dollar"),
    ("LSL", 2, "Loti"),
    ("LYD", 3, "Libyan dinar"),
    ("MAD", 2, "Moroccan dirham"),
    ("MDL", 2, "Moldovan leu"),
    ("MGA", 2, "Malagasy ariary"),
    ("MKD", 2, "Denar"),
    ("MMK", 2, "Kyat"),
    ("MNT", 2, "Tugrik"),
    ("MOP", 2, "Pataca"),
    ("MRU", 2, "Ouguiya"),
    ("MUR", 2, "Mauritius rupee"),
    ("MVR", 2, "Rufiyaa"),
    ("MWK", 2, "Malawi kwacha"),
    ("MXN", 2, "Mexican peso"),
    ("MXV", 2, "Mexican unidad de inversion"),
    ("MYR", 2, "Malaysian ringgit"),
    ("MZN", 2, "Mozambique metical"),
    ("NAD", 2, "Namibia dollar"),
    ("NGN", 2, "Naira"),
    ("NIO", 2, "Cordoba oro"),
    ("NOK", 2, "Norwegian krone"),
    ("NPR", 2, "Nepalese rupee"),
    ("NZD", 2, "New Zealand dollar"),
    ("OMR", 3, "Rial Omani"),
    ("PAB", 2, "Balboa"),
    ("PEN", 2, "Sol"),
    ("PGK", 2, "Kina"),
    ("PHP", 2, "Philippine peso"),
    ("PKR", 2, "Pakistan rupee"),
    ("PLN", 2, "Zloty"),
    ("PYG", 0, "Guarani"),
    ("QAR", 2, "Qatari rial"),
    ("RON", 2, "Romanian leu"),
    ("RSD", 2, "Serbian dinar"),
    ("RUB", 2, "Russian ruble"),
    ("RWF", 0, "Rwanda franc"),
    ("SAR", 2, "Saudi riyal"),
    ("SBD", 2, "Solomon Islands dollar"),
    ("SCR", 2, "Seychelles rupee"),
    ("SDG", 2, "Sudanese pound"),
    ("SEK", 2, "Swedish krona"),
    ("SGD", 2, "Singapore dollar"),
    ("SHP", 2, "Saint Helena pound"),
    ("SLE", 2, "Leone"),
    ("SLL", 2, "Old leone"),
    ("SOS", 2, "Somali shilling"),
    ("SRD", 2, "Surinam dollar"),
    ("SSP", 2, "South Sudanese pound"),
    ("STN", 2, "Dobra"),
    ("SVC", 2, "El Salvador colon"),
    ("SYP", 2, "Syrian pound"),
    ("SZL", 2, "Lilangeni"),
    ("THB", 2, "Baht"),
    ("TJS", 2, "Somoni"),
    ("TMT", 2, "Turkmenistan new manat"),
    ("TND", 3, "Tunisian dinar"),
    ("TOP", 2, "Pa'anga"),
    ("TRY", 2, "Turkish lira"),
    ("TTD", 2, "Trinidad and Tobago dollar"),
    ("TWD", 2, "New Taiwan dollar"),
    ("TZS", 2, "Tanzanian shilling"),
    ("UAH", 2, "Hryvnia"),
    ("UGX", 0, "Uganda shilling"),
    ("USD", 2, "US dollar"),
    ("USN", 2, "US dollar, next day"),
    ("UYI", 0, "Uruguay peso in indexed units"),
    ("UYU", 2, "Peso uruguayo"),
    ("UYW", 4, "Unidad previsional"),
    ("UZS", 2, "Uzbekistan sum"),
    ("VED", 2, "Digital bolivar"),
    ("VES", 2, "Bolivar soberano"),
    ("VND", 0, "Dong"),
    ("VUV", 0, "Vatu"),
    ("WST", 2, "Tala"),
    ("XAF", 0, "CFA franc BEAC"),
    ("XCD", 2, "East Caribbean dollar"),
    ("XCG", 2, "Caribbean guilder"),
    ("XOF", 0, "CFA franc BCEAO"),
    ("XPF", 0, "CFP franc"),
    ("YER", 2, "Yemeni rial"),
    ("ZAR", 2, "Rand"),
    ("ZMW", 2, "Zambian kwacha"),
    ("ZWG", 2, "Zimbabwe gold"),
    ("ZWL", 2, "Zimbabwe dollar"),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_code_is_found_again() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0), "binary search needs a sorted table");
        for currency in Currency::all() {
            assert_eq!(currency.code().parse::<Currency>().unwrap(), currency);
            assert!(matches!(currency.exponent(), 0 | 2 | 3 | 4));
        }
        assert_eq!(Currency::all().count(), TABLE.len());
    }

    #[test]
    fn places_and_rounding_by_currency() {
        let check = |code: &str, exponent: u32, half: &str, limit: &str| {
            let currency: Currency = code.parse().unwrap();
            assert_eq!(currency.exponent(), exponent, "{code}");
            assert_eq!(currency.half_minor_unit().to_string(), half, "{code}");
            assert_eq!(currency.rounding_limit().normalize().to_string(), limit, "{code}");
        };
        check("EUR", 2, "0.005", "0.05");
        check("JPY", 0, "0.5", "5");
        check("KWD", 3, "0.0005", "0.005");
        check("CLF", 4, "0.00005", "0.0005");
        check("SEK", 2, "0.005", "1");
        check("CHF", 2, "0.005", "0.05");
    }

    #[test]
    fn what_is_no_currency_is_named() {
        for text in ["XYZ", "eur", "", "EURO", "€"] {
            let error = text.parse::<Currency>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("ISO 4217"), "{error}");
        }
    }
}
