use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

use super::*;

/// RFC 7515, appendix A.2 and A.3, and their keys.
const RSA: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const EC: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::clamped(NOW * 1_000_000)
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn key() -> PublicKey {
    PublicKey::Ed25519(pair().public_key().as_ref().try_into().unwrap())
}

fn jwk(json: &Value) -> Option<PublicKey> {
    PublicKey::from_jwk(json.as_object().unwrap())
}

fn rsa(n: &str) -> Option<PublicKey> {
    jwk(&json!({ "kty": "RSA", "n": n, "e": "AQAB" }))
}

fn ec() -> PublicKey {
    jwk(&json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" })).unwrap()
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token of any header and claims, signed well.
fn token(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(pair().sign(signed.as_bytes())))
}

const HEADER: &str = r#"{"alg":"EdDSA","kid":"k","typ":"at+jwt"}"#;

fn claims() -> String {
    json!({ "iss": "i", "aud": "a", "sub": "s", "exp": NOW + 60, "nbf": NOW, "iat": NOW }).to_string()
}

/// The whole way: read, verify, check.
fn judge(token: &str, key: &PublicKey) -> Result<()> {
    Unverified::read(token)?.verify(key)?.check("i", "a", now())
}

fn with(header: &str) -> Result<()> {
    judge(&token(header, &claims()), &key())
}

fn claiming(change: impl FnOnce(&mut Map<String, Value>)) -> Result<()> {
    let mut members: Map<String, Value> = serde_json::from_str(&claims()).unwrap();
    change(&mut members);
    judge(&token(HEADER, &Value::Object(members).to_string()), &key())
}

#[test]
fn what_we_sign_is_good() {
    let claims: Value = serde_json::from_str(&claims()).unwrap();
    let signed = sign(&pair(), "k", "at+jwt", &claims);
    assert_eq!(judge(&signed, &key()), Ok(()));
    let read = Unverified::read(&signed).unwrap();
    assert_eq!((read.key(), read.kind(), read.issuer()), (Some("k"), Some("at+jwt"), Ok("i")));
    assert_eq!(with(HEADER), Ok(()));
}

#[test]
fn published_examples_are_good_with_their_own_key_only() {
    let keys = [rsa(RSA_N).unwrap(), ec(), key()];
    for (text, good) in [(RSA, 0), (EC, 1)] {
        for (i, key) in keys.iter().enumerate() {
            let verified = Unverified::read(text).unwrap().verify(key).map(drop);
            assert_eq!(verified, if i == good { Ok(()) } else { Err(Refusal::Algorithm) });
        }
        let last = text.len() - 2;
        let other = format!("{}{}{}", &text[..last], if &text[last..=last] == "A" { "B" } else { "A" }, &text[last + 1..]);
        let changed = Unverified::read(&other).unwrap().verify(&keys[good]).map(drop);
        assert_eq!(changed, Err(Refusal::Signature));
    }
}

#[test]
fn the_key_says_the_algorithm() {
    for alg in ["none", "None", "NONE", "", "HS256", "HS512", "PS256", "RS384", "ES384", "ES256K", "eddsa", "EdDSA ", "dir"] {
        assert_eq!(with(&json!({ "alg": alg, "kid": "k" }).to_string()), Err(Refusal::Algorithm), "{alg}");
    }
    for header in [r#"{"kid":"k"}"#, r#"{"alg":null}"#, r#"{"alg":["EdDSA"]}"#, r#"{"Alg":"EdDSA"}"#] {
        assert_eq!(with(header), Err(Refusal::Algorithm), "{header}");
    }
    // The header names another algorithm that is allowed elsewhere, over an Ed25519 signature.
    for alg in ["RS256", "ES256"] {
        assert_eq!(with(&json!({ "alg": alg }).to_string()), Err(Refusal::Algorithm));
    }
    // The public key as the secret of an HMAC, in the forms that it is published in.
    let PublicKey::Ed25519(public) = key() else { unreachable!() };
    for secret in [public.to_vec(), URL_SAFE_NO_PAD.encode(public).into_bytes()] {
        let signed = format!("{}.{}", encode(r#"{"alg":"HS256","kid":"k"}"#), encode(&claims()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
        assert_eq!(judge(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)), &key()), Err(Refusal::Algorithm));
        // The same, with a header that names what the key is for.
        let signed = format!("{}.{}", encode(HEADER), encode(&claims()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, &secret), signed.as_bytes());
        assert_eq!(judge(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)), &key()), Err(Refusal::Signature));
    }
    // An empty signature is none.
    let unsigned = format!("{}.{}.", encode(HEADER), encode(&claims()));
    assert_eq!(judge(&unsigned, &key()), Err(Refusal::Signature));
}

