//! How a program ends: nothing said and 0, or one line on stderr that names the cause and the cure, and 1 (2 for usage).

use std::fmt;
use std::process::ExitCode;

use postern_model::codes;
use postern_model::directory::is_bidi_control;

/// The exit status for anything that went wrong but usage.
pub const EXIT_FAILURE: u8 = 1;
/// The exit status for wrong flags, environment or configuration file.
pub const EXIT_USAGE: u8 = 2;

/// An error meant for a person: what happened, what to do, and the stable code that `postern explain` knows.
#[derive(Debug)]
pub struct Failure {
    message: String,
    cure: Option<String>,
    code: Option<&'static str>,
    exit: u8,
    /// Printed without the `error:` line: text that is complete already, such as clap's.
    verbatim: bool,
}

impl Failure {
    /// A failure that the operator can do something about; say what with [`Failure::cure`] or [`Failure::code`].
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cure: None, code: None, exit: EXIT_FAILURE, verbatim: false }
    }

    /// Wrong flags, environment or configuration file: exit status 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: EXIT_USAGE, ..Self::new(message) }
    }

    /// Ends the program with `text` as it is, on stderr unless `exit` is 0.
    pub(crate) fn verbatim(text: String, exit: u8) -> Self {
        Self { exit, verbatim: true, ..Self::new(text) }
    }

    /// What the operator should do, as an imperative without a full stop.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// The stable code; its catalogue entry supplies the cure when none is given.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The stable code, if it has one.
    pub fn stable_code(&self) -> Option<&'static str> {
        self.code
    }

    /// The status the program ends with.
    pub fn exit_status(&self) -> u8 {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.verbatim {
            return f.write_str(&self.message);
        }
        f.write_str(&one_line(&self.message))?;
        let catalogued = self.code.and_then(codes::lookup);
        let cure = self.cure.as_deref().or(catalogued.map(|entry| entry.cure_short()));
        match (cure, catalogued) {
            (Some(cure), Some(entry)) => {
                write!(f, " ({cure}; see: postern explain {})", entry.code)
            }
            (Some(cure), None) => write!(f, " ({cure})"),
            (None, _) => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// Turns an error into a [`Failure`] with its context, in one call.
pub trait OrFail<T> {
    /// `what` is the action that failed, such as `cannot listen on 0.0.0.0:443`; the error's own text follows it.
    fn or_fail(self, code: &'static str, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, code: &'static str, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format!("{}: {error}", what())).code(code))
    }
}

/// Runs a program's `main` and reports how it ended: `postern-relay: error: … (what to do)`.
pub fn run(program: &str, main: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    ExitCode::from(status(program, main))
}

/// The same, for whoever ends the process otherwise than by returning.
pub fn status(program: &str, main: impl FnOnce() -> anyhow::Result<()>) -> u8 {
    main().map_or_else(|error| report(program, &error), |()| 0)
}

/// Writes the error's line and gives the status to exit with.
pub fn report(program: &str, error: &anyhow::Error) -> u8 {
    let exit = error.downcast_ref::<Failure>().map_or(EXIT_FAILURE, Failure::exit_status);
    match error.downcast_ref::<Failure>() {
        Some(failure) if failure.verbatim && exit == 0 => print!("{}", failure.message),
        Some(failure) if failure.verbatim => eprint!("{}", failure.message),
        Some(_) | None => eprintln!("{}", line(program, error)),
    }
    exit
}

fn line(program: &str, error: &anyhow::Error) -> String {
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    format!("{program}: error: {}", one_line(&without_repetition(&chain).join(": ")))
}

/// Many error types repeat their source in their own text: each cause is named once.
fn without_repetition(chain: &[String]) -> Vec<&str> {
    let mut kept: Vec<&str> = Vec::new();
    for text in chain {
        if !kept.iter().any(|earlier| earlier.contains(text.as_str())) {
            kept.push(text);
        }
    }
    kept
}

/// What quotes peers and files, as one line: breaks become spaces, and no escape sequence reaches the terminal, nor what turns the
/// direction of text.
#[must_use]
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace(|c: char| c.is_control() || is_bidi_control(c), "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_failure_is_one_line_with_its_cure() {
        let error = anyhow::Error::from(
            Failure::new("cannot listen on 127.0.0.1:443:\n address in use").cure("choose another port"),
        );
        assert_eq!(
            line("postern-relay", &error),
            "postern-relay: error: cannot listen on 127.0.0.1:443: address in use (choose another port)"
        );
        assert_eq!(report("postern-relay", &error), EXIT_FAILURE);
    }

    #[test]
    fn no_escape_sequence_reaches_the_terminal() {
        let error = anyhow::anyhow!("peer said \x1b[2Jhello\r\nworld\u{202e}");
        assert_eq!(line("p", &error), "p: error: peer said \u{fffd}[2Jhello world\u{fffd}");
    }

    #[test]
    fn a_code_brings_its_cure_and_where_to_read_more() {
        let failed: Result<(), _> =
            Err(std::io::Error::from(std::io::ErrorKind::AddrInUse)).or_fail("port-in-use", || "cannot listen".into());
        let text = failed.unwrap_err().to_string();
        assert!(text.starts_with("cannot listen: "), "{text}");
        assert!(text.ends_with("; see: postern explain port-in-use)"), "{text}");
    }

    #[test]
    fn causes_are_named_once() {
        let source = std::io::Error::other("disk full");
        let error = anyhow::Error::new(source).context("cannot write `x`: disk full").context("cannot save state");
        assert_eq!(line("p", &error), "p: error: cannot save state: cannot write `x`: disk full");
    }

    #[test]
    fn usage_survives_added_context() {
        let error = Err::<(), _>(Failure::usage("unknown key")).context("reading postern.toml").unwrap_err();
        assert_eq!(report("p", &error), EXIT_USAGE);
    }
}
