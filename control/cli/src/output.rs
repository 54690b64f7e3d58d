//! What is printed: aligned tables for people, JSON for programs; results on stdout, warnings and errors on stderr.

use std::io::{self, ErrorKind, Write};

use anyhow::Result;
use postern_model::admin::Problem;
use postern_model::codes;
use postern_model::directory::is_bidi_control;
use postern_service::failure::{EXIT_USAGE, Failure};
use postern_service::logging;
use serde::Serialize;

use crate::args::Format;

/// Prints in the format asked for.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    colours: bool,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, colours: logging::stdout_colours() }
    }

    pub(crate) fn colours(self) -> bool {
        self.colours
    }

    /// Prints `value` as JSON, or what `table` makes of it.
    pub(crate) fn show<T: Serialize>(self, value: &T, table: impl FnOnce(&T) -> String) -> Result<()> {
        match self.format {
            Format::Json => print(&(serde_json::to_string_pretty(value)? + "\n")),
            Format::Table => print(&table(value)),
        }
    }

    /// As [`Output::show`] for what cannot be had again: a reader that is gone is an error, too.
    pub(crate) fn show_once<T: Serialize>(self, value: &T, table: impl FnOnce(&T) -> String) -> Result<()> {
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(value)? + "\n",
            Format::Table => table(value),
        };
        write_whole(&text).map_err(|error| Failure::new(format!("cannot write to stdout: {error}")).into())
    }

    /// As [`Output::show`], JSON on one line: for what is printed again and again.
    pub(crate) fn show_line<T: Serialize>(self, value: &T, table: impl FnOnce(&T) -> String) -> Result<()> {
        match self.format {
            Format::Json => print(&(serde_json::to_string(value)? + "\n")),
            Format::Table => print(&table(value)),
        }
    }

    /// A change's outcome: JSON has the warnings inside, people get them on stderr.
    pub(crate) fn changed<T: Serialize>(self, value: &T, line: &str, warnings: &[String]) -> Result<()> {
        self.show(value, |_| format!("{line}\n"))?;
        self.warn(warnings);
        Ok(())
    }

    /// Warnings for people; JSON carries them itself.
    pub(crate) fn warn(self, warnings: &[String]) {
        if self.format == Format::Table {
            for warning in warnings {
                eprintln!("warning: {}", printable(warning));
            }
        }
    }

    /// Lines for people, on stderr; false where a program is to be told, whom they are of no use to.
    pub(crate) fn tell(self, lines: &[String]) -> bool {
        let people = self.format == Format::Table;
        if people {
            lines.iter().for_each(|line| eprintln!("{}", printable(line)));
        }
        people
    }

    pub(crate) fn table<const N: usize>(self, heads: [&str; N]) -> Table {
        Table { heads: heads.map(str::to_owned).to_vec(), rows: Vec::new(), colours: self.colours }
    }
}

/// Columns that line up, without frames: it pastes and greps well.
pub(crate) struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
    colours: bool,
}

impl Table {
    #[must_use]
    pub(crate) fn row<const N: usize>(mut self, cells: [String; N]) -> Self {
        debug_assert_eq!(N, self.heads.len(), "a row has as many cells as there are heads");
        self.rows.push(cells.map(|cell| if cell.is_empty() { "-".into() } else { printable(&cell) }).to_vec());
        self
    }

    #[must_use]
    pub(crate) fn rows<T, const N: usize>(self, items: &[T], cells: impl Fn(&T) -> [String; N]) -> Self {
        items.iter().fold(self, |table, item| table.row(cells(item)))
    }

    /// The table, or `none` when it has no rows.
    pub(crate) fn render(&self, none: &str) -> String {
        if self.rows.is_empty() {
            return format!("{none}\n");
        }
        let widths: Vec<usize> = (0..self.heads.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| width(&row[column]));
                cells.chain([width(&self.heads[column])]).max().unwrap_or(0)
            })
            .collect();
        let head = line(&self.heads, &widths);
        let mut text = if self.colours { format!("\x1b[1m{}\x1b[0m\n", head.trim_end()) } else { head };
        for row in &self.rows {
            text.push_str(&line(row, &widths));
        }
        text
    }
}

/// `name: value` lines with the values aligned: one thing in detail.
pub(crate) fn details(fields: &[(&str, String)]) -> String {
    let widest = fields.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    fields
        .iter()
        .map(|(name, value)| {
            let value = if value.is_empty() { "-" } else { value };
            let lines: Vec<String> = value.lines().map(printable).collect();
            let indented = lines.join(&format!("\n{}", " ".repeat(widest + 2)));
            format!("{name}:{}{indented}\n", " ".repeat(widest + 1 - width(name)))
        })
        .collect()
}

/// Text from elsewhere, such as what a connector calls itself, for a terminal: no control character, so no escape sequence, and
/// nothing that turns the direction of what stands beside it.
fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() || is_bidi_control(c), "\u{fffd}")
}

/// A text cut to what fits a column.
pub(crate) fn short(text: &str) -> String {
    if width(text) <= SHORT_CHARS_MAX {
        return text.to_owned();
    }
    let head: String = text.chars().take(SHORT_CHARS_MAX - 1).collect();
    format!("{head}…")
}

const SHORT_CHARS_MAX: usize = 24;

