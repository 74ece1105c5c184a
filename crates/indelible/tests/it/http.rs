//! A client for tests: one HTTP/1.1 request on one connection. Never: follows, retries, decodes content.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Header or trailer fields in their order.
type Fields = Vec<(String, String)>;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case; trailers come last.
    pub(crate) headers: Fields,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first header of that (lower-case) name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    /// The body as text; what is not UTF-8 is replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends one request to `address` and reads the whole answer.
pub(crate) fn send(address: &str, method: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> Result<Answer, String> {
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method != "GET" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        socket.write_all(head.as_bytes())?;
        // A server that refuses a request may close before it has read the body: its answer counts all the same.
        let sent = socket.write_all(body);
        let mut bytes = Vec::new();
        match (socket.read_to_end(&mut bytes), sent) {
            (Err(e), _) if bytes.is_empty() => Err(e),
            (_, Err(e)) if bytes.is_empty() => Err(e),
            _ => Ok(bytes),
        }
    };
    parse(&exchange().map_err(|e| format!("{method} {path}: {e}"))?)
}

fn parse(bytes: &[u8]) -> Result<Answer, String> {
    let end = find(bytes, b"\r\n\r\n").ok_or("the answer has no end of headers")?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|e| e.to_string())?;
    let (first, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| format!("bad status line: {first}"))?;
    let mut answer = Answer { status, headers: fields(rest), body: bytes[end + 4..].to_vec() };
    if answer.header("transfer-encoding") == Some("chunked") {
        let (body, trailers) = chunked(&answer.body)?;
        answer.body = body;
        answer.headers.extend(trailers);
    } else if let Some(length) = answer.header("content-length")
        && length.parse() != Ok(answer.body.len())
    {
        return Err(format!("content-length is {length}, the body has {} bytes", answer.body.len()));
    }
    Ok(answer)
}

fn fields(text: &str) -> Fields {
    text.split("\r\n").filter_map(|l| l.split_once(':')).map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())).collect()
}

/// A chunked body and its trailers; an error if it does not end as it should.
fn chunked(mut rest: &[u8]) -> Result<(Vec<u8>, Fields), String> {
    let mut body = Vec::new();
    loop {
        let line = find(rest, b"\r\n").ok_or("the stream was cut off: no last chunk")?;
        let size = std::str::from_utf8(&rest[..line]).ok().and_then(|s| usize::from_str_radix(s, 16).ok()).ok_or("bad chunk size")?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Ok((body, fields(&String::from_utf8_lossy(rest))));
        }
        body.extend_from_slice(rest.get(..size).ok_or("the stream was cut off inside a chunk")?);
        rest = rest.get(size + 2..).ok_or("the stream was cut off after a chunk")?;
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|w| w == needle)
}

#[test]
fn reads_plain_and_chunked_answers() {
    let plain = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi").unwrap();
    assert_eq!((plain.status, plain.header("x-a"), plain.text().as_str()), (200, Some("b"), "hi"));
    let chunks = parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\na\r\n0123456789\r\n0\r\nx-rows: 3\r\n\r\n").unwrap();
    assert_eq!((chunks.text().as_str(), chunks.header("x-rows")), ("hi0123456789", Some("3")));
}

#[test]
fn a_stream_that_was_cut_off_is_an_error() {
    assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n").is_err());
    assert!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi").is_err());
}
