//! One JSON object per event: `time`, `level`, `service`, `target`, `message`, then the event's fields.

use std::fmt;
use std::time::SystemTime;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The formatter of JSON lines.
pub(super) struct Lines {
    pub(super) service: &'static str,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        // Records of the `log` crate carry their real origin as fields.
        let target = fields.text("log.target").unwrap_or_else(|| event.metadata().target().to_owned());
        let line = Line {
            time: timestamp(SystemTime::now()),
            level: event.metadata().level().as_str(),
            service: self.service,
            target: &target,
            message: fields.text("message").unwrap_or_default(),
            fields: fields.without_log_origin(),
        };
        writer.write_str(&serde_json::to_string(&line).map_err(|_| fmt::Error)?)?;
        writer.write_char('\n')
    }
}

#[derive(serde::Serialize)]
struct Line<'a> {
    time: String,
    level: &'static str,
    service: &'static str,
    target: &'a str,
    message: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// RFC 3339 in UTC with microseconds: equally wide, so that lines sort as text.
fn timestamp(now: SystemTime) -> String {
    let now = OffsetDateTime::from(now);
    let cut = now.replace_microsecond(now.microsecond()).unwrap_or(now);
    let text = cut.format(&Rfc3339).unwrap_or_default();
    match text.strip_suffix('Z').and_then(|head| head.split_once('.')) {
        Some((seconds, fraction)) => format!("{seconds}.{fraction:0<6}Z"),
        None => text.replace('Z', ".000000Z"),
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn text(&mut self, name: &str) -> Option<String> {
        match self.0.remove(name)? {
            Value::String(text) => Some(text),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Some(other.to_string())
            }
        }
    }

    /// A field never takes the place of the line's own keys.
    fn without_log_origin(self) -> Map<String, Value> {
        self.0
            .into_iter()
            .filter(|(name, _)| !name.starts_with("log."))
            .map(|(name, value)| match name.as_str() {
                "time" | "level" | "service" | "target" => (format!("field_{name}"), value),
                _ => (name, value),
            })
            .collect()
    }

    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::from(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Captured {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn one_object_per_event() {
        let captured = Captured::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(captured.clone())
            .event_format(Lines { service: "postern-test" });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(count = 3, name = "a \"b\"\n", level = "mine", ok = true, "things {}", "happen");
        });
        let written = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.matches('\n').count(), 1, "{written}");
        let line: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["service"], "postern-test");
        assert_eq!(line["message"], "things happen");
        assert_eq!(line["count"], 3);
        assert_eq!(line["name"], "a \"b\"\n");
        assert_eq!(line["field_level"], "mine");
        assert_eq!(line["ok"], true);
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn times_are_utc_and_equally_wide() {
        let at = |nanos| timestamp(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(1_500_000_000), "1970-01-01T00:00:01.500000Z");
        assert_eq!(at(123_456_789), "1970-01-01T00:00:00.123456Z");
    }
}
