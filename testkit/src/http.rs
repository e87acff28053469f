//! Asks a server on loopback how it is.

use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::Agent;
use ureq::http::Request;

/// How long a server may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the rest of the answer may take.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// What a server answered.
#[derive(Debug)]
pub struct Response {
    /// The status code, such as 200.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Sends `GET path` to a port on loopback, with `user:password` if given. Waits 5 s at most for the answer.
///
/// # Errors
/// If there is no connection, or no well-formed answer.
pub fn get(port: u16, path: &str, login: Option<&str>) -> Result<Response> {
    request(port, "GET", path, login, "")
}

/// Sends `method path` with a JSON `body` to a port on loopback. Every status is an answer, redirects
/// included.
///
/// # Errors
/// If there is no connection, or no well-formed answer.
pub fn request(port: u16, method: &str, path: &str, login: Option<&str>, body: &str) -> Result<Response> {
    send(
        port,
        method,
        path,
        login,
        &Content { patience: PATIENCE, kind: "application/json", body: body.as_bytes() },
    )
}

/// What a request carries, and how long its answer may take to begin.
pub(crate) struct Content<'a> {
    pub(crate) patience: Duration,
    pub(crate) kind: &'a str,
    pub(crate) body: &'a [u8],
}

/// As [`request`], with any content.
pub(crate) fn send(
    port: u16,
    method: &str,
    path: &str,
    login: Option<&str>,
    content: &Content<'_>,
) -> Result<Response> {
    let url = format!("http://127.0.0.1:{port}{path}");
    let mut request = Request::builder().method(method).uri(url).header("Content-Type", content.kind);
    if let Some(login) = login {
        request = request.header("Authorization", format!("Basic {}", STANDARD.encode(login)));
    }
    let agent = agent(content.patience);
    let mut answer = match content.body {
        [] => agent.run(request.body(())?)?,
        body => agent.run(request.body(body)?)?,
    };
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(u64::MAX).read_to_string()?;
    Ok(Response { status, body })
}

// A new one for each request: no connection outlives it, and none is left of a server that was restarted.
fn agent(patience: Duration) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None) // not even where the environment names one
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(patience))
        .timeout_recv_body(Some(BODY_PATIENCE))
        .build()
        .into()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    // What a request looks like to a server that answers so.
    fn asked(answer: &'static [u8], ask: impl FnOnce(u16) -> Result<Response>) -> (String, Result<Response>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::Builder::new().spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let length = client.read(&mut request).unwrap();
            client.write_all(answer).unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let response = ask(port);
        (server.unwrap().join().unwrap(), response)
    }

    #[test]
    fn status_and_body_are_read_whatever_the_status() {
        let busy = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}";
        let (request, response) = asked(busy, |port| get(port, "/a?b=c", Some("user:password")));
        let response = response.unwrap();
        assert_eq!((response.status, response.body.as_str()), (429, "{}"));
        assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
        assert!(
            request.to_lowercase().contains("authorization: basic dxnlcjpwyxnzd29yza==\r\n"),
            "{request}"
        );
    }

    #[test]
    fn every_method_may_come_without_a_body() {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
            let (sent, response) = asked(accepted, |port| request(port, method, "/x", None, ""));
            assert_eq!(response.unwrap().status, 202);
            assert!(sent.starts_with(&format!("{method} /x ")), "{sent}");
        }
    }

    #[test]
    fn an_answer_that_is_not_http_is_an_error() {
        let (_, response) = asked(b"+PONG\r\n", |port| get(port, "/", None));
        assert!(response.is_err());
    }
}
