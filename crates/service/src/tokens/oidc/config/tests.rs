use super::*;

const GOOD: &str = r#"
[[provider]]
name = "corp"
issuer = "https://login.example.com"
client_id = "indelible"
client_secret_env = "CORP_SECRET"
audiences = ["https://audit.example.com"]
project = "default"
let_in_unknown = true
roles_claim = "groups"
organizations_claim = "orgs"
[provider.roles]
auditors = "auditor"
shops = "MERCHANT_STAFF"
"#;

fn read(text: &str) -> Result<Vec<OidcProvider>> {
    OidcProvider::read_all(text, |name| (name == "CORP_SECRET").then(|| "s3cret".to_owned()))
}

#[test]
fn a_file_is_read() {
    let [corp] = &read(GOOD).unwrap()[..] else { panic!("one") };
    assert_eq!((corp.name(), corp.issuer(), corp.client_secret.as_deref()), ("corp", "https://login.example.com", Some("s3cret")));
    assert_eq!(corp.scopes, ["openid", "email", "profile"]);
    assert_eq!(corp.roles["shops"], Role::MerchantStaff);
    assert!(!format!("{corp:?}").contains("s3cret"));
    assert_eq!(read("provider = []").unwrap(), []);
}

#[test]
fn mistakes_are_named() {
    let with = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from}");
        read(&GOOD.replace(from, to)).unwrap_err().public().to_owned()
    };
    for (from, to, what) in [
        ("\"corp\"", "\"Corp\"", "lower-case"),
        ("\"corp\"", "\"../x\"", "lower-case"),
        ("https://login", "http://login", "https://"),
        ("https://login.example.com", "https://login.example.com?x", "query"),
        ("https://login.example.com", "https://user:pw@login.example.com", "https://"),
        ("client_secret_env = \"CORP_SECRET\"", "client_secret_env = \"NOWHERE\"", "NOWHERE is not set"),
        ("client_secret_env = \"CORP_SECRET\"", "client_secret_env = \"CORP_SECRET\"\nclient_secret = \"x\"", "not both"),
        ("\"auditor\"", "\"king\"", "is not a role"),
        ("roles_claim = \"groups\"", "", "belong together"),
        ("organizations_claim = \"orgs\"", "", "needs organizations_claim"),
        ("\"default\"", "\"\"", "must not be empty"),
        ("let_in_unknown = true", "let_in = true", "unknown field"),
        ("project = \"default\"", "scopes = [\"email\"]\nproject = \"default\"", "openid"),
    ] {
        let said = with(from, to);
        assert!(said.contains(what), "{said}");
    }
    let twice = |second: &str| read(&format!("{GOOD}{second}")).unwrap_err().public().to_owned();
    assert!(twice(GOOD).contains("two of this name"));
    assert!(twice(&GOOD.replace("\"corp\"", "\"other\"")).contains("another provider's"));
    assert_eq!(read(&format!("{GOOD}{}", GOOD.replace("\"corp\"", "\"other\"").replace("audit.example", "audit2.example"))).unwrap().len(), 2);
}

#[test]
fn urls_that_others_could_change_are_not_safe() {
    for good in ["https://a.example", "https://a.example:8443/x", "http://localhost:1", "http://127.0.0.1:99/a", "http://[::1]"] {
        assert!(is_safe(good), "{good}");
    }
    for bad in
        ["", "a.example", "http://a.example", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "ftp://localhost", "file:///x", "https://u@a.example", "https://"]
    {
        assert!(!is_safe(bad), "{bad}");
    }
}
