//! What the application sees of a request and what the client gets, as far as both are meant to be equal: end-to-end fields
//! sorted by name, content without its framing.

use postern_tests::client::{Client, Connection};
use postern_tests::played::{Content, Taken};

use super::case::Case;

/// Fields of one connection, and framing.
const HOP_BY_HOP: [&str; 3] = ["connection", "keep-alive", "transfer-encoding"];

/// A request as the application sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    line: String,
    fields: Vec<(String, String)>,
    content: Vec<u8>,
    trailers: Vec<String>,
}

/// An answer as the client gets it.
#[derive(PartialEq, Eq)]
pub(super) enum Got {
    Whole {
        /// Status lines of interim answers.
        interim: Vec<String>,
        line: String,
        fields: Vec<(String, String)>,
        content: Vec<u8>,
        trailers: Vec<String>,
    },
    /// None, or one that visibly ends too early; also where the proxy says so of the application.
    Broken,
}

impl std::fmt::Debug for Got {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Got::Whole { interim, line, fields, content, trailers } => {
                let text = String::from_utf8_lossy(&content[..content.len().min(200)]);
                write!(f, "{interim:?} {line} {fields:?} {} bytes {text:?} {trailers:?}", content.len())
            }
            Got::Broken => f.write_str("broken"),
        }
    }
}

impl Seen {
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(of, _)| of == name)
    }

    pub(super) fn without(mut self, names: &[&str]) -> Seen {
        self.fields.retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }
}

/// Reads the rest of a request that arrived.
pub(super) fn take(taken: &mut Taken) -> Seen {
    if taken.field("expect").is_some() {
        // Whoever is gone sends no content either.
        let _ = taken.send(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    let (line, fields) = head(&taken.head);
    // Content that does not come to its end leaves its mark.
    let broken = |error: anyhow::Error| Content { bytes: format!("{error:#}").into_bytes(), trailers: Vec::new() };
    let Content { bytes, trailers } = taken.content().unwrap_or_else(broken);
    let trailers = trailers.iter().map(|trailer| trailer.to_ascii_lowercase()).collect();
    Seen { line, fields: end_to_end(fields), content: bytes, trailers }
}

/// Sends a case's request on a connection of its own, and reads the answer.
pub(super) fn ask(client: &Client, case: &Case) -> Got {
    let mut connection = client.connect().unwrap();
    let got = exchange(&mut connection, case).unwrap_or(Got::Broken);
    let says_so =
        matches!(&got, Got::Whole { content, .. } if content.windows(14).any(|word| word == b"backend-broken"));
    if says_so { Got::Broken } else { got }
}

fn exchange(connection: &mut Connection, case: &Case) -> anyhow::Result<Got> {
    let mut interim = Vec::new();
    if case.waits {
        connection.send(&case.head)?;
        interim.push(head(&text(connection)?).0);
        connection.send(&case.content)?;
    } else {
        connection.send(&[&case.head[..], &case.content].concat())?;
    }
    let (line, fields) = loop {
        let (line, fields) = head(&text(connection)?);
        if !line.starts_with("HTTP/1.1 1") {
            break (line, fields);
        }
        interim.push(line);
    };
    let (content, trailers) = content(connection, case, &line, &fields)?;
    Ok(Got::Whole { interim, line, fields: end_to_end(fields), content, trailers })
}

fn end_to_end(fields: Vec<(String, String)>) -> Vec<(String, String)> {
    fields.into_iter().filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str())).collect()
}

/// A head's text: every byte is the character of its number.
fn text(connection: &mut Connection) -> anyhow::Result<String> {
    Ok(connection.until(b"\r\n\r\n")?.into_iter().map(char::from).collect())
}

/// The first line and all fields, sorted by name; those of one name stay in order.
fn head(text: &str) -> (String, Vec<(String, String)>) {
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let mut fields: Vec<(String, String)> = lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned())
        })
        .collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    (first, fields)
}

fn content(
    connection: &mut Connection,
    case: &Case,
    line: &str,
    fields: &[(String, String)],
) -> anyhow::Result<(Vec<u8>, Vec<String>)> {
    let value = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let status = line.split(' ').nth(1).unwrap_or_default();
    if case.method == "HEAD" || matches!(status, "204" | "304") {
        return Ok((Vec::new(), Vec::new()));
    }
    if value("transfer-encoding").is_some() {
        return chunks(connection);
    }
    match value("content-length") {
        Some(length) => Ok((connection.exactly(length.parse()?)?, Vec::new())),
        None => Ok((connection.drain().0, Vec::new())),
    }
}

fn chunks(connection: &mut Connection) -> anyhow::Result<(Vec<u8>, Vec<String>)> {
    let mut content = Vec::new();
    loop {
        let size = line_of(connection)?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
        if size == 0 {
            break;
        }
        content.extend(connection.exactly(size)?);
        connection.exactly(2)?;
    }
    let mut trailers = Vec::new();
    loop {
        let trailer = line_of(connection)?;
        if trailer.is_empty() {
            return Ok((content, trailers));
        }
        trailers.push(trailer.to_ascii_lowercase());
    }
}

fn line_of(connection: &mut Connection) -> anyhow::Result<String> {
    let line: String = connection.until(b"\r\n")?.into_iter().map(char::from).collect();
    Ok(line.trim_end_matches("\r\n").to_owned())
}
