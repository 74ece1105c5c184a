//! What can be exported by the names that Voucherify gives it, and which fields and orders each of them has.
//!
//! Promises: every object that its clients name has a table; of those that are not ours to have, a file has a header and no rows.
//! Never: a field that the object's own table lacks.

use indelible_service::{Table, title};

/// A column for each key of a metadata, or the column of one key, `metadata.KEY`.
const METADATA: &str = "metadata";
/// Characters of a field's name.
const NAME_CHARS: usize = 200;

/// What an export can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    /// Of what the project's logs hold.
    Log(Table),
    /// Of something that we have none of.
    Foreign(&'static Foreign),
}

/// The table of something that we have none of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    name: &'static str,
    fields: &'static [&'static str],
    /// Those of whoever chooses none.
    defaults: &'static [&'static str],
    /// Each also backwards, with a minus; the first is that of whoever says none.
    orders: &'static [&'static str],
}

const FOREIGN: [Foreign; 9] = [
    Foreign {
        name: "voucher",
        fields: &[
            "code",
            "voucher_type",
            "value",
            "formula",
            "discount_type",
            "campaign",
            "category",
            "start_date",
            "expiration_date",
            "gift_balance",
            "loyalty_balance",
            "redemption_quantity",
            "redemption_count",
            "active",
            "qr_code",
            "bar_code",
            METADATA,
            "id",
            "is_referral_code",
            "created_at",
            "updated_at",
            "validity_timeframe_interval",
            "validity_timeframe_duration",
            "validity_day_of_week",
            "discount_amount_limit",
            "campaign_id",
            "additional_info",
            "customer_id",
            "discount_effect",
            "discount_unit_type",
            "discount_unit_effect",
            "validation_rules_id",
            "customer_source_id",
        ],
        defaults: &["code", "voucher_type", "value", "discount_type"],
        orders: &["created_at", "updated_at", "code"],
    },
    Foreign {
        name: "redemption",
        fields: &[
            "id",
            "object",
            "date",
            "voucher_code",
            "campaign",
            "promotion_tier_id",
            "customer_id",
            "customer_source_id",
            "customer_name",
            "tracking_id",
            "order_id",
            "order_amount",
            "gift_amount",
            "loyalty_points",
            "result",
            "failure_code",
            "failure_message",
            METADATA,
        ],
        defaults: &["id", "object", "voucher_code", "customer_id", "date", "result"],
        orders: &["created_at", "id", "voucher_code", "tracking_id", "customer_id"],
    },
    Foreign {
        name: "publication",
        fields: &["code", "voucher_code", "customer_id", "customer_source_id", "date", "channel", "campaign", "is_winner", METADATA],
        defaults: &["code", "customer_id", "date", "channel"],
        orders: &["created_at", "id", "voucher_code", "tracking_id", "customer_id", "channel"],
    },
    Foreign {
        name: "customer",
        fields: &[
            "name",
            "id",
            "description",
            "email",
            "source_id",
            "created_at",
            "updated_at",
            "address_city",
            "address_state",
            "address_line_1",
            "address_line_2",
            "address_country",
            "address_postal_code",
            "redemptions_total_redeemed",
            "redemptions_total_failed",
            "redemptions_total_succeeded",
            "redemptions_total_rolled_back",
            "redemptions_total_rollback_failed",
            "redemptions_total_rollback_succeeded",
            "orders_total_amount",
            "orders_total_count",
            "orders_average_amount",
            "orders_last_order_amount",
            "orders_last_order_date",
            "loyalty_points",
            "loyalty_referred_customers",
            "phone",
            "birthday",
            "birthdate",
            METADATA,
        ],
        defaults: &["name", "source_id"],
        orders: &["created_at", "name", "id", "email", "source_id", "updated_at"],
    },
    Foreign {
        name: "order",
        fields: &[
            "id",
            "source_id",
            "created_at",
            "updated_at",
            "status",
            "amount",
            "discount_amount",
            "items_discount_amount",
            "total_discount_amount",
            "total_amount",
            "customer_id",
            "referrer_id",
            METADATA,
        ],
        defaults: &["id", "source_id", "status"],
        orders: &["created_at", "updated_at", "status"],
    },
    Foreign {
        name: "points_expiration",
        fields: &["id", "campaign_id", "voucher_id", "points", "status", "expires_at"],
        defaults: &["id", "campaign_id", "voucher_id", "status", "expires_at", "points"],
        orders: &["expires_at"],
    },
    Foreign {
        name: "voucher_transactions",
        fields: &["id", "campaign_id", "voucher_id", "type", "source_id", "status", "reason", "source", "balance", "amount", "related_transaction_id", "created_at", "details"],
        defaults: &["id", "type", "source_id", "status", "reason", "source", "balance", "amount", "created_at"],
        orders: &["created_at"],
    },
    Foreign {
        name: "product",
        fields: &["id", "name", "price", "image_url", "source_id", "attributes", "created_at", "updated_at", METADATA],
        defaults: &["id", "name", "price", "image_url", "source_id", "attributes", "created_at"],
        orders: &["created_at", "updated_at", "id", "name", "source_id", "product_id", "sku"],
    },
    Foreign {
        name: "sku",
        fields: &["id", "sku", "product_id", "currency", "price", "image_url", "source_id", "attributes", "created_at", "updated_at", METADATA],
        defaults: &["id", "sku", "product_id", "currency", "price", "image_url", "source_id", "attributes", "created_at"],
        orders: &["created_at", "updated_at", "id", "name", "source_id", "product_id", "sku"],
    },
];

