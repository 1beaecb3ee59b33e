//! How canonical shapes are declared: one macro for parts, one for whole kinds.
//!
//! Every optional field takes absent and null alike; no unknown field is let through; nothing of a shape shows in
//! `Debug`, because most of them hold personal data.

use serde::de::DeserializeOwned;

use crate::check::Problem;
use crate::kind::Kind;

/// The canonical payload of a kind, typed. Every top-level field is optional here, so that one type reads both a
/// change that gives some fields and a whole record; [`Payload::REQUIRED`] says what a whole record must have.
pub trait Payload: DeserializeOwned + schemars::JsonSchema {
    /// The kind.
    const KIND: Kind;
    /// Fields that a whole record must have.
    const REQUIRED: &'static [&'static str];
    /// Adds what breaks a rule beyond the shape.
    fn rules(&self, found: &mut Vec<Problem>);
}

/// Declares a part of a payload, with fields that must be there and fields that may.
macro_rules! part {
    ($(#[$doc:meta])* $name:ident {
        required { $($(#[$rdoc:meta])* $required:ident: $rtype:ty,)* }
        optional { $($(#[$odoc:meta])* $optional:ident: $otype:ty,)* }
    }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$rdoc])* pub $required: $rtype,)*
            $($(#[$odoc])* #[serde(skip_serializing_if = "Option::is_none")] pub $optional: Option<$otype>,)*
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), " { [redacted] }"))
            }
        }
    };
}

/// Declares the payload of a kind.
macro_rules! payload {
    ($(#[$doc:meta])* $name:ident, $rules:expr, {
        required { $($(#[$rdoc:meta])* $required:ident: $rtype:ty,)* }
        optional { $($(#[$odoc:meta])* $optional:ident: $otype:ty,)* }
    }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$rdoc])* #[serde(skip_serializing_if = "Option::is_none")] pub $required: Option<$rtype>,)*
            $($(#[$odoc])* #[serde(skip_serializing_if = "Option::is_none")] pub $optional: Option<$otype>,)*
            /// Fields of the vendor or the merchant that have no canonical place, as they are.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub extra: Option<serde_json::Map<String, serde_json::Value>>,
            /// Version of the canonical shapes that the payload was written under; absent means 1.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub schema_version: Option<u32>,
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), " { [redacted] }"))
            }
        }

        impl $crate::shape::Payload for $name {
            const KIND: $crate::kind::Kind = $crate::kind::Kind::$name;
            const REQUIRED: &'static [&'static str] = &[$(stringify!($required)),*];
            fn rules(&self, found: &mut Vec<$crate::check::Problem>) {
                let rules: fn(&Self, &mut Vec<$crate::check::Problem>) = $rules;
                rules(self, found);
            }
        }
    };
}

/// Calls a generic function for the payload type of a kind.
macro_rules! by_kind {
    ($kind:expr, $call:ident($($argument:expr),*)) => {
        match $kind {
            $crate::kind::Kind::Person => $call::<$crate::party::Person>($($argument),*),
            $crate::kind::Kind::Company => $call::<$crate::party::Company>($($argument),*),
            $crate::kind::Kind::Product => $call::<$crate::item::Product>($($argument),*),
            $crate::kind::Kind::Item => $call::<$crate::item::Item>($($argument),*),
            $crate::kind::Kind::Price => $call::<$crate::price::Price>($($argument),*),
            $crate::kind::Kind::Stock => $call::<$crate::stock::Stock>($($argument),*),
            $crate::kind::Kind::Order => $call::<$crate::order::Order>($($argument),*),
            $crate::kind::Kind::FulfilmentOrder => $call::<$crate::fulfilment::FulfilmentOrder>($($argument),*),
            $crate::kind::Kind::Shipment => $call::<$crate::fulfilment::Shipment>($($argument),*),
            $crate::kind::Kind::Invoice => $call::<$crate::finance::Invoice>($($argument),*),
            $crate::kind::Kind::CreditMemo => $call::<$crate::finance::CreditMemo>($($argument),*),
            $crate::kind::Kind::Payment => $call::<$crate::finance::Payment>($($argument),*),
            $crate::kind::Kind::Refund => $call::<$crate::finance::Refund>($($argument),*),
            $crate::kind::Kind::Return => $call::<$crate::returns::Return>($($argument),*),
            $crate::kind::Kind::Payout => $call::<$crate::finance::Payout>($($argument),*),
            $crate::kind::Kind::Supplier => $call::<$crate::procurement::Supplier>($($argument),*),
            $crate::kind::Kind::PurchaseOrder => $call::<$crate::procurement::PurchaseOrder>($($argument),*),
            $crate::kind::Kind::Receipt => $call::<$crate::procurement::Receipt>($($argument),*),
            $crate::kind::Kind::Cart => $call::<$crate::engagement::Cart>($($argument),*),
            $crate::kind::Kind::Ticket => $call::<$crate::engagement::Ticket>($($argument),*),
            $crate::kind::Kind::Activity => $call::<$crate::engagement::Activity>($($argument),*),
        }
    };
}

pub(crate) use {by_kind, part, payload};
