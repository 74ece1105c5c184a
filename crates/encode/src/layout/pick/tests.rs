use super::*;
use crate::Layout;

fn header(pick: Pick) -> String {
    let mut out = Vec::new();
    Layout::Picked(pick).write_header(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn names_choose_columns_in_their_order() {
    let pick = Pick::new(Table::ApiLog, &["request_id", "id", "user_email", "created_at"]).unwrap();
    assert_eq!(pick.fields().collect::<Vec<_>>(), ["request_id", "id", "user_email", "created_at"]);
    assert_eq!(header(pick), "Request ID,ID,User Email,Created At\r\n");
    let swapped = Pick::new(Table::ApiLog, &["id", "request_id", "user_email", "created_at"]).unwrap();
    assert_ne!(pick, swapped);
    for fields in [&[][..], &["id", "id"], &["id", "action"], &["ID"], &[""], &["id"; 65]] {
        assert_eq!(Pick::new(Table::ApiLog, fields), None, "{fields:?}");
    }
}

#[test]
fn every_table_can_be_chosen_whole() {
    for table in Table::ALL {
        let all: Vec<_> = table.names().collect();
        assert_eq!(Pick::new(table, &all).map(|p| p.fields().collect()), Some(all));
        assert!(Pick::new(table, table.default_fields()).is_some());
        assert_eq!(Table::parse(table.name()), Some(table));
    }
    let event: Vec<_> = Table::Event.names().collect();
    assert!(Field::ALL.iter().all(|f| event.contains(&f.column())));
    assert_eq!((event.len(), event[0], event[7], event[42]), (43, "id", "action", "diff"));
    assert_eq!(Table::parse("voucher"), None);
}

#[test]
fn titles() {
    for (field, want) in
        [("id", "ID"), ("app_id", "App ID"), ("client_app_id", "Client App ID"), ("created_at", "Created At"), ("url", "Url"), ("idle", "Idle"), ("voucher_type", "Voucher Type")]
    {
        assert_eq!(title(field), want);
    }
}
