//! Countries: ISO 3166-1 codes with the English name of each, and other names that people write.
//!
//! Never: guesses; a text that is not in the tables is no country.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Every code and name, folded, with the alpha-2 code.
static NAMES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let aliases =
        ALIASES.iter().flat_map(|(code, names)| names.iter().map(|name| ((*name).to_owned(), *code)));
    let table =
        TABLE.iter().flat_map(|(two, three, name)| [*two, *three, *name].map(|text| (fold(text), *two)));
    aliases.chain(table).collect()
});

/// The alpha-2 code of a code or a name, whatever its case, accents and punctuation.
pub(super) fn find(text: &str) -> Option<&'static str> {
    NAMES.get(&fold(text)).copied()
}

/// Lower case, without accents, space and punctuation, without a leading `the`.
fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars().flat_map(char::to_lowercase) {
        match char {
            'a'..='z' => out.push(char),
            '&' => out.push_str("and"),
            'à'..='å' | 'ā' | 'ă' | 'ą' => out.push('a'),
            'æ' => out.push_str("ae"),
            'ç' | 'ć' | 'č' => out.push('c'),
            'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => out.push('e'),
            'ì'..='ï' | 'ī' | 'į' | 'ı' => out.push('i'),
            'ñ' | 'ń' | 'ň' => out.push('n'),
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => out.push('o'),
            'ß' => out.push_str("ss"),
            'ś' | 'š' | 'ş' | 'ș' => out.push('s'),
            'ţ' | 'ț' => out.push('t'),
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => out.push('u'),
            'ý' | 'ÿ' => out.push('y'),
            'ź' | 'ż' | 'ž' => out.push('z'),
            'ł' => out.push('l'),
            'ř' => out.push('r'),
            // Letters of other alphabets are kept, so that they match nothing by accident.
            other if other.is_alphabetic() => out.push(other),
            _ => {}
        }
    }
    match out.strip_prefix("the") {
        Some(rest) if text.trim_start().get(..4).is_some_and(|t| t.eq_ignore_ascii_case("the ")) => {
            rest.to_owned()
        }
        _ => out,
    }
}

/// Other names, folded.
const ALIASES: &[(&str, &[&str])] = &[
    ("AT", &["osterreich", "oesterreich", "autriche"]),
    ("AU", &["australien"]),
    ("BE", &["belgie", "belgique", "belgien"]),
    ("BO", &["plurinationalstateofbolivia"]),
    ("BR", &["brasil"]),
    ("CD", &["congokinshasa", "drcongo", "congodemocraticrepublic"]),
    ("CG", &["congo", "congobrazzaville"]),
    ("CH", &["schweiz", "suisse", "svizzera", "swiss"]),
    ("CI", &["ivorycoast"]),
    ("CN", &["peoplesrepublicofchina", "prchina"]),
    ("CV", &["caboverde"]),
    ("CZ", &["czechia", "cesko", "ceskarepublika", "tschechien"]),
    ("DE", &["deutschland", "allemagne", "alemania", "federalrepublicofgermany"]),
    ("DK", &["danmark", "danemark"]),
    ("EE", &["eesti", "estland"]),
    ("ES", &["espana", "spanien", "espagne"]),
    ("FI", &["suomi", "finnland"]),
    ("FR", &["frankreich", "francia"]),
    (
        "GB",
        &[
            "uk",
            "greatbritain",
            "england",
            "scotland",
            "wales",
            "northernireland",
            "britain",
            "unitedkingdomofgreatbritainandnorthernireland",
            "grossbritannien",
            "vereinigteskonigreich",
        ],
    ),
    ("GR", &["ellada", "hellas", "griechenland", "el"]),
    ("HR", &["hrvatska", "kroatien"]),
    ("HU", &["magyarorszag", "ungarn"]),
    ("IE", &["eire", "irland", "republicofireland"]),
    ("IR", &["islamicrepublicofiran"]),
    ("IT", &["italia", "italien", "italie"]),
    ("KP", &["democraticpeoplesrepublicofkorea"]),
    ("KR", &["korea", "republicofkorea", "southkorea"]),
    ("LA", &["laopeoplesdemocraticrepublic"]),
    ("LT", &["lietuva", "litauen"]),
    ("LU", &["luxemburg", "letzebuerg"]),
    ("LV", &["latvija", "lettland"]),
    ("MD", &["republicofmoldova"]),
    ("MK", &["macedonia"]),
    ("MM", &["burma"]),
    ("NL", &["nederland", "netherlands", "holland", "niederlande", "paysbas"]),
    ("NO", &["norge", "norwegen"]),
    ("PL", &["polska", "polen", "pologne"]),
    ("PS", &["stateofpalestine", "palestinianterritories"]),
    ("RO", &["rumanien"]),
    ("RU", &["russianfederation", "rossija"]),
    ("SE", &["sverige", "schweden"]),
    ("SI", &["slovenija", "slowenien"]),
    ("SK", &["slovensko", "slowakei"]),
    ("SY", &["syrianarabrepublic"]),
    ("SZ", &["swaziland"]),
    ("TL", &["easttimor"]),
    ("TR", &["turkiye", "turkei"]),
    ("TW", &["republicofchina"]),
    ("TZ", &["unitedrepublicoftanzania"]),
    ("UA", &["ukraina"]),
    ("US", &["unitedstatesofamerica", "america", "usofa"]),
    ("VA", &["holysee"]),
    ("VE", &["bolivarianrepublicofvenezuela"]),
    ("VN", &["vietnam"]),
    // No ISO code, and the one that everybody uses.
    ("XK", &["kosovo", "xk"]),
];

