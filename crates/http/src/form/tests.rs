use super::*;

#[test]
fn fields_are_taken() {
    let mut form = Form::parse(b"grant_type=password&username=a%40b.example&password=p+w%26&scope=&other=1").expect("a form");
    assert_eq!(form.take("username").as_deref(), Some("a@b.example"));
    assert_eq!(form.take("password").as_deref(), Some("p w&"));
    assert_eq!((form.take("scope"), form.take("none"), form.take("username")), (None, None, None));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let kind = |text: &[u8]| Form::parse(text).err().map(|e| e.kind());
    assert_eq!(kind(b"a=1&a=2"), Some(Kind::Invalid));
    for bad in [&b"a=%zz"[..], b"a=%00", b"a=%ff", b"\xff=1"] {
        assert_eq!(kind(bad), Some(Kind::Malformed), "{bad:?}");
    }
    assert_eq!(kind(b""), None);
    // Many fields cost a look at each pair: the body's limit bounds them.
    let many: Vec<String> = (0..5000).map(|i| format!("f{i}=1")).collect();
    assert_eq!(kind(many.join("&").as_bytes()), None);
}
