//! `summary.json` and the `.hgrm` files: everything that was found, for programs.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::counted::Figures;
use crate::hgrm;
use crate::machine::Machine;
use crate::outcome::{Outcome, Side};

/// All that one invocation found.
#[derive(Debug, Serialize)]
pub struct Findings {
    pub machine: Machine,
    /// As typed.
    pub command: String,
    pub outcomes: Vec<Outcome>,
    pub counted: Figures,
}

/// Writes both kinds of files.
pub fn write(folder: &Path, findings: &Findings) -> Result<()> {
    let file = folder.join("summary.json");
    let text = serde_json::to_string_pretty(&json(findings))? + "\n";
    std::fs::write(&file, text).with_context(|| file.display().to_string())?;
    for outcome in &findings.outcomes {
        for side in &outcome.sides {
            let Some(latency) = side.latency() else { continue };
            let file = folder.join(format!("{}-{}.hgrm", outcome.name, file_name(&side.name)));
            std::fs::write(&file, hgrm::text(&latency)).with_context(|| file.display().to_string())?;
        }
    }
    Ok(())
}

fn file_name(side: &str) -> String {
    let words = side.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

fn json(findings: &Findings) -> Value {
    let outcomes: Vec<Value> = findings.outcomes.iter().map(outcome).collect();
    json!({
        "machine": findings.machine,
        "command": findings.command,
        "scenarios": outcomes,
        "counted": findings.counted,
    })
}

fn outcome(outcome: &Outcome) -> Value {
    let sides: Vec<Value> = outcome.sides.iter().map(|side| self::side(outcome, side)).collect();
    json!({
        "name": outcome.name,
        "title": outcome.title,
        "method": outcome.method,
        "headline": outcome.headline,
        "failed": outcome.failed,
        "remarks": outcome.remarks,
        "sides": sides,
    })
}

fn side(outcome: &Outcome, side: &Side) -> Value {
    let figures: serde_json::Map<String, Value> = side
        .columns()
        .into_iter()
        .filter_map(|(name, unit)| {
            let spread = side.spread(name)?;
            let value = json!({ "unit": unit, "median": spread.median, "low": spread.low, "high": spread.high });
            Some((name.to_owned(), value))
        })
        .collect();
    json!({
        "name": side.name,
        "figures": figures,
        "postern_ratio": outcome.ratio(side),
        "rounds": side.samples,
    })
}
