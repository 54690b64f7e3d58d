//! `postern trace`.

use std::path::PathBuf;
use std::time::Duration;

use postern_service::duration;

use super::histogram::AppScope;
use super::reference;

#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  postern trace app/wiki --har wiki.har
  postern trace app/wiki --user anna --for 10m --har anna.har
  postern trace app/wiki --for 30s --bodies --har wiki.har

The file is an HTTP Archive (HAR 1.2): import it in the developer tools of a browser, under Network.
Values of cookies, credentials, tokens and passwords are replaced where they are recognised; what
stands in paths or in content of other kinds is not. Ctrl-C ends it early, with what is there.
That it was done, and by whom, is in the audit log. 30m at most; one trace of an application at a
time. What is in progress at its end is not in it.")]
pub(crate) struct TraceArgs {
    /// The application
    #[arg(value_name = "app/NAME")]
    pub(crate) app: AppScope,
    /// Only requests of this user, by login or id: once it is known that they are theirs
    #[arg(long, value_name = "U", value_parser = reference)]
    pub(crate) user: Option<String>,
    /// How long
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse, default_value = "5m")]
    pub(crate) period: Duration,
    /// The file to write; it must not be there
    #[arg(long, value_name = "FILE.har")]
    pub(crate) har: PathBuf,
    /// Record content, too, up to 64 KiB of each
    #[arg(long)]
    pub(crate) bodies: bool,
}
