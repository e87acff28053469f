//! Just enough HTTP to ask a server on loopback how it is.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// What a server answered.
#[derive(Debug)]
pub struct Response {
    /// The status code, such as 200.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Sends `GET path` to a port on loopback, with `user:password` if given. Waits 5 s at most for each read.
///
/// # Errors
/// If there is no connection, or no well-formed answer.
pub fn get(port: u16, path: &str, login: Option<&str>) -> Result<Response> {
    request(port, "GET", path, login, "")
}

/// Sends `method path` with a JSON `body` to a port on loopback.
///
/// # Errors
/// If there is no connection, or no well-formed answer.
pub fn request(port: u16, method: &str, path: &str, login: Option<&str>, body: &str) -> Result<Response> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let login = login.map(authorization).unwrap_or_default();
    // HTTP/1.0: the answer is not chunked and ends with the connection.
    let head = format!("{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{login}");
    let kind = "Content-Type: application/json\r\n";
    write!(stream, "{head}{kind}Content-Length: {}\r\n\r\n{body}", body.len())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes)
}

fn authorization(login: &str) -> String {
    use base64::Engine as _;
    format!("Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(login))
}

fn parse(answer: &[u8]) -> Result<Response> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let Some(end) = end else {
        bail!("the answer is not HTTP: {:.100}", String::from_utf8_lossy(answer));
    };
    let (head, body) = (String::from_utf8_lossy(&answer[..end]).to_lowercase(), &answer[end + 4..]);
    let status = head.split(' ').nth(1).context("the answer has no status")?.parse()?;
    // Elasticsearch cuts large answers into chunks, whatever it was asked in.
    let chunked = head.contains("\r\ntransfer-encoding: chunked");
    let body = if chunked { join_chunks(body)? } else { body.to_vec() };
    Ok(Response { status, body: String::from_utf8(body)? })
}

fn join_chunks(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = rest.windows(2).position(|bytes| bytes == b"\r\n").context("a chunk has no length")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line])?.trim(), 16)?;
        if length == 0 {
            return Ok(whole);
        }
        let (chunk, behind) = rest[line + 2..].split_at_checked(length).context("a chunk is cut off")?;
        whole.extend_from_slice(chunk);
        rest = behind.strip_prefix(b"\r\n").context("a chunk does not end")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_are_read() -> Result<()> {
        let response = parse(b"HTTP/1.0 429 Too Many Requests\r\nA: b\r\n\r\n{}")?;
        assert_eq!((response.status, response.body.as_str()), (429, "{}"));
        let chunked = parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n4\r\na\":1\r\n1\r\n}\r\n0\r\n\r\n")?;
        assert_eq!(chunked.body, "{\"a\":1}");
        assert!(parse(b"+PONG\r\n").is_err());
        Ok(())
    }
}
