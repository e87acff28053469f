//! The login: a user with a password, or an API key.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millstream_record::{Error, Result};
use millstream_stage::options::Secret;
use reqwest::header::HeaderValue;

use crate::config::ElasticsearchOptions;

/// The `Authorization` header, if there is a login. Reads the environment or a file where the options say so.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when the secret is not where it
/// should be.
pub(crate) fn authorization(options: &ElasticsearchOptions) -> Result<Option<HeaderValue>> {
    let key = secret("api-key", &options.api_key, &options.api_key_env, options.api_key_file.as_deref())?;
    if let Some(key) = key {
        return header(&format!("ApiKey {}", key.reveal())).map(Some);
    }
    let Some(username) = &options.username else {
        return Ok(None);
    };
    let password =
        secret("password", &options.password, &options.password_env, options.password_file.as_deref())?;
    let login = format!("{username}:{}", password.as_ref().map_or("", Secret::reveal));
    header(&format!("Basic {}", STANDARD.encode(login))).map(Some)
}

fn secret(
    name: &str,
    given: &Option<Secret>,
    variable: &Option<String>,
    file: Option<&Path>,
) -> Result<Option<Secret>> {
    let missing = |place: &str| Error::configuration(format!("{name} cannot be read from {place}"));
    if let Some(variable) = variable {
        let text = std::env::var(variable);
        let text = text.map_err(|cause| missing(&format!("the variable {variable}")).caused_by(cause))?;
        return Ok(Some(text.into()));
    }
    let Some(file) = file else {
        return Ok(given.clone());
    };
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|cause| missing(&file.display().to_string()).caused_by(cause))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).into()))
}

fn header(text: &str) -> Result<HeaderValue> {
    let value = HeaderValue::from_str(text);
    // The error itself would not tell where the character is, and the text must not be shown.
    let mut value =
        value.map_err(|_| Error::configuration("api-key contains a character that no header can hold"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(options: &ElasticsearchOptions) -> String {
        authorization(options).unwrap().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn name_and_password_or_a_key() {
        let named = ElasticsearchOptions {
            username: Some("Aladdin".into()),
            password: Some("open sesame".into()),
            ..Default::default()
        };
        assert_eq!(text(&named), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "the example of RFC 7617");
        let key = ElasticsearchOptions { api_key: Some("aWQ6a2V5".into()), ..Default::default() };
        assert_eq!(text(&key), "ApiKey aWQ6a2V5");
        assert!(!format!("{:?}", authorization(&key)).contains("aWQ6a2V5"));
        assert_eq!(authorization(&ElasticsearchOptions::default()).unwrap(), None);
    }

    #[test]
    fn a_secret_comes_from_a_file_without_its_last_line_break() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "open sesame\n").unwrap();
        let options = ElasticsearchOptions {
            username: Some("Aladdin".into()),
            password_file: Some(file.path().into()),
            ..Default::default()
        };
        assert_eq!(text(&options), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn a_secret_that_is_not_there_is_an_error_that_says_where() {
        let options =
            ElasticsearchOptions { api_key_file: Some("/does/not/exist".into()), ..Default::default() };
        assert!(authorization(&options).unwrap_err().to_string().contains("/does/not/exist"));
        let options = ElasticsearchOptions {
            api_key_env: Some("MILLSTREAM_NO_SUCH_VARIABLE".into()),
            ..Default::default()
        };
        assert!(authorization(&options).unwrap_err().to_string().contains("MILLSTREAM_NO_SUCH_VARIABLE"));
    }
}