pub(crate) fn yes_no(yes: bool) -> String {
    if yes { "yes".into() } else { "no".into() }
}

pub(crate) fn joined(items: &[impl AsRef<str>]) -> String {
    items.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// The error as a line of JSON, when JSON was asked for.
pub(crate) fn json_error(format: Format, error: &anyhow::Error) -> Option<String> {
    if format == Format::Table {
        return None;
    }
    let failure = error.downcast_ref::<Failure>();
    let (code, title) = match failure.map(Failure::exit_status) {
        Some(EXIT_USAGE) => ("usage", "The command or a file it names is wrong"),
        Some(_) | None => ("failed", "The command failed"),
    };
    let code = failure.and_then(Failure::stable_code).unwrap_or(code);
    let problem = error.downcast_ref::<Problem>().cloned().unwrap_or_else(|| Problem {
        code: code.to_owned(),
        title: codes::lookup(code).map_or(title, |entry| entry.title).to_owned(),
        detail: format!("{error:#}"),
        status: 0,
        pointer: None,
    });
    serde_json::to_string(&serde_json::json!({ "error": problem })).ok()
}

/// Control's problem as a person's error: its own words, and where to read more.
pub(crate) fn for_people(error: anyhow::Error) -> anyhow::Error {
    let Some(problem) = error.downcast_ref::<Problem>() else {
        return error;
    };
    let failure = Failure::new(problem.detail.clone());
    match codes::lookup(&problem.code) {
        Some(entry) => failure.cure(format!("see: postern explain {}", entry.code)).into(),
        None => failure.into(),
    }
}

/// Writes to stdout; a reader that has seen enough (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    match write_whole(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(format!("cannot write to stdout: {error}")).into()),
        Ok(()) => Ok(()),
    }
}

fn write_whole(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, &wide)| format!("{cell}{}", " ".repeat(wide - width(cell)))).collect();
    format!("{}\n", padded.join("  ").trim_end())
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output() -> Output {
        Output { format: Format::Table, colours: false }
    }

    #[test]
    fn columns_line_up_and_gaps_show() {
        let table = output()
            .table(["NAME", "URL", "N"])
            .row(["wiki".into(), "https://wiki.example.com/".into(), "1".into()])
            .row(["größe".into(), String::new(), "12".into()]);
        assert_eq!(
            table.render("nothing"),
            "NAME   URL                        N\n\
             wiki   https://wiki.example.com/  1\n\
             größe  -                          12\n"
        );
        assert_eq!(output().table(["NAME"]).render("no apps"), "no apps\n");
    }

    #[test]
    fn no_escape_sequence_reaches_the_terminal() {
        let table = output().table(["SOFTWARE"]).row(["evil\x1b[2J\n".into()]);
        assert_eq!(table.render(""), "SOFTWARE\nevil\u{fffd}[2J\u{fffd}\n");
        assert_eq!(details(&[("a", "x\x07".into())]), "a: x\u{fffd}\n");
        let turned = output().table(["ISSUER"]).row(["a\u{202e}b".into()]);
        assert_eq!(turned.render(""), "ISSUER\na\u{fffd}b\n");
    }

    #[test]
    fn long_reasons_are_cut_for_a_column() {
        assert_eq!(short("steer"), "steer");
        assert_eq!(short("the process lacks CAP_BPF: run as root"), "the process lacks CAP_B…");
    }

    #[test]
    fn details_align_also_over_lines() {
        let text = details(&[("id", "a1-1".into()), ("settings", "a=1\nb=2".into()), ("group", String::new())]);
        assert_eq!(text, "id:       a1-1\nsettings: a=1\n          b=2\ngroup:    -\n");
    }

    #[test]
    fn people_get_the_detail_and_where_to_read_more() {
        let text = |code: &str| {
            let (title, detail) = ("t".into(), "the host is taken".into());
            for_people(Problem { code: code.into(), title, detail, status: 409, pointer: None }.into()).to_string()
        };
        assert_eq!(text("not-yet-available"), "the host is taken (see: postern explain not-yet-available)");
        assert_eq!(text("from-the-future"), "the host is taken");
    }

    #[test]
    fn programs_get_their_errors_as_json() {
        let problem = Problem {
            code: "app-unknown".into(),
            title: "t".into(),
            detail: "no app `x`".into(),
            status: 404,
            pointer: None,
        };
        let error = anyhow::Error::from(problem);
        assert_eq!(json_error(Format::Table, &error), None);
        let json: serde_json::Value = serde_json::from_str(&json_error(Format::Json, &error).unwrap()).unwrap();
        assert_eq!(json["error"]["code"], "app-unknown");
        assert_eq!(json["error"]["detail"], "no app `x`");

        let error = anyhow::Error::from(Failure::new("no answer").code("control-unreachable"));
        let json: serde_json::Value = serde_json::from_str(&json_error(Format::Json, &error).unwrap()).unwrap();
        assert_eq!(json["error"]["code"], "control-unreachable");
        assert_eq!(json["error"]["title"], "postern-control does not answer");

        let error = anyhow::Error::from(Failure::usage("cannot read x.toml"));
        let json: serde_json::Value = serde_json::from_str(&json_error(Format::Json, &error).unwrap()).unwrap();
        assert_eq!((&json["error"]["code"], &json["error"]["detail"]), (&"usage".into(), &"cannot read x.toml".into()));
    }
}
