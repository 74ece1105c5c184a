use axum::http::HeaderValue;

use super::*;

fn of(socket: &str, forwarded: &[&'static str], trusted: &str) -> String {
    let mut headers = HeaderMap::new();
    for list in forwarded {
        headers.append(FORWARDED_FOR, HeaderValue::from_static(list));
    }
    let trusted: Vec<Network> = trusted.split_whitespace().map(|n| n.parse().unwrap()).collect();
    Peer::of(Some(Socket(socket.parse().unwrap())), &headers, &trusted).0.to_string()
}

#[test]
fn only_a_trusted_proxy_is_believed() {
    for (socket, forwarded, trusted, want) in [
        ("198.51.100.7", &[][..], "", "198.51.100.7"),
        ("198.51.100.7", &["203.0.113.9"], "", "198.51.100.7"),
        ("198.51.100.7", &["203.0.113.9"], "10.0.0.0/8", "198.51.100.7"),
        ("10.1.2.3", &["203.0.113.9"], "10.0.0.0/8", "203.0.113.9"),
        // What the client wrote itself stands before what the proxy added.
        ("10.1.2.3", &["192.0.2.1, 203.0.113.9"], "10.0.0.0/8", "203.0.113.9"),
        ("10.1.2.3", &["192.0.2.1", "203.0.113.9, 10.9.9.9"], "10.0.0.0/8", "203.0.113.9"),
        ("10.1.2.3", &["10.0.0.1, 10.0.0.2"], "10.0.0.0/8", "10.0.0.1"),
        ("10.1.2.3", &[], "10.0.0.0/8", "10.1.2.3"),
        ("10.1.2.3", &["203.0.113.9, unknown"], "10.0.0.0/8", "10.1.2.3"),
        ("::ffff:10.1.2.3", &["203.0.113.9:4711"], "10.0.0.0/8", "203.0.113.9"),
        ("fd00::1", &["[2001:db8::5]:443, ::ffff:10.0.0.1"], "fd00::/8 10.0.0.1", "2001:db8::5"),
    ] {
        assert_eq!(of(socket, forwarded, trusted), want, "{socket} {forwarded:?} {trusted}");
    }
    assert_eq!(Peer::of(None, &HeaderMap::new(), &[]).0.to_string(), "0.0.0.0");
}

#[test]
fn networks() {
    let has = |network: &str, address: &str| network.parse::<Network>().unwrap().has(address.parse().unwrap());
    assert!(has("0.0.0.0/0", "255.1.2.3") && !has("0.0.0.0/0", "2001:db8::1"));
    assert!(has("192.0.2.4/31", "192.0.2.5") && !has("192.0.2.4/31", "192.0.2.6"));
    assert!(has("192.0.2.4", "192.0.2.4") && !has("192.0.2.4", "192.0.2.5"));
    assert!(has("::/0", "192.0.2.4") && has("2001:db8::/32", "2001:db8:1::") && !has("2001:db8::/32", "2001:db9::"));
    for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "host"] {
        assert!(wrong.parse::<Network>().unwrap_err().contains("10.0.0.0/8"), "{wrong}");
    }
}
