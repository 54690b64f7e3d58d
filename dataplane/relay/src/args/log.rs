//! Where requests are logged, and what of them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::worker::recorder::LogFields;

/// The access log on the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// Log requests here, a JSON object a line: FILE, - for standard output, or off; default: access.log in the state folder
    #[arg(long, value_name = "FILE|-|off")]
    pub access_log: Option<LogTarget>,
    /// Log queries, too; they may hold secrets
    #[arg(long)]
    pub access_log_query: bool,
    /// Log the User-Agent, too
    #[arg(long)]
    pub access_log_user_agent: bool,
}

/// Where requests are logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere; `postern explain` works all the same.
    Off,
    /// Standard output.
    Output,
    /// A file of the operator's choice.
    File(PathBuf),
}

/// What the dataplane is told of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFile {
    /// There is none.
    #[default]
    Off,
    /// [`LOG_NAME`] in the state folder, which is the dataplane's own: it opens it itself.
    InStateDir,
    /// It comes as a descriptor.
    Descriptor,
}

/// The access log as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// `None`: in the state folder.
    pub(crate) target: Option<LogTarget>,
    pub(crate) fields: LogFields,
}

impl LogArgs {
    pub(super) fn options(self) -> LogOptions {
        let fields = LogFields { query: self.access_log_query, user_agent: self.access_log_user_agent };
        LogOptions { target: self.access_log, fields }
    }
}

impl LogOptions {
    pub(crate) fn file(&self) -> LogFile {
        match self.target {
            None => LogFile::InStateDir,
            Some(LogTarget::Off) => LogFile::Off,
            Some(LogTarget::Output | LogTarget::File(_)) => LogFile::Descriptor,
        }
    }

    /// Opens what the dataplane gets as a descriptor. It is the supervisor's to open: the dataplane may have no right to.
    pub(crate) fn open(&self) -> io::Result<Option<OwnedFd>> {
        match &self.target {
            None | Some(LogTarget::Off) => Ok(None),
            Some(LogTarget::Output) => io::stdout().as_fd().try_clone_to_owned().map(Some),
            Some(LogTarget::File(path)) => {
                OpenOptions::new().append(true).create(true).mode(0o640).open(path).map(|file| Some(file.into()))
            }
        }
    }
}

/// Opens the log in the state folder, which is the working directory. The dataplane's user alone may read it.
pub(crate) fn open_in_state_dir() -> io::Result<OwnedFd> {
    let file: File = OpenOptions::new().append(true).create(true).mode(0o600).open(LOG_NAME)?;
    Ok(file.into())
}

impl FromStr for LogTarget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("a file, - or off"),
            "off" => Ok(Self::Off),
            "-" => Ok(Self::Output),
            path => Ok(Self::File(PathBuf::from(path))),
        }
    }
}

/// Its name in the state folder.
const LOG_NAME: &str = "access.log";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        log: LogArgs,
    }

    #[test]
    fn requests_are_logged_where_the_operator_says() {
        let parse = |more: &[&str]| Line::try_parse_from([&["relay"], more].concat());
        let log = |more: &[&str]| parse(more).ok().map(|line| line.log.options()).unwrap();
        assert_eq!((log(&[]).file(), log(&[]).fields), (LogFile::InStateDir, LogFields::default()));
        assert_eq!(log(&["--access-log", "off"]).file(), LogFile::Off);
        assert_eq!(log(&["--access-log", "-"]).target, Some(LogTarget::Output));
        let file = log(&["--access-log", "/var/log/x", "--access-log-query", "--access-log-user-agent"]);
        assert_eq!(file.target, Some(LogTarget::File(PathBuf::from("/var/log/x"))));
        assert!(file.fields.query && file.fields.user_agent);
        assert!(parse(&["--access-log", ""]).is_err());
    }
}
