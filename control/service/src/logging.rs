//! The daemon's own log on stderr: text on a terminal, JSON lines otherwise, times in RFC 3339 UTC.
//!
//! `POSTERN_LOG` sets the level (`debug`, `postern_relay=trace,info`), `POSTERN_LOG_FORMAT` the form (`text`, `json`).
//! Records of the `log` crate join in. Access, session and audit logs are other streams and never pass here.

mod json;

use std::io::IsTerminal;

use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Starts logging for this process; a second call changes nothing. `service` is named in every JSON line.
pub fn init(service: &'static str) {
    let wanted = std::env::var("POSTERN_LOG").unwrap_or_default();
    let (filter, complaint) = filter(&wanted);
    let format = std::env::var("POSTERN_LOG_FORMAT").unwrap_or_default();
    let text = match format.as_str() {
        "text" => true,
        "json" => false,
        _ => std::io::stderr().is_terminal(),
    };
    let layer = if text {
        fmt::layer().with_writer(std::io::stderr).with_ansi(colours()).boxed()
    } else {
        fmt::layer().with_writer(std::io::stderr).event_format(json::Lines { service }).boxed()
    };
    if tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_err() {
        tracing::debug!("logging was set up before");
    }
    if let Some(complaint) = complaint {
        tracing::warn!("POSTERN_LOG is ignored: {complaint}");
    }
}

/// Whether stderr takes colours: a terminal, and `NO_COLOR` is unset or empty (<https://no-color.org>).
pub fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// As [`colours`], for stdout.
pub fn stdout_colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn filter(wanted: &str) -> (EnvFilter, Option<String>) {
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    match builder.parse(wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(format!("`{wanted}`: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_level_falls_back_and_says_so() {
        assert!(filter("").1.is_none());
        assert!(filter("postern_relay=trace,warn").1.is_none());
        let (fallback, complaint) = filter("postern_relay=loudest");
        assert_eq!(fallback.to_string(), "info");
        assert!(complaint.unwrap().contains("loudest"));
    }
}
