//! Outcomes as tables for a terminal.

use crate::counted::baselines::Comparison;
use crate::outcome::{Outcome, Side};

/// A heading, a line per side with medians, ratios to Postern with their spread, remarks.
pub fn table(outcome: &Outcome) -> String {
    let mut out = format!("\n{} — {}\n", outcome.name, outcome.title);
    let columns = outcome.sides.first().map(Side::columns).unwrap_or_default();
    let mut rows = vec![header(outcome, &columns)];
    rows.extend(outcome.sides.iter().map(|side| row(outcome, side, &columns)));
    if !outcome.sides.is_empty() {
        out.push_str(&aligned(&rows));
    }
    for remark in &outcome.remarks {
        out.push_str(&format!("  · {remark}\n"));
    }
    out
}

/// Counted figures beside their baselines, with what is wrong of them.
pub fn comparisons(comparisons: &[Comparison]) -> String {
    let cell = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2}"));
    let mut rows = vec![["figure", "now", "baseline", "change", ""].map(str::to_owned).to_vec()];
    for comparison in comparisons {
        let change = match (comparison.value, comparison.baseline) {
            (Some(value), Some(baseline)) if baseline > 0.0 => format!("{:+.1} %", (value / baseline - 1.0) * 100.0),
            (Some(_) | None, Some(_) | None) => String::new(),
        };
        let verdict = match comparison {
            Comparison { value: None, .. } => "NO LONGER MEASURED",
            Comparison { baseline: None, .. } => "NEW: add it with --update-baselines",
            other if other.is_failure() => "REGRESSION",
            other if other.is_gain() => "better: lower the baseline with --update-baselines",
            _ => "",
        };
        let cells = [cell(comparison.value), cell(comparison.baseline), change, verdict.into()];
        rows.push([vec![comparison.name.clone()], cells.to_vec()].concat());
    }
    aligned(&rows)
}

fn header(outcome: &Outcome, columns: &[(&str, &str)]) -> Vec<String> {
    let mut cells = vec!["side".to_owned()];
    cells.extend(columns.iter().map(|(name, unit)| format!("{name} {unit}")));
    if outcome.compares && outcome.sides.len() > 1 {
        cells.push(format!("postern/side, by {} (spread)", outcome.headline));
    }
    cells
}

fn row(outcome: &Outcome, side: &Side, columns: &[(&str, &str)]) -> Vec<String> {
    let mut cells = vec![side.name.clone()];
    for (name, _) in columns {
        cells.push(side.spread(name).map_or("-".into(), |spread| number(spread.median)));
    }
    if outcome.compares && outcome.sides.len() > 1 {
        let ratio = outcome.ratio(side).filter(|_| Some(&side.name) != outcome.postern().map(|postern| &postern.name));
        cells.push(
            ratio.map_or(String::new(), |ratio| format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.low, ratio.high)),
        );
    }
    cells
}

/// Three digits that mean something.
pub fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => {
            let digits = format!("{:.0}", value.abs());
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(|group| std::str::from_utf8(group).unwrap_or_default())
                .collect();
            format!("{}{}", if value < 0.0 { "-" } else { "" }, groups.join(","))
        }
        medium if medium >= 100.0 => format!("{value:.0}"),
        small if small >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (index, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[index] - cell.chars().count());
            line.push_str(&if index == 0 { format!(" {cell}{pad}") } else { format!("  {pad}{cell}") });
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{POSTERN, Sample, figure};

    #[test]
    fn numbers_keep_three_digits() {
        let said: Vec<String> = [1_234_567.0, 999.6, 123.4, 12.34, 1.234, 0.0].into_iter().map(number).collect();
        assert_eq!(said, ["1,234,567", "1000", "123", "12.3", "1.23", "0.00"]);
    }

    #[test]
    fn a_table_holds_medians_and_the_ratio() {
        let side = |name: &str, value| Side {
            name: name.into(),
            samples: vec![Sample { figures: vec![figure("CPU", "µs/req", value)], ..Sample::default() }],
        };
        let outcome = Outcome {
            sides: vec![side(POSTERN, 10.0), side("peer", 40.0)],
            remarks: vec!["a remark".into()],
            ..Outcome::new("x", "a title", "", "CPU")
        };
        let text = table(&outcome);
        assert!(text.contains("peer           40.0               0.25 (0.25–0.25)"), "{text}");
        assert!(text.contains("· a remark"));
    }
}
