//! `postern apply`, `postern diff` and `postern export`.

use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub(crate) struct ApplyArgs {
    /// The file, TOML; - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Remove what the file does not name
    #[arg(long, long_help = PRUNE)]
    pub(crate) prune: bool,
    /// Make the tenant if it does not exist; otherwise that is an error
    #[arg(long)]
    pub(crate) create_tenant: bool,
    /// Even when a policy locks everybody out
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ExportArgs {
    /// Write it to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Leave users out, and who is in groups; `apply` leaves them as they are then
    #[arg(long)]
    pub(crate) without_users: bool,
}

const PRUNE: &str = "\
Remove what the file does not name: the tenant's applications, connector groups (but `default`), limits, corporate
networks, groups of users, assignments, and given certificates that no application shows; if the file names any relay,
relays that control dials; if it names any user, users; if it names any policy, policies.
A connector group that still has connectors is an error. Without --prune what is absent stays as it is.";

pub(super) const APPLY_EXAMPLES: &str = "Examples:
  postern apply -f postern.toml
  postern apply -f postern.toml --prune
  postern apply -f - --tenant acme --create-tenant

All of the file is done or nothing. A second apply changes nothing and says so.

A file (every part may be absent; paths are relative to it):
  tenant = \"default\"

  [connector-group.hq]

  [relay.edge]
  address = \"relay.example.com:443\"

  [[certificate]]
  cert = \"wildcard.pem\"
  key = \"wildcard.key\"

  [network]
  hq = [\"203.0.113.0/24\"]

  [app.wiki]
  external = \"https://wiki.example.com/\"
  internal = \"http://10.0.0.5:8080/\"
  preauth = \"passthrough\"
  group = \"hq\"
  [app.wiki.settings]
  backend_timeout_ms = \"long\"
  corporate_network = \"warn\"

  [throttle.\"app/wiki\"]
  rps = 200
  conns = 100

  [user.\"anna@example.com\"]
  display-name = \"Anna Berg\"
  [user.\"anna@example.com\".attributes]
  department = \"sales\"

  [group.sales]
  rule = 'department == \"sales\"'

  [[assignment]]
  app = \"wiki\"
  group = \"sales\"

  [policy.mfa-outside]
  everyone = true
  all-apps = true
  except-networks = [\"hq\"]
  require = [\"mfa\"]";

pub(super) const DIFF_EXAMPLES: &str = "Examples:
  postern diff -f postern.toml
  postern diff -f postern.toml --prune

Exit status: 0 when `apply` would change nothing, 3 when it would, 1 and 2 for errors.";

pub(super) const EXPORT_EXAMPLES: &str = "Examples:
  postern export > postern.toml
  postern export --tenant acme --out acme.toml
  postern export --without-users

Passwords are never exported: users have those they had, or none where they are made anew.";
