//! Events to look at when a store is empty.

use indelible_model::Timestamp;

const ACTIONS: [(&str, &str); 8] = [
    ("user.login", "session"),
    ("user.login_failed", "session"),
    ("document.viewed", "document"),
    ("document.updated", "document"),
    ("document.shared", "document"),
    ("role.assigned", "role"),
    ("invoice.paid", "invoice"),
    ("api_key.revoked", "api_key"),
];
const PEOPLE: [(&str, &str); 6] = [
    ("Jane Doe", "jane@example.com"),
    ("Ahmed Haddad", "ahmed@example.com"),
    ("Zoë Müller", "zoe@example.org"),
    ("Kwame Mensah", "kwame@example.com"),
    ("李 雷", "lei@example.cn"),
    ("O'Brien, Pat", "pat@example.org"),
];

/// `count` events in the native shape, spread over the thirty days before `now`; the same for the same arguments.
pub fn events(count: usize, seed: u64, now: Timestamp) -> impl Iterator<Item = String> {
    let step = 30 * 86_400_000_000 / i64::try_from(count.max(1)).unwrap_or(i64::MAX);
    let mut state = seed;
    (0..count).map(move |i| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = |shift: u32, of: usize| usize::try_from(state >> shift).unwrap_or(0) % of;
        let (action, target) = ACTIONS[pick(33, ACTIONS.len())];
        let who = pick(40, PEOPLE.len());
        let (name, email) = PEOPLE[who];
        let thing = pick(20, 500);
        let at = Timestamp::clamped(now.micros() - step * i64::try_from(count - i).unwrap_or(0));
        let diff = if action == "document.updated" { r#","diff":{"before":{"status":"draft"},"after":{"status":"published"}}"# } else { "" };
        format!(
            r#"{{"action":"{action}","actor":{{"id":"usr_{who}","type":"user","meta":{{"name":"{name}","email":"{email}"}}}},"target":{{"type":"{target}","id":"{target}_{thing}","meta":{{"name":"{target} {thing}"}}}},"context":{{"ip":"203.0.113.{}","user_agent":"Mozilla/5.0"}}{diff},"metadata":{{"demo":true}},"organization":{{"id":"org_{}","name":"Organization {}"}},"occurred_at":"{at}"}}"#,
            thing % 250,
            thing % 3,
            thing % 3,
        )
    })
}
