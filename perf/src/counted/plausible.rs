//! Figures that cannot be: then it is the counting that broke. Less than the baseline, they would pass for an improvement.

use anyhow::{Result, ensure};

use super::{COPIES_PER_BYTE, Figures};

/// An error names every figure that is none.
pub(super) fn ensure(figures: &Figures) -> Result<()> {
    let broken: Vec<String> = figures
        .iter()
        .filter(|(name, value)| !is_plausible(name, **value))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    ensure!(broken.is_empty(), "what counts is broken, this cannot be: {}", broken.join("; "));
    Ok(())
}

/// Nothing costs nothing; and relay and connector both encrypt content with rustls, which copies what it encrypts.
fn is_plausible(name: &str, value: f64) -> bool {
    if name.starts_with(COPIES_PER_BYTE) { value >= 1.0 } else { value > 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_costs_nothing() {
        assert!(is_plausible("system calls per request/relay/64 connections", 0.07));
        assert!(!is_plausible("allocations per request/relay/1 connection", 0.0));
        assert!(!is_plausible("instructions/client-hello", f64::NAN));
    }

    #[test]
    fn a_byte_of_content_is_copied_at_least_once() {
        assert!(is_plausible("copies per byte of content/relay/download", 1.0));
        assert!(!is_plausible("copies per byte of content/relay/download", 0.02));
    }

    #[test]
    fn all_that_cannot_be_is_named() {
        let figures = [("copies per request/relay/1 connection", 0.0), ("instructions/client-hello", 0.0), ("x", 3.0)];
        let figures = figures.map(|(name, value)| (name.to_owned(), value)).into();
        let error = ensure(&figures).unwrap_err().to_string();
        assert!(error.contains("copies per request/relay/1 connection: 0; instructions/client-hello: 0"), "{error}");
        assert!(!error.contains("x: 3"), "{error}");
    }
}