#[test]
fn a_token_brings_no_key_and_no_extension() {
    let own = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair().public_key()) });
    for (name, value) in [
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("jwk", own),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
    ] {
        let mut header: Value = serde_json::from_str(HEADER).unwrap();
        header[name] = value;
        assert_eq!(with(&header.to_string()), Err(Refusal::Header), "{header}");
    }
    assert_eq!(with(r#"{"alg":"EdDSA","b64":false,"crit":["b64"]}"#), Err(Refusal::Header));
    assert_eq!(with(r#"{"alg":"EdDSA","http://example.com/x":1,"crit":["http://example.com/x"]}"#), Err(Refusal::Header));
    assert_eq!(with(r#"{"alg":"EdDSA","kid":7}"#), Err(Refusal::Header));
    assert_eq!(with(r#"{"alg":"EdDSA","typ":["JWT"]}"#), Err(Refusal::Header));
}

#[test]
fn a_token_has_one_spelling() {
    let good = token(HEADER, &claims());
    assert_eq!(judge(&good, &key()), Ok(()));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let malformed = [
        String::new(),
        "..".into(),
        "a.b".into(),
        header.into(),
        signed.into(),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{good}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{header}.{payload}. {signature}"),
        format!("{header}.{}.{signature}", payload.replace(&payload[4..5], "+")),
        format!("{}%.{payload}.{signature}", &header[1..]),
        // The flattened form.
        json!({ "payload": payload, "protected": header, "signature": signature }).to_string(),
        // One that is encrypted has five parts.
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        // JSON with something behind it, or that is no object.
        token(&format!("{HEADER} {{}}"), &claims()),
        token("[]", &claims()),
        token("\"EdDSA\"", &claims()),
        token(HEADER, "[]"),
        token(HEADER, "null"),
        token(HEADER, ""),
        token(&format!("\u{feff}{HEADER}"), &claims()),
        // Too large, too deep.
        token(HEADER, &json!({ "iss": "i", "pad": "x".repeat(MAX_BYTES) }).to_string()),
        token(HEADER, &format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40))),
    ];
    for text in malformed {
        assert_eq!(judge(&text, &key()), Err(Refusal::Malformed), "{text:.200}");
    }
    // Bits that mean nothing must be zero: the last character of 64 bytes carries four of them.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(&good[good.len() - 1..]).unwrap();
    for other in (last & 0b11_0000..).take(16).filter(|i| *i != last) {
        let text = format!("{}{}", &good[..good.len() - 1], &alphabet[other..=other]);
        assert_eq!(judge(&text, &key()), Err(Refusal::Malformed));
    }
    // Fewer bytes, and bytes behind it.
    for cut in [&signature[..84], &signature[..43], "AAAA", &format!("{signature}AA")] {
        let text = format!("{signed}.{cut}");
        assert!(matches!(judge(&text, &key()), Err(Refusal::Signature | Refusal::Malformed)), "{cut}");
    }
    // Every byte of what is signed is signed.
    for (i, other) in [(1, "B"), (header.len() + 3, "Z"), (signed.len() - 3, "q")] {
        let text = format!("{}{other}{}", &good[..i], &good[i + 1..]);
        assert!(judge(&text, &key()).is_err(), "{i}");
    }
}

#[test]
fn no_member_is_there_twice() {
    let (first, second) = (r#"{"alg":"none","alg":"EdDSA"}"#, r#"{"alg":"EdDSA","al\u0067":"EdDSA"}"#);
    for header in [first, second, r#"{"alg":"EdDSA","x":{"a":1,"a":2}}"#] {
        assert_eq!(with(header), Err(Refusal::Malformed), "{header}");
    }
    let twice = claims().replacen('{', r#"{"aud":"other","#, 1);
    assert_eq!(judge(&token(HEADER, &twice), &key()), Err(Refusal::Malformed));
    let hidden = claims().replacen('{', r#"{"\u0065xp":9999999999,"#, 1);
    assert_eq!(judge(&token(HEADER, &hidden), &key()), Err(Refusal::Malformed));
}

#[test]
fn issuer_audience_and_times_are_checked() {
    assert_eq!(claiming(|_| ()), Ok(()));
    for issuer in [json!("I"), json!("i/"), json!("ii")] {
        assert_eq!(claiming(|c| c["iss"] = issuer), Err(Refusal::Issuer));
    }
    for issuer in [json!(["i"]), json!(null), json!("")] {
        assert_eq!(claiming(|c| c["iss"] = issuer), Err(Refusal::Claim("iss")));
    }
    for audience in [json!("b"), json!(["b", "A"]), json!([]), json!(null), json!({ "a": "a" }), json!([["a"]])] {
        assert_eq!(claiming(|c| c["aud"] = audience), Err(Refusal::Audience));
    }
    assert_eq!(claiming(|c| c["aud"] = json!(["b", "a"])), Ok(()));
    assert_eq!(claiming(|c| drop(c.remove("aud"))), Err(Refusal::Audience));
    for (exp, want) in [(NOW - 59, Ok(())), (NOW - 60, Err(Refusal::Expired)), (0, Err(Refusal::Expired)), (-1, Err(Refusal::Expired))] {
        assert_eq!(claiming(|c| c["exp"] = json!(exp)), want, "{exp}");
    }
    assert_eq!(claiming(|c| c["exp"] = json!(1_800_000_059.5)), Ok(()));
    for exp in [json!("9999999999"), json!(null), json!([NOW + 60]), json!(true)] {
        assert_eq!(claiming(|c| c["exp"] = exp), Err(Refusal::Claim("exp")));
    }
    assert_eq!(claiming(|c| drop(c.remove("exp"))), Err(Refusal::Claim("exp")));
    let text = claims().replace(&(NOW + 60).to_string(), "1e999");
    assert!(judge(&token(HEADER, &text), &key()).is_err());
    for name in ["nbf", "iat"] {
        assert_eq!(claiming(|c| drop(c.remove(name))), Ok(()));
        assert_eq!(claiming(|c| c[name] = json!(NOW + 60)), Ok(()));
        assert_eq!(claiming(|c| c[name] = json!(NOW + 61)), Err(Refusal::NotYet));
        assert_eq!(claiming(|c| c[name] = json!("0")), Err(Refusal::Claim(name)));
    }
}

#[test]
fn keys_are_for_signatures_of_one_algorithm() {
    let x = URL_SAFE_NO_PAD.encode([9; 32]);
    let ed = |change: &dyn Fn(&mut Value)| {
        let mut key = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "use": "sig", "alg": "EdDSA", "key_ops": ["verify"] });
        change(&mut key);
        jwk(&key)
    };
    assert_eq!(ed(&|_| ()), Some(PublicKey::Ed25519([9; 32])));
    let wrong: [&dyn Fn(&mut Value); 9] = [
        &|k| k["use"] = json!("enc"),
        &|k| k["alg"] = json!("RS256"),
        &|k| k["alg"] = json!("HS256"),
        &|k| k["key_ops"] = json!(["sign"]),
        &|k| k["crv"] = json!("X25519"),
        &|k| k["crv"] = json!("Ed448"),
        &|k| k["kty"] = json!("oct"),
        &|k| k["x"] = json!("AAAA"),
        &|k| k["x"] = json!(7),
    ];
    for (i, change) in wrong.iter().enumerate() {
        assert_eq!(ed(change), None, "{i}");
    }
    assert_eq!(jwk(&json!({ "kty": "oct", "k": "AAAA" })), None);
    assert_eq!(jwk(&json!({ "kty": "EC", "crv": "P-384", "x": x, "y": x })), None);
    // A point that is not on the curve verifies nothing.
    let off = jwk(&json!({ "kty": "EC", "crv": "P-256", "x": x, "y": x })).unwrap();
    assert_eq!(Unverified::read(EC).unwrap().verify(&off).map(drop), Err(Refusal::Signature));
    // Zeros in front change nothing; a modulus of 1024 bits is too short.
    let n = URL_SAFE_NO_PAD.decode(RSA_N).unwrap();
    assert_eq!(rsa(&URL_SAFE_NO_PAD.encode([&[0], &n[..]].concat())), rsa(RSA_N));
    let short = rsa(&URL_SAFE_NO_PAD.encode(&n[..128])).unwrap();
    assert_eq!(Unverified::read(RSA).unwrap().verify(&short).map(drop), Err(Refusal::Signature));
}

#[test]
fn signatures_in_der_or_of_zeros_are_none() {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let public = PublicKey::P256(ec.public_key().as_ref().try_into().unwrap());
    let message = b"message";
    let signature = ec.sign(&random, message).unwrap();
    assert!(public.verifies(message, signature.as_ref()));
    let (r, s) = signature.as_ref().split_at(32);
    let der = [&[0x30, 0x46, 0x02, 0x21, 0][..], r, &[0x02, 0x21, 0], s].concat();
    for wrong in [der, vec![0; 64], [r, &[0; 32]].concat(), [&[0; 32], s].concat(), [s, r].concat(), [signature.as_ref(), &[0]].concat(), vec![0xff; 64]] {
        assert!(!public.verifies(message, &wrong), "{wrong:?}");
    }
    // Ed25519: of all encodings of S, the one below the group's order. The order, added to S, gives another that some take.
    let mut signature = pair().sign(message).as_ref().to_vec();
    assert!(key().verifies(message, &signature));
    let order: [u8; 32] = [0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    assert!(!key().verifies(message, &signature));
}

#[test]
fn members_are_found_by_name_before_path() {
    let claims = Claims(object(br#"{"a.b":"name","a":{"b":"path","c":{"d":["x"]}},"https://example.com/roles":"r"}"#, 8).unwrap());
    assert_eq!(claims.find("a.b").unwrap(), "name");
    assert_eq!(claims.find("a.c.d").unwrap(), &json!(["x"]));
    assert_eq!(claims.find("https://example.com/roles").unwrap(), "r");
    assert_eq!((claims.find("a.x"), claims.find("x.y"), claims.find("x")), (None, None, None));
}
