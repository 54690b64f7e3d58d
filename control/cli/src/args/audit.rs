//! `postern audit …`.

use std::path::PathBuf;

use clap::Subcommand;
use postern_model::admin::AUDIT_LIMIT_MAX;
use postern_model::chain::Mark;
use postern_model::ids::{RequestId, SessionId};

use super::expiry::moment;
use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum AuditCommand {
    /// List changes, newest first
    #[command(after_help = "Examples:
  postern audit list
  postern audit list --limit 20 --tenant acme
  postern audit list --target 'app crm' --since 24h
  postern audit list --action app.publish --actor anna
  postern audit list --before 1200 -o json")]
    List {
        #[command(flatten)]
        filter: AuditFilterArgs,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Write changes as JSON lines, oldest first, in a form that `verify --file` understands
    #[command(after_help = "Examples:
  postern audit export --out audit.jsonl
  postern audit export --out audit.jsonl --after 1200
  postern audit export --since 7d --target a1-7 | jq .actor

With --out, the file is made for its owner only and never replaces another one; with --after SEQ it
is gone on with.")]
    Export {
        #[command(flatten)]
        filter: AuditFilterArgs,
        #[command(flatten)]
        export: ExportLogArgs,
    },
    /// Check that every record is there, in its place, as it was written: exit status 0, or 1 and the first that is not
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Where the logs end: note it elsewhere, and `verify --expect` tells later whether they are still the same up to there
    #[command(after_help = "Examples:
  postern audit head
  postern audit head -o json")]
    Head,
    /// Who signed in, or tried to
    #[command(subcommand)]
    SignIns(SignInsCommand),
}

#[derive(Subcommand, Debug)]
pub(crate) enum SignInsCommand {
    /// List sign-ins and attempts, newest first
    #[command(after_help = "Examples:
  postern audit sign-ins list --user anna@example.com --since 24h
  postern audit sign-ins list --result failure --app crm
  postern audit sign-ins list --result mfa-needed
  postern audit sign-ins list --request 9f1c2d3e4f5061728394a5b6c7d8e9f0")]
    List {
        #[command(flatten)]
        filter: SignInFilterArgs,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Write sign-ins as JSON lines, oldest first, in a form that `verify --file` understands
    #[command(after_help = "Examples:
  postern audit sign-ins export --out sign-ins.jsonl
  postern audit sign-ins export --out sign-ins.jsonl --after 40000
  postern audit sign-ins export --since 24h --result failure | jq .source")]
    Export {
        #[command(flatten)]
        filter: SignInFilterArgs,
        #[command(flatten)]
        export: ExportLogArgs,
    },
    /// Check that every record is there, in its place, as it was written: exit status 0, or 1 and the first that is not
    #[command(after_help = "Examples:
  postern audit sign-ins verify
  postern audit sign-ins verify --file sign-ins.jsonl")]
    Verify(VerifyArgs),
}

/// Which audit records.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct AuditFilterArgs {
    /// Only those of whom this is a part of: `anna`, `uid 1000`, `connector c1-3`
    #[arg(long, value_name = "TEXT", value_parser = reference)]
    pub(crate) actor: Option<String>,
    /// Only those with this action, such as app.publish
    #[arg(long, value_name = "ACTION", value_parser = reference)]
    pub(crate) action: Option<String>,
    /// Only those about what this is a part of: `app crm`, `user anna`, a1-7
    #[arg(long, value_name = "TEXT", value_parser = reference)]
    pub(crate) target: Option<String>,
    #[command(flatten)]
    pub(crate) times: TimesArgs,
}

/// Which sign-ins.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct SignInFilterArgs {
    /// Only those of this user, or of whoever typed this where nobody is called so
    #[arg(long, value_name = "USER", value_parser = reference)]
    pub(crate) user: Option<String>,
    /// Only those for this application
    #[arg(long, value_name = "APP", value_parser = reference)]
    pub(crate) app: Option<String>,
    /// Only those that ended so: success, failure, interrupted, or a code
    #[arg(long, value_name = "RESULT|CODE", value_parser = reference)]
    pub(crate) result: Option<String>,
    /// Only that which began this session
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<SessionId>,
    /// Only that of this request
    #[arg(long, value_name = "ID")]
    pub(crate) request: Option<RequestId>,
    #[command(flatten)]
    pub(crate) times: TimesArgs,
}

/// When.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct TimesArgs {
    /// Only those from then on: so long ago (24h), or a time (2030-01-31T00:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<u64>,
    /// Only those before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<u64>,
}

/// How much of it.
#[derive(clap::Args, Debug)]
pub(crate) struct PageArgs {
    /// At most so many [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(AUDIT_LIMIT_MAX)))]
    pub(crate) limit: Option<u32>,
    /// Only those before this number
    #[arg(long, value_name = "SEQ")]
    pub(crate) before: Option<u64>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ExportLogArgs {
    /// Write to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Go on behind this record; with --out, behind what the file has
    #[arg(long, value_name = "SEQ")]
    pub(crate) after: Option<u64>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Check an export instead, without control; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// What `audit head` said earlier: that record must still be there, and the same
    #[arg(long, value_name = "SEQ:HASH")]
    pub(crate) expect: Option<Mark>,
}

const VERIFY_EXAMPLES: &str = "Examples:
  postern audit verify
  postern audit verify \\
      --expect 1200:2c2d3ca86258e4cbb0e9c5750f8abf9a8baadfc5f509bd68c96cf4be0b78207a
  postern audit verify --file audit.jsonl

By itself a log that was cut off at its end, or written anew as a whole, cannot be told from a true
one: note `postern audit head` now and then where nobody who can write control's files can write.";
