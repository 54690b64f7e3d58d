//! `report.html`: one file that needs nothing else, with what one would publish.

mod bars;
mod percentiles;
mod svg;

use std::fmt::Write;

use svg::escape;

use crate::machine::Machine;
use crate::outcome::{Outcome, Side};
use crate::summary::Findings;
use crate::text::number;

const STYLE: &str = include_str!("style.css");
const METHOD: &str = "All sides run at the same time on one machine and are measured in turns, in short rounds, first to last \
    and then last to first. Proxies, with one worker or thread each, share one core, load generator and origin another. \
    The cost of a request is the CPU time of all processes of a side divided by the requests it answered; where the core was \
    less than 95 % busy, or more than 5 % of its time is missing in the processes' sum, the core's time is taken instead. \
    Two sides of one chain take turns of 100 ms within each round and are always compared by CPU time. \
    Ratios are taken within rounds. Absolute figures depend on the machine and the hour, ratios much less.";

/// The whole page.
pub fn html(findings: &Findings) -> String {
    let mut body = String::from("<h1>Postern: what it costs</h1>\n");
    body.push_str(&machine(&findings.machine));
    let _ = write!(body, "<p>{}</p>\n<pre>{}</pre>\n", escape(METHOD), escape(&findings.command));
    body.push_str(&contents(&findings.outcomes));
    for outcome in &findings.outcomes {
        body.push_str(&section(outcome));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Postern: what it costs</title>\n\
         <style>\n{STYLE}</style></head>\n<body>\n{body}</body></html>\n"
    )
}

fn machine(machine: &Machine) -> String {
    let mut out = String::from("<dl>\n");
    let mut add = |name: &str, value: &str| {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    };
    add("measured", &machine.date);
    add("machine", &format!("{}, {} cores, {:.0} GiB", machine.cpu, machine.cores, machine.memory_gib));
    add("kernel", &format!("Linux {}, TCP congestion control {}", machine.kernel, machine.congestion_control));
    let network = if machine.own_network { "loopback of a namespace of its own" } else { "the machine's loopback" };
    add("network", network);
    for (name, version) in &machine.versions {
        add(name, version);
    }
    out + "</dl>\n"
}

fn contents(outcomes: &[Outcome]) -> String {
    let links: Vec<String> =
        outcomes.iter().map(|outcome| format!("<a href=\"#{0}\">{0}</a>", escape(&outcome.name))).collect();
    format!("<nav>{}</nav>\n", links.join(" "))
}

fn section(outcome: &Outcome) -> String {
    let name = escape(&outcome.name);
    let mut out = format!("<section id=\"{name}\"><h2>{}<code>{name}</code></h2>\n", escape(&outcome.title));
    let _ = writeln!(out, "<p class=\"soft\">{}</p>", escape(&outcome.method));
    if outcome.failed {
        out.push_str("<p class=\"failed\">Postern did not do what it should; see the remarks.</p>\n");
    }
    for drawing in [bars::draw(outcome), percentiles::draw(outcome)].into_iter().flatten() {
        let _ = writeln!(out, "<figure>{drawing}</figure>");
    }
    if !outcome.sides.is_empty() {
        out.push_str(&table(outcome));
    }
    if !outcome.remarks.is_empty() {
        let items: String = outcome.remarks.iter().map(|remark| format!("<li>{}</li>", escape(remark))).collect();
        let _ = writeln!(out, "<ul class=\"remarks\">{items}</ul>");
    }
    out + "</section>\n"
}

fn table(outcome: &Outcome) -> String {
    let columns = outcome.sides.first().map(Side::columns).unwrap_or_default();
    let with_ratio = outcome.compares && outcome.sides.len() > 1;
    let mut out = String::from("<div class=\"wide\"><table><thead><tr><th>median of rounds</th>");
    if with_ratio {
        let _ = write!(out, "<th>postern ÷ side<br>by {}</th>", escape(outcome.headline));
    }
    for (name, unit) in &columns {
        let _ = write!(out, "<th>{}<br>{}</th>", escape(name), escape(unit));
    }
    out.push_str("</tr></thead><tbody>\n");
    for side in &outcome.sides {
        out.push_str(&row(outcome, side, &columns, with_ratio));
    }
    out + "</tbody></table></div>\n"
}

fn row(outcome: &Outcome, side: &Side, columns: &[(&str, &str)], with_ratio: bool) -> String {
    let is_own = outcome.postern().is_some_and(|postern| postern.name == side.name);
    let mut out = format!("<tr{}><td>{}</td>", if is_own { " class=\"own\"" } else { "" }, escape(&side.name));
    if with_ratio {
        let ratio = outcome.ratio(side).filter(|_| !is_own);
        let text =
            ratio.map_or(String::new(), |ratio| format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.low, ratio.high));
        let _ = write!(out, "<td>{text}</td>");
    }
    for (name, _) in columns {
        let value = side.spread(name).map_or("–".into(), |spread| number(spread.median));
        let _ = write!(out, "<td>{value}</td>");
    }
    out + "</tr>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::Figures;
    use crate::outcome::{POSTERN, Sample, figure};

    #[test]
    fn the_page_needs_nothing_else_and_escapes_what_it_shows() {
        let sample = |value| Sample {
            figures: vec![figure("CPU", "µs/req", value)],
            parts: vec![("relay".into(), value)],
            ..Sample::default()
        };
        let side = |name: &str, value| Side { name: name.into(), samples: vec![sample(value), sample(value * 1.1)] };
        let outcome = Outcome {
            sides: vec![side(POSTERN, 10.0), side("a <peer>", 40.0)],
            remarks: vec!["5 < 6".into()],
            ..Outcome::new("h1-small", "A title", "a method", "CPU")
        };
        let machine = Machine::look(false, &[("postern".into(), "1".into())]);
        let page =
            html(&Findings { machine, command: "perf".into(), outcomes: vec![outcome], counted: Figures::new() });
        assert!(page.contains("<svg") && page.contains("a &lt;peer&gt;") && page.contains("5 &lt; 6"));
        assert!(page.contains("0.25 (0.25–0.25)"));
        for outside in ["http://", "https://", "<script", "src="] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
