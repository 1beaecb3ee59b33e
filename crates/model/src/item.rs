//! Products, and the items that are kept in stock and sold as their variants.
//!
//! Never: prices or quantities in stock; those are kinds of their own.

use serde::{Deserialize, Serialize};

use crate::party::Country;
use crate::quantity::{Number, Quantity, Ratio};
use crate::refs::Ref;
use crate::rules;
use crate::shape::{part, payload};

payload! {
    /// What is presented for sale: title, media, options; groups items.
    Product, rules::none, {
        required {}
        optional {
            /// Name shown to buyers.
            title: String,
            /// Text shown to buyers; may hold HTML as the source wrote it.
            description: String,
            /// Part of the web address, unique within a store.
            handle: String,
            /// Brand or maker.
            brand: String,
            /// What it is, by the merchant's own classification.
            category: String,
            /// Tags, by their codes.
            tags: Vec<String>,
            /// What its items differ in.
            options: Vec<ProductOption>,
            /// Its items.
            items: Vec<Ref>,
            /// Pictures and other media, the main one first.
            media: Vec<Media>,
            /// Where it is offered.
            listings: Vec<Listing>,
            /// Texts in other languages.
            translations: Vec<Translation>,
            /// Offered, or put out of use.
            active: bool,
        }
    }
}

payload! {
    /// What is kept in stock and sold as one variant.
    Item, rules::item, {
        required {}
        optional {
            /// Stock keeping unit. An attribute: it may be doubled or used again, so it is never the identity.
            sku: String,
            /// Name.
            title: String,
            /// The product that it is a variant of.
            product: Ref,
            /// GTIN or another bar code.
            barcode: String,
            /// Unit that stock is kept in; absent means `each`.
            unit: String,
            /// Other units that it is bought or sold in.
            units: Vec<Unit>,
            /// What it differs in from its product's other items.
            options: Vec<ItemOption>,
            /// Weight of one stock unit, packed.
            weight: Weight,
            /// Size of one stock unit, packed.
            dimensions: Dimensions,
            /// It is a kit of other items.
            kit: Kit,
            /// Stock of it is counted.
            tracked: bool,
            /// Sold, or put out of use.
            active: bool,
            /// The store's or ERP's code of its tax class, for the reference map.
            tax_class: String,
            /// Country of origin, ISO 3166-1 alpha-2.
            origin: Country,
            /// Customs tariff number.
            tariff_code: String,
            /// Who it is bought from.
            suppliers: Vec<ItemSupplier>,
            /// Where it is offered.
            listings: Vec<Listing>,
            /// Pictures and other media, the main one first.
            media: Vec<Media>,
        }
    }
}

part! {
    /// What the items of a product differ in.
    ProductOption {
        required {
            /// Name, such as `Size`.
            name: String,
        }
        optional {
            /// Its values, in the order shown.
            values: Vec<String>,
        }
    }
}

part! {
    /// The value that an item has for one option of its product.
    ItemOption {
        required {
            /// Name, such as `Size`.
            name: String,
            /// Value, such as `XL`.
            value: String,
        }
        optional {}
    }
}

part! {
    /// A picture or another medium.
    Media {
        required {
            /// Where it can be fetched.
            url: String,
        }
        optional {
            /// Text for those who cannot see it.
            alt: String,
            /// Media type, such as `image/jpeg`.
            kind: String,
        }
    }
}

part! {
    /// A thing offered in a channel.
    Listing {
        required {
            /// The channel.
            channel: String,
        }
        optional {
            /// Web address there.
            url: String,
            /// Buyers can see it there.
            published: bool,
            /// Title there, when it is another.
            title: String,
        }
    }
}

part! {
    /// Texts in one language.
    Translation {
        required {
            /// BCP 47 tag.
            language: String,
        }
        optional {
            /// Title.
            title: String,
            /// Description.
            description: String,
        }
    }
}

part! {
    /// A unit in which an item is bought or sold.
    Unit {
        required {
            /// Its code, such as `carton`.
            code: String,
            /// How many stock units one of it is, exactly: `"12"` for a carton of 12, `{"num": 1, "den": 3}` for a third.
            per_stock_unit: Ratio,
        }
        optional {
            /// Bar code of the unit.
            barcode: String,
        }
    }
}

part! {
    /// A weight.
    Weight {
        required {
            /// How much.
            value: Number,
            /// In what.
            unit: WeightUnit,
        }
        optional {}
    }
}

/// Units of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WeightUnit {
    /// Gram.
    G,
    /// Kilogram.
    Kg,
    /// Ounce (28.349523125 g).
    Oz,
    /// Pound (453.59237 g).
    Lb,
}

part! {
    /// The size of a box.
    Dimensions {
        required {
            /// In what.
            unit: LengthUnit,
        }
        optional {
            /// Longest side.
            length: Number,
            /// Second side.
            width: Number,
            /// Third side.
            height: Number,
        }
    }
}

/// Units of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LengthUnit {
    /// Millimetre.
    Mm,
    /// Centimetre.
    Cm,
    /// Metre.
    M,
    /// Inch (25.4 mm).
    In,
    /// Foot (304.8 mm).
    Ft,
}

part! {
    /// An item made of others.
    Kit {
        required {
            /// What one of it is made of.
            components: Vec<Component>,
            /// Who takes it apart.
            explodes: Explodes,
        }
        optional {
            /// How its price and tax are split among the components.
            split: PriceSplit,
        }
    }
}

part! {
    /// A part of a kit.
    Component {
        required {
            /// The item.
            item: Ref,
            /// How many stock units of it one kit takes.
            quantity: Quantity,
        }
        optional {
            /// Its share in the price, relative to the other components', when they are split by share.
            share: Number,
        }
    }
}

/// Who takes a kit apart into its components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Explodes {
    /// The store: its orders name the components.
    Store,
    /// The hub, when it writes to the ERP.
    Hub,
    /// The ERP: it knows the kit.
    Erp,
}

/// How a kit's price is split among its components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriceSplit {
    /// By the components' own prices.
    ByPrice,
    /// By the shares stated on the components.
    ByShare,
    /// Not at all: the kit's line carries it.
    OnKit,
}

part! {
    /// A supplier's terms for an item.
    ItemSupplier {
        required {
            /// The supplier.
            supplier: Ref,
        }
        optional {
            /// The supplier's own number for it.
            sku: String,
            /// How many days it takes to arrive.
            lead_days: u32,
            /// The one to order from first.
            preferred: bool,
        }
    }
}