impl Object {
    /// The object of a name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Table::parse(name).map(Self::Log).or_else(|| FOREIGN.iter().find(|f| f.name == name).map(Self::Foreign))
    }
    /// The names of all objects.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        FOREIGN.iter().map(|f| f.name).chain(Table::ALL.into_iter().map(Table::name))
    }
    /// The name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Log(table) => table.name(),
            Self::Foreign(foreign) => foreign.name,
        }
    }
    /// The fields that can be asked for.
    pub(super) fn fields(self) -> Vec<&'static str> {
        match self {
            Self::Log(table) => table.names().collect(),
            Self::Foreign(foreign) => foreign.fields.to_vec(),
        }
    }
    /// The fields of whoever asks for none.
    pub(super) fn defaults(self) -> &'static [&'static str] {
        match self {
            Self::Log(table) => table.default_fields(),
            Self::Foreign(foreign) => foreign.defaults,
        }
    }
    /// The orders, without those that go backwards.
    pub(super) fn orders(self) -> &'static [&'static str] {
        match self {
            Self::Log(_) => &["created_at"],
            Self::Foreign(foreign) => foreign.orders,
        }
    }
    /// True for a field that can be asked for.
    pub(super) fn has_field(self, field: &str) -> bool {
        match self {
            Self::Log(table) => table.names().any(|name| name == field),
            Self::Foreign(foreign) => {
                let key = field.strip_prefix("metadata.").filter(|key| !key.is_empty() && key.chars().count() <= NAME_CHARS);
                foreign.fields.contains(&field) || (key.is_some() && foreign.fields.contains(&METADATA))
            }
        }
    }
}

/// The header row of a table.
pub(super) fn header<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = |name: String| if name.contains([',', '"', '\r', '\n']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name };
    let heads: Vec<String> = fields.into_iter().map(|field| quoted(head(field))).collect();
    format!("{}\r\n", heads.join(","))
}

/// A key of the metadata stays as its owner wrote it.
fn head(field: &str) -> String {
    match field.split_once('.') {
        Some((METADATA, key)) => format!("{}.{key}", title(METADATA)),
        _ => title(field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_field_and_every_object_is_found_by_its_name() {
        let names: Vec<_> = Object::names().collect();
        assert_eq!(names, ["voucher", "redemption", "publication", "customer", "order", "points_expiration", "voucher_transactions", "product", "sku", "api_log", "event"]);
        for name in names {
            let object = Object::parse(name).expect(name);
            assert_eq!(object.name(), name);
            assert!(object.defaults().iter().all(|field| object.has_field(field)) && !object.defaults().is_empty(), "{name}");
            assert!(!object.orders().is_empty(), "{name}");
        }
        assert_eq!(Object::parse("campaign"), None);
    }

    #[test]
    fn the_tables_have_as_many_fields_as_documented() {
        let count = |name| Object::parse(name).expect(name).fields().len();
        assert_eq!((count("voucher"), count("customer"), count("redemption"), count("order"), count("api_log")), (33, 30, 18, 13, 14));
    }

    #[test]
    fn metadata_has_keys_where_there_is_metadata() {
        let has = |object, field| Object::parse(object).expect(object).has_field(field);
        assert!(has("voucher", "metadata") && has("voucher", "metadata.Shop Id") && has("customer", "metadata.a.b"));
        assert!(!has("voucher", "metadata.") && !has("points_expiration", "metadata.x") && !has("api_log", "metadata.x") && !has("voucher", "nothing"));
    }

    #[test]
    fn headers_are_titles() {
        assert_eq!(header(["id", "code", "voucher_type", "value"]), "ID,Code,Voucher Type,Value\r\n");
        assert_eq!(header(["metadata", "metadata.shop_id", "metadata.a,\"b\""]), "Metadata,Metadata.shop_id,\"Metadata.a,\"\"b\"\"\"\r\n");
    }
}
