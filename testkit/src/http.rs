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
    parse(&String::from_utf8_lossy(&bytes))
}

fn authorization(login: &str) -> String {
    use base64::Engine as _;
    format!("Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(login))
}

fn parse(text: &str) -> Result<Response> {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        bail!("the answer is not HTTP: {text:.100}");
    };
    let status = head.split(' ').nth(1).context("the answer has no status")?.parse()?;
    Ok(Response { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_are_read() -> Result<()> {
        let response = parse("HTTP/1.0 429 Too Many Requests\r\nA: b\r\n\r\n{}")?;
        assert_eq!((response.status, response.body.as_str()), (429, "{}"));
        assert!(parse("+PONG\r\n").is_err());
        Ok(())
    }
}
