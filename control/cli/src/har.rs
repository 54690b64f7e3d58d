//! HTTP Archive 1.2 (HAR): what relays recorded, as browsers' developer tools read it. What HAR has no place for is in fields of ours,
//! which begin with `_`, as it asks for.

mod content;
#[cfg(test)]
mod tests;

use postern_model::trace::{TraceEntry, TracedHeaders, TracedRequest, TracedResponse, TracedTimes};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use content::Decoded;

/// An archive in the making.
#[derive(Default)]
pub(crate) struct Har {
    entries: Vec<(u64, Value)>,
    /// Bytes of what was taken out of its coding, all together.
    decoded: usize,
}

impl Har {
    /// Requests in it.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn add(&mut self, entry: &TraceEntry) {
        let entry_json = self.entry(entry);
        self.entries.push((entry.started_unix_ms, entry_json));
    }

    /// The whole document, in the order of time; `about` is what there is to know of it.
    pub(crate) fn document(mut self, about: &Value) -> serde_json::Result<Vec<u8>> {
        self.entries.sort_by_key(|(started, _)| *started);
        let entries: Vec<Value> = self.entries.into_iter().map(|(_, entry)| entry).collect();
        let mut document = serde_json::to_vec_pretty(&json!({ "log": {
            "version": "1.2",
            "creator": { "name": "postern", "version": env!("CARGO_PKG_VERSION") },
            "comment": "Secrets were replaced by [redacted] where they were recognised: look at it before you pass it on.",
            "entries": entries,
            "_postern": about,
        }}))?;
        document.push(b'\n');
        Ok(document)
    }

    fn entry(&mut self, entry: &TraceEntry) -> Value {
        let TraceEntry { request_id, started_unix_ms, request, response, verdict, us } = entry;
        let (timings, time) = timings(us);
        let mut postern = object(serde_json::to_value(verdict).unwrap_or_default());
        postern.insert("request_id".into(), json!(request_id));
        postern.insert("backend_ms".into(), json!(us.backend.map(ms)));
        let code = verdict.code.as_deref().unwrap_or("request-cancelled");
        json!({
            "startedDateTime": date(*started_unix_ms),
            "time": time,
            "request": self.request(request),
            "response": response.as_ref().map_or_else(
                || no_response(&request.protocol, code),
                |response| self.response(response, &request.protocol),
            ),
            "cache": {},
            "timings": timings,
            "_postern": postern,
        })
    }

    fn request(&mut self, request: &TracedRequest) -> Value {
        let mut value = json!({
            "method": request.method,
            "url": request.url,
            "httpVersion": request.protocol,
            "cookies": cookies(&request.headers, "cookie"),
            "headers": headers(&request.headers),
            "queryString": query(&request.url),
            "headersSize": -1,
            "bodySize": request.bytes,
        });
        comment(&mut value, &request.headers);
        let Some(body) = &request.body else { return value };
        let Decoded { text, encoding, comment, .. } = content::of(body, &request.headers, &mut self.decoded);
        let mut data = json!({
            "mimeType": kind(&request.headers),
            "params": [],
            "text": text.unwrap_or_default(),
        });
        // HAR knows encodings in answers only.
        for (name, value) in [("_encoding", encoding.map(str::to_owned)), ("comment", comment)] {
            if let Some(value) = value {
                data[name] = value.into();
            }
        }
        value["postData"] = data;
        value
    }

    fn response(&mut self, response: &TracedResponse, protocol: &str) -> Value {
        let mut content = json!({ "size": response.bytes, "mimeType": kind(&response.headers) });
        if let Some(body) = &response.body {
            let Decoded { text, encoding, comment, size } = content::of(body, &response.headers, &mut self.decoded);
            for (name, value) in [("text", text), ("encoding", encoding.map(str::to_owned)), ("comment", comment)] {
                if let Some(value) = value {
                    content[name] = value.into();
                }
            }
            if let Some(size) = size {
                content["size"] = size.into();
            }
        }
        let mut value = json!({
            "status": response.status,
            "statusText": response.reason,
            "httpVersion": protocol,
            "cookies": cookies(&response.headers, "set-cookie"),
            "headers": headers(&response.headers),
            "content": content,
            "redirectURL": response.headers.get("location").unwrap_or_default(),
            "headersSize": -1,
            "bodySize": response.bytes,
        });
        comment(&mut value, &response.headers);
        value
    }
}

/// As browsers write it: a status of 0, and why.
fn no_response(protocol: &str, code: &str) -> Value {
    json!({
        "status": 0,
        "statusText": "",
        "httpVersion": protocol,
        "cookies": [],
        "headers": [],
        "content": { "size": 0, "mimeType": UNKNOWN_TYPE },
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": -1,
        "_error": code,
    })
}

fn comment(value: &mut Value, headers: &TracedHeaders) {
    if headers.cut {
        value["comment"] = "not all fields, or not all of one, were recorded".into();
    }
}

/// -1 is what nobody knows. Of a connection the relay knows its TLS, once; names are looked up elsewhere.
fn timings(us: &TracedTimes) -> (Value, f64) {
    let unknown = -1.0;
    let connect = us.tls.map_or(unknown, ms);
    let [blocked, send, wait, receive] = [us.decided, us.send, us.wait, us.receive].map(ms);
    let timings = json!({
        "blocked": blocked,
        "dns": unknown,
        "connect": connect,
        "ssl": connect,
        "send": send,
        "wait": wait,
        "receive": receive,
    });
    (timings, blocked + connect.max(0.0) + send + wait + receive)
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

fn date(unix_ms: u64) -> String {
    let nanos = i128::from(unix_ms) * 1_000_000;
    let date = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    date.format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".into())
}

fn headers(headers: &TracedHeaders) -> Vec<Value> {
    headers.fields.iter().map(|(name, value)| pair(name, value)).collect()
}

/// Their values are not there any more; their names are.
fn cookies(headers: &TracedHeaders, field: &str) -> Vec<Value> {
    let values = headers.fields.iter().filter(|(name, _)| name == field).map(|(_, value)| value.as_str());
    // What follows the first pair of a Set-Cookie are attributes.
    let most = if field == "cookie" { usize::MAX } else { 1 };
    let pairs = values.flat_map(|value| value.split(';').take(most));
    pairs.filter_map(|one| one.split_once('=')).map(|(name, value)| pair(name.trim(), value.trim())).collect()
}

fn query(url: &str) -> Vec<Value> {
    let query = url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| pair(&name, &value)).collect()
}

fn pair(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

fn kind(headers: &TracedHeaders) -> &str {
    headers.get("content-type").unwrap_or(UNKNOWN_TYPE)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// What browsers write where no type is stated.
const UNKNOWN_TYPE: &str = "x-unknown";
