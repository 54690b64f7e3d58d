//! `perf/baselines.json`: what the counted figures were when somebody last agreed to them.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Figures;

/// Figures may rise by this share before it is a regression.
const TOLERANCE: f64 = 0.05;
/// Below this a figure's own share says nothing: a tenth of a call or allocation per request.
const ABSOLUTE_TOLERANCE: f64 = 0.1;

#[derive(Debug, Serialize, Deserialize)]
struct Baselines {
    /// For whoever opens the file.
    about: String,
    figures: Figures,
}

/// A figure beside its baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub name: String,
    /// Missing when the baseline is not measured any more.
    pub value: Option<f64>,
    /// Missing when the figure is new.
    pub baseline: Option<f64>,
}

impl Comparison {
    /// Too much, or not there although it should be, or not agreed to.
    pub fn is_failure(&self) -> bool {
        match (self.value, self.baseline) {
            (Some(value), Some(baseline)) => {
                value > baseline * (1.0 + TOLERANCE) && value > baseline + ABSOLUTE_TOLERANCE
            }
            (Some(_) | None, None) | (None, Some(_)) => true,
        }
    }

    /// So much less that the baseline should follow.
    pub fn is_gain(&self) -> bool {
        matches!((self.value, self.baseline), (Some(value), Some(baseline))
            if value < baseline * (1.0 - TOLERANCE) && value < baseline - ABSOLUTE_TOLERANCE)
    }
}

pub fn read(file: &Path) -> Result<Figures> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{}: make it with `cargo xtask perf --update-baselines`", file.display()))?;
    let baselines: Baselines = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    Ok(baselines.figures)
}

pub fn write(file: &Path, figures: &Figures) -> Result<()> {
    let about =
        "Counted figures, agreed to. Compare: cargo xtask perf --check-counted. Replace: --update-baselines.".into();
    let figures = figures.iter().map(|(name, value)| (name.clone(), (value * 100.0).round() / 100.0)).collect();
    let text = serde_json::to_string_pretty(&Baselines { about, figures })? + "\n";
    std::fs::write(file, text).with_context(|| file.display().to_string())
}

pub fn compare(found: &Figures, baselines: &Figures) -> Vec<Comparison> {
    let mut names: Vec<&String> = found.keys().chain(baselines.keys()).collect();
    names.sort();
    names.dedup();
    let of = |name: &String| Comparison {
        name: name.clone(),
        value: found.get(name).copied(),
        baseline: baselines.get(name).copied(),
    };
    names.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_five_percent_is_a_regression_and_so_is_what_is_missing() {
        let of = |value, baseline| Comparison { name: "x".into(), value, baseline };
        assert!(!of(Some(104.0), Some(100.0)).is_failure());
        assert!(of(Some(106.0), Some(100.0)).is_failure());
        assert!(!of(Some(0.12), Some(0.05)).is_failure());
        assert!(of(None, Some(1.0)).is_failure() && of(Some(1.0), None).is_failure());
        assert!(of(Some(90.0), Some(100.0)).is_gain() && !of(Some(99.0), Some(100.0)).is_gain());
    }

    #[test]
    fn baselines_are_read_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("baselines.json");
        assert!(read(&file).unwrap_err().to_string().contains("--update-baselines"));
        let figures = Figures::from([("a".into(), 1.25)]);
        write(&file, &figures).unwrap();
        assert_eq!(read(&file).unwrap(), figures);
    }
}
