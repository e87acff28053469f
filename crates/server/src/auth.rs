//! The login to the page and the metrics.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use constant_time_eq::constant_time_eq;
use millstream_stage::options::Secret;

/// Lets a request pass that knows the password, or any where there is none.
pub(crate) async fn check(State(password): State<Option<Secret>>, request: Request, next: Next) -> Response {
    match password {
        Some(password) if !knows(request.headers(), &password) => refuse(),
        _ => next.run(request).await,
    }
}

fn knows(headers: &HeaderMap, password: &Secret) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let login = given
        .and_then(|given| given.strip_prefix("Basic "))
        .and_then(|text| BASE64_STANDARD.decode(text).ok());
    let Some(login) = login else { return false };
    let colon = login.iter().position(|byte| *byte == b':').map_or(login.len(), |colon| colon + 1);
    constant_time_eq(&login[colon..], password.reveal().as_bytes())
}

fn refuse() -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"Millstream\", charset=\"UTF-8\"")];
    (StatusCode::UNAUTHORIZED, challenge, "a password is needed\n").into_response()
}