/// Alpha-2, alpha-3, English name; sorted by the first.
const TABLE: &[(&str, &str, &str)] = &[
    ("AD", "AND", "Andorra"),
    ("AE", "ARE", "United Arab Emirates"),
    ("AF", "AFG", "Afghanistan"),
    ("AG", "ATG", "Antigua and Barbuda"),
    ("AI", "AIA", "Anguilla"),
    ("AL", "ALB", "Albania"),
    ("AM", "ARM", "Armenia"),
    ("AO", "AGO", "Angola"),
    ("AQ", "ATA", "Antarctica"),
    ("AR", "ARG", "Argentina"),
    ("AS", "ASM", "American Samoa"),
    ("AT", "AUT", "Austria"),
    ("AU", "AUS", "Australia"),
    ("AW", "ABW", "Aruba"),
    ("AX", "ALA", "Åland Islands"),
    ("AZ", "AZE", "Azerbaijan"),
    ("BA", "BIH", "Bosnia and Herzegovina"),
    ("BB", "BRB", "Barbados"),
    ("BD", "BGD", "Bangladesh"),
    ("BE", "BEL", "Belgium"),
    ("BF", "BFA", "Burkina Faso"),
    ("BG", "BGR", "Bulgaria"),
    ("BH", "BHR", "Bahrain"),
    ("BI", "BDI", "Burundi"),
    ("BJ", "BEN", "Benin"),
    ("BL", "BLM", "Saint Barthélemy"),
    ("BM", "BMU", "Bermuda"),
    ("BN", "BRN", "Brunei"),
    ("BO", "BOL", "Bolivia"),
    ("BQ", "BES", "Caribbean Netherlands"),
    ("BR", "BRA", "Brazil"),
    ("BS", "BHS", "Bahamas"),
    ("BT", "BTN", "Bhutan"),
    ("BV", "BVT", "Bouvet Island"),
    ("BW", "BWA", "Botswana"),
    ("BY", "BLR", "Belarus"),
    ("BZ", "BLZ", "Belize"),
    ("CA", "CAN", "Canada"),
    ("CC", "CCK", "Cocos (Keeling) Islands"),
    ("CD", "COD", "Democratic Republic of the Congo"),
    ("CF", "CAF", "Central African Republic"),
    ("CG", "COG", "Republic of the Congo"),
    ("CH", "CHE", "Switzerland"),
    ("CI", "CIV", "Côte d'Ivoire"),
    ("CK", "COK", "Cook Islands"),
    ("CL", "CHL", "Chile"),
    ("CM", "CMR", "Cameroon"),
    ("CN", "CHN", "China"),
    ("CO", "COL", "Colombia"),
    ("CR", "CRI", "Costa Rica"),
    ("CU", "CUB", "Cuba"),
    ("CV", "CPV", "Cape Verde"),
    ("CW", "CUW", "Curaçao"),
    ("CX", "CXR", "Christmas Island"),
    ("CY", "CYP", "Cyprus"),
    ("CZ", "CZE", "Czech Republic"),
    ("DE", "DEU", "Germany"),
    ("DJ", "DJI", "Djibouti"),
    ("DK", "DNK", "Denmark"),
    ("DM", "DMA", "Dominica"),
    ("DO", "DOM", "Dominican Republic"),
    ("DZ", "DZA", "Algeria"),
    ("EC", "ECU", "Ecuador"),
    ("EE", "EST", "Estonia"),
    ("EG", "EGY", "Egypt"),
    ("EH", "ESH", "Western Sahara"),
    ("ER", "ERI", "Eritrea"),
    ("ES", "ESP", "Spain"),
    ("ET", "ETH", "Ethiopia"),
    ("FI", "FIN", "Finland"),
    ("FJ", "FJI", "Fiji"),
    ("FK", "FLK", "Falkland Islands"),
    ("FM", "FSM", "Micronesia"),
    ("FO", "FRO", "Faroe Islands"),
    ("FR", "FRA", "France"),
    ("GA", "GAB", "Gabon"),
    ("GB", "GBR", "United Kingdom"),
    ("GD", "GRD", "Grenada"),
    ("GE", "GEO", "Georgia"),
    ("GF", "GUF", "French Guiana"),
    ("GG", "GGY", "Guernsey"),
    ("GH", "GHA", "Ghana"),
    ("GI", "GIB", "Gibraltar"),
    ("GL", "GRL", "Greenland"),
    ("GM", "GMB", "Gambia"),
    ("GN", "GIN", "Guinea"),
    ("GP", "GLP", "Guadeloupe"),
    ("GQ", "GNQ", "Equatorial Guinea"),
    ("GR", "GRC", "Greece"),
    ("GS", "SGS", "South Georgia and the South Sandwich Islands"),
    ("GT", "GTM", "Guatemala"),
    ("GU", "GUM", "Guam"),
    ("GW", "GNB", "Guinea-Bissau"),
    ("GY", "GUY", "Guyana"),
    ("HK", "HKG", "Hong Kong"),
    ("HM", "HMD", "Heard Island and McDonald Islands"),
    ("HN", "HND", "Honduras"),
    ("HR", "HRV", "Croatia"),
    ("HT", "HTI", "Haiti"),
    ("HU", "HUN", "Hungary"),
    ("ID", "IDN", "Indonesia"),
    ("IE", "IRL", "Ireland"),
    ("IL", "ISR", "Israel"),
    ("IM", "IMN", "Isle of Man"),
    ("IN", "IND", "India"),
    ("IO", "IOT", "British Indian Ocean Territory"),
    ("IQ", "IRQ", "Iraq"),
    ("IR", "IRN", "Iran"),
    ("IS", "ISL", "Iceland"),
    ("IT", "ITA", "Italy"),
    ("JE", "JEY", "Jersey"),
    ("JM", "JAM", "Jamaica"),
    ("JO", "JOR", "Jordan"),
    ("JP", "JPN", "Japan"),
    ("KE", "KEN", "Kenya"),
    ("KG", "KGZ", "Kyrgyzstan"),
    ("KH", "KHM", "Cambodia"),
    ("KI", "KIR", "Kiribati"),
    ("KM", "COM", "Comoros"),
    ("KN", "KNA", "Saint Kitts and Nevis"),
    ("KP", "PRK", "North Korea"),
    ("KR", "KOR", "South Korea"),
    ("KW", "KWT", "Kuwait"),
    ("KY", "CYM", "Cayman Islands"),
    ("KZ", "KAZ", "Kazakhstan"),
    ("LA", "LAO", "Laos"),
    ("LB", "LBN", "Lebanon"),
    ("LC", "LCA", "Saint Lucia"),
    ("LI", "LIE", "Liechtenstein"),
    ("LK", "LKA", "Sri Lanka"),
    ("LR", "LBR", "Liberia"),
    ("LS", "LSO", "Lesotho"),
    ("LT", "LTU", "Lithuania"),
    ("LU", "LUX", "Luxembourg"),
    ("LV", "LVA", "Latvia"),
    ("LY", "LBY", "Libya"),
    ("MA", "MAR", "Morocco"),
    ("MC", "MCO", "Monaco"),
    ("MD", "MDA", "Moldova"),
    ("ME", "MNE", "Montenegro"),
    ("MF", "MAF", "Saint Martin"),
    ("MG", "MDG", "Madagascar"),
    ("MH", "MHL", "Marshall Islands"),
    ("MK", "MKD", "North Macedonia"),
    ("ML", "MLI", "Mali"),
    ("MM", "MMR", "Myanmar"),
    ("MN", "MNG", "Mongolia"),
    ("MO", "MAC", "Macau"),
    ("MP", "MNP", "Northern Mariana Islands"),
    ("MQ", "MTQ", "Martinique"),
    ("MR", "MRT", "Mauritania"),
    ("MS", "MSR", "Montserrat"),
    ("MT", "MLT", "Malta"),
    ("MU", "MUS", "Mauritius"),
    ("MV", "MDV", "Maldives"),
    ("MW", "MWI", "Malawi"),
    ("MX", "MEX", "Mexico"),
    ("MY", "MYS", "Malaysia"),
    ("MZ", "MOZ", "Mozambique"),
    ("NA", "NAM", "Namibia"),
    ("NC", "NCL", "New Caledonia"),
    ("NE", "NER", "Niger"),
    ("NF", "NFK", "Norfolk Island"),
    ("NG", "NGA", "Nigeria"),
    ("NI", "NIC", "Nicaragua"),
    ("NL", "NLD", "Netherlands"),
    ("NO", "NOR", "Norway"),
    ("NP", "NPL", "Nepal"),
    ("NR", "NRU", "Nauru"),
    ("NU", "NIU", "Niue"),
    ("NZ", "NZL", "New Zealand"),
    ("OM", "OMN", "Oman"),
    ("PA", "PAN", "Panama"),
    ("PE", "PER", "Peru"),
    ("PF", "PYF", "French Polynesia"),
    ("PG", "PNG", "Papua New Guinea"),
    ("PH", "PHL", "Philippines"),
    ("PK", "PAK", "Pakistan"),
    ("PL", "POL", "Poland"),
    ("PM", "SPM", "Saint Pierre and Miquelon"),
    ("PN", "PCN", "Pitcairn"),
    ("PR", "PRI", "Puerto Rico"),
    ("PS", "PSE", "Palestine"),
    ("PT", "PRT", "Portugal"),
    ("PW", "PLW", "Palau"),
    ("PY", "PRY", "Paraguay"),
    ("QA", "QAT", "Qatar"),
    ("RE", "REU", "Réunion"),
    ("RO", "ROU", "Romania"),
    ("RS", "SRB", "Serbia"),
    ("RU", "RUS", "Russia"),
    ("RW", "RWA", "Rwanda"),
    ("SA", "SAU", "Saudi Arabia"),
    ("SB", "SLB", "Solomon Islands"),
    ("SC", "SYC", "Seychelles"),
    ("SD", "SDN", "Sudan"),
    ("SE", "SWE", "Sweden"),
    ("SG", "SGP", "Singapore"),
    ("SH", "SHN", "Saint Helena"),
    ("SI", "SVN", "Slovenia"),
    ("SJ", "SJM", "Svalbard and Jan Mayen"),
    ("SK", "SVK", "Slovakia"),
    ("SL", "SLE", "Sierra Leone"),
    ("SM", "SMR", "San Marino"),
    ("SN", "SEN", "Senegal"),
    ("SO", "SOM", "Somalia"),
    ("SR", "SUR", "Suriname"),
    ("SS", "SSD", "South Sudan"),
    ("ST", "STP", "São Tomé and Príncipe"),
    ("SV", "SLV", "El Salvador"),
    ("SX", "SXM", "Sint Maarten"),
    ("SY", "SYR", "Syria"),
    ("SZ", "SWZ", "Eswatini"),
    ("TC", "TCA", "Turks and Caicos Islands"),
    ("TD", "TCD", "Chad"),
    ("TF", "ATF", "French Southern Territories"),
    ("TG", "TGO", "Togo"),
    ("TH", "THA", "Thailand"),
    ("TJ", "TJK", "Tajikistan"),
    ("TK", "TKL", "Tokelau"),
    ("TL", "TLS", "Timor-Leste"),
    ("TM", "TKM", "Turkmenistan"),
    ("TN", "TUN", "Tunisia"),
    ("TO", "TON", "Tonga"),
    ("TR", "TUR", "Turkey"),
    ("TT", "TTO", "Trinidad and Tobago"),
    ("TV", "TUV", "Tuvalu"),
    ("TW", "TWN", "Taiwan"),
    ("TZ", "TZA", "Tanzania"),
    ("UA", "UKR", "Ukraine"),
    ("UG", "UGA", "Uganda"),
    ("UM", "UMI", "US Minor Outlying Islands"),
    ("US", "USA", "United States"),
    ("UY", "URY", "Uruguay"),
    ("UZ", "UZB", "Uzbekistan"),
    ("VA", "VAT", "Vatican City"),
    ("VC", "VCT", "Saint Vincent and the Grenadines"),
    ("VE", "VEN", "Venezuela"),
    ("VG", "VGB", "British Virgin Islands"),
    ("VI", "VIR", "US Virgin Islands"),
    ("VN", "VNM", "Vietnam"),
    ("VU", "VUT", "Vanuatu"),
    ("WF", "WLF", "Wallis and Futuna"),
    ("WS", "WSM", "Samoa"),
    ("YE", "YEM", "Yemen"),
    ("YT", "MYT", "Mayotte"),
    ("ZA", "ZAF", "South Africa"),
    ("ZM", "ZMB", "Zambia"),
    ("ZW", "ZWE", "Zimbabwe"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_and_name_is_found_again_and_only_once() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0), "keep the table sorted");
        for (two, three, name) in TABLE {
            for text in [*two, *three, *name] {
                assert_eq!(find(text), Some(*two), "{text}");
            }
        }
        for (code, names) in ALIASES {
            for name in *names {
                assert_eq!(fold(name), **name, "aliases are written folded");
                assert_eq!(find(name), Some(*code), "{name}");
            }
        }
    }

    #[test]
    fn names_as_people_write_them() {
        let check = |text: &str, expect: Option<&str>| assert_eq!(find(text), expect, "{text}");
        check("the Netherlands", Some("NL"));
        check(" österreich ", Some("AT"));
        check("U.S.A.", Some("US"));
        check("usa", Some("US"));
        check("UK", Some("GB"));
        check("Bosnia & Herzegovina", Some("BA"));
        check("Cote d’Ivoire", Some("CI"));
        check("EL", Some("GR"));
        check("ZZ", None);
        check("Atlantis", None);
        check("", None);
    }
}
