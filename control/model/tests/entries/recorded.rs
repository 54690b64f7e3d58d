//! What traces keep of requests and answers.

use postern_model::trace::redact;
use serde_json::Value;

/// Content with a secret behind it, of the kind that the first byte chooses: whatever stands before, what is kept does not depend on
/// what the secret is.
pub(crate) fn content(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let content_type = TYPES[usize::from(choice) % TYPES.len()];
    let _ = redact::content(content_type, data);
    let text = String::from_utf8_lossy(data);
    for name in ["referer", "set-cookie", "cookie", "authorization", "www-authenticate"] {
        let _ = redact::header(name, &text);
    }
    let kept = KEPT[usize::from(choice) % KEPT.len()];
    assert_eq!(kept(data, SECRETS[0]), kept(data, SECRETS[1]), "a secret is kept, or what it is shows");
}

/// What of it is recorded; nothing if all of it is withheld.
type Kept = Option<Vec<u8>>;

fn form(data: &[u8], secret: &str) -> Kept {
    kept("application/x-www-form-urlencoded", &[data, b"&password=", secret.as_bytes()].concat())
}

fn lines(data: &[u8], secret: &str) -> Kept {
    kept("text/plain", &[data, b"\npassword=", secret.as_bytes()].concat())
}

fn json(data: &[u8], secret: &str) -> Kept {
    let text = Value::from(String::from_utf8_lossy(data));
    kept("application/json", format!(r#"{{"text":{text},"password":"{secret}"}}"#).as_bytes())
}

fn multipart(data: &[u8], secret: &str) -> Kept {
    let head = b"\r\n--bound\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n";
    let body = [data, head, secret.as_bytes(), b"\r\n--bound--\r\n"].concat();
    kept("multipart/form-data; boundary=bound", &body)
}

fn url(data: &[u8], secret: &str) -> Kept {
    let text = String::from_utf8_lossy(data);
    Some(redact::url(&format!("https://app.example.com/?{text}&password={secret}")).into_bytes())
}

fn kept(content_type: &str, body: &[u8]) -> Kept {
    redact::content(content_type, body).ok().map(|kept| kept.into_owned())
}

const KEPT: [fn(&[u8], &str) -> Kept; 5] = [form, lines, json, multipart, url];
const TYPES: [&str; 5] = [
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/json",
    "multipart/form-data; boundary=bound",
    "text/xml",
];
/// Of one length, which shows in none.
const SECRETS: [&str; 2] = ["hunter2", "correct"];
