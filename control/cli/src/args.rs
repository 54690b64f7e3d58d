//! The command line's grammar: nouns, then verbs. Every command carries examples, and a test parses each of them.

mod access;
mod access_review;
mod app;
mod apply;
mod assign;
mod audit;
mod authority;
mod certificate;
mod client;
mod connector;
mod device;
mod directory;
mod directory_sync;
mod doctor;
mod expiry;
mod factor;
mod guard;
mod histogram;
mod identity;
mod idp;
mod inventory;
mod policy;
mod relay;
mod scim;
mod terms;
mod throttle;
mod trace;
mod vault;

pub(crate) use access::{
    AccessCommand, AccessDeviceCommand, AccessRequestCommand, AccessTokenCommand, CreateTokenArgs, CurlArgs,
    DecideArgs, EnrolDeviceArgs, LoginArgs, ReachArgs, RotateTokenArgs, SetTokenArgs, ValidityArgs,
};
pub(crate) use access_review::{AccessReviewCommand, DecideReviewArgs, Undecided};
pub(crate) use app::{AppCommand, CheckArgs, PublishArgs, SetArgs};
pub(crate) use apply::{ApplyArgs, ExportArgs};
pub(crate) use assign::{AssignArgs, AssignCommand, PrincipalArgs};
pub(crate) use audit::{
    AuditCommand, AuditFilterArgs, ExportLogArgs, PageArgs, SignInFilterArgs, SignInsCommand, TimesArgs, VerifyArgs,
};
pub(crate) use authority::{AcmeCommand, AcmeSetArgs, DomainCommand};
pub(crate) use certificate::{CertCommand, CertFilesArgs};
pub(crate) use client::{ClientAddArgs, ClientCommand, ClientSetArgs};
pub(crate) use connector::{ConnectorCommand, GroupCommand, TokenArgs};
pub(crate) use device::{
    AllCompliant, ApprovalGiven, ApprovedBy, Compliant, DeviceAuthorityCommand, DeviceCommand, DeviceSetArgs,
    DeviceSettingsArgs, DeviceSignsIn,
};
pub(crate) use directory::{
    LinkArgs, MembersArgs, PasswordSource, TestArgs, UserCommand, UserCreateArgs, UserGroupCommand,
    UserGroupCreateArgs, UserGroupSetArgs, UserListArgs, UserSetArgs,
};
pub(crate) use directory_sync::{AddSourceArgs, DirectorySyncCommand, SetSourceArgs, SourceArgs};
pub(crate) use doctor::{DoctorArgs, RelayAddress, Role};
pub(crate) use factor::FactorCommand;
pub(crate) use guard::{DenyCommand, GuardArgs, GuardCommand, LimitArgs};
pub(crate) use histogram::HistogramArgs;
pub(crate) use identity::{
    DeviceHostCommand, IdentityCommand, KerberosCommand, KerberosNames, SamlCommand, SessionCommand,
};
pub(crate) use idp::{IdpAddArgs, IdpCommand, IdpSetArgs, IdpSettingsArgs};
pub(crate) use inventory::{InventoryCommand, PlanArgs, SheetArgs};
pub(crate) use policy::{
    ConditionArgs, PolicyArgs, PolicyCommand, PolicyCreateArgs, PolicySetArgs, ReplayArgs, WhatIfArgs,
};
pub(crate) use relay::RelayCommand;
pub(crate) use scim::ScimCommand;
pub(crate) use terms::{TermsCommand, TermsUpdateArgs};
pub(crate) use throttle::{NetworkCommand, ThrottleCommand, ThrottleSetArgs};
pub(crate) use trace::TraceArgs;
pub(crate) use vault::{VaultCommand, VaultKeyCommand, VaultOwnerArgs, VaultSetArgs};

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use postern_model::ids::{Name, RequestId};
use postern_service::duration;

/// Publish private web applications without opening an inbound port.
#[derive(Parser, Debug)]
#[command(
    name = "postern",
    version,
    arg_required_else_help = true,
    max_term_width = 120,
    after_help = "Examples:
  postern status
  postern connector token --group default --out connector.token
  postern app publish wiki --external https://wiki.example.com/ \\
      --internal http://10.0.0.5/ --preauth passthrough
  postern app list -o json

Exit status: 0 done, 1 failed or not ready, 2 wrong usage, 3 `diff` found differences."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Common {
    /// postern-control's admin socket [default: $POSTERN_SOCKET, else /run/postern/control/admin.sock]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Global options")]
    pub(crate) socket: Option<PathBuf>,
    /// Administer over the network; not yet available
    #[arg(long, global = true, value_name = "URL", conflicts_with = "socket", help_heading = "Global options")]
    pub(crate) server: Option<String>,
    /// Tenant, by name or id [default: $POSTERN_TENANT, else default]
    #[arg(long, global = true, value_name = "T", value_parser = reference, help_heading = "Global options")]
    pub(crate) tenant: Option<String>,
    /// How to print: tables for people, JSON for programs
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t = Format::Table,
        value_name = "FORMAT",
        help_heading = "Global options"
    )]
    pub(crate) output: Format,
}

/// How results are printed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Aligned columns and relative times
    Table,
    /// One JSON document, keys in snake_case, stable
    Json,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Show, and make if missing, the authority, the default tenant and the default connector group
    #[command(after_help = "Examples:
  postern init
  postern init -o json")]
    Init,
    /// Tenants: what belongs to one customer or department
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Relays: the public edge
    #[command(subcommand)]
    Relay(RelayCommand),
    /// Connector groups: connectors that reach the same network
    #[command(subcommand)]
    ConnectorGroup(GroupCommand),
    /// Connectors: they dial out from the private network
    #[command(subcommand)]
    Connector(ConnectorCommand),
    /// Applications: what is published
    #[command(subcommand)]
    App(AppCommand),
    /// Sheets of applications that are to be moved: looked at, and made into a file for `apply`
    #[command(subcommand)]
    Inventory(InventoryCommand),
    /// Who is let in to applications
    #[command(subcommand)]
    Access(AccessCommand),
    /// Where people sign in
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// OpenID providers that users sign in by
    #[command(subcommand)]
    Idp(IdpCommand),
    /// Applications and programs that get tokens for their users, by OpenID Connect
    #[command(subcommand)]
    Client(ClientCommand),
    /// Who is signed in
    #[command(subcommand)]
    Session(SessionCommand),
    /// Passwords that connectors sign users on to applications with, sealed to the connectors' key
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Users and groups that an identity provider makes and changes (SCIM)
    #[command(subcommand)]
    Scim(ScimCommand),
    /// Users and groups that follow an LDAP directory, such as Active Directory
    #[command(subcommand)]
    DirectorySync(DirectorySyncCommand),
    /// Certificates for external hosts
    #[command(subcommand)]
    Cert(CertCommand),
    /// An account with an authority of certificates, by ACME: `cert request` orders with it
    #[command(subcommand)]
    Acme(AcmeCommand),
    /// Domains of the tenant, shown to be its own by a record in the DNS
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Limits of requests, concurrency and bytes
    #[command(subcommand)]
    Throttle(ThrottleCommand),
    /// Named networks: corporate ones, and lists of anonymisers
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Users of the embedded directory: who may sign in
    #[command(subcommand)]
    User(UserCommand),
    /// Devices that users have, and what each counts as for policies
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Groups of users: filled by hand, nested, or by a rule
    #[command(subcommand)]
    Group(UserGroupCommand),
    /// Who may open an application that asks who they are
    #[command(after_help = assign::ASSIGN_EXAMPLES)]
    Assign(AssignArgs),
    /// Conditional access: under which conditions users may use applications, and what is asked of them
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Terms of use: texts that policies ask users to accept
    #[command(subcommand)]
    Terms(TermsCommand),
    /// Make the configuration what a file says: applications, groups, limits, networks, certificates, relays, users, policies
    #[command(after_help = apply::APPLY_EXAMPLES)]
    Apply(ApplyArgs),
    /// Tell what `apply` would change
    #[command(after_help = apply::DIFF_EXAMPLES)]
    Diff(ApplyArgs),
    /// Write the configuration as a file for `apply`
    #[command(after_help = apply::EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// What the kernel refuses on this host: packet filter, connection rates, deny list. On the relay's host, as root
    Guard(GuardArgs),
    /// How long requests take, by stage: percentiles and a plot
    Histogram(HistogramArgs),
    /// Record an application's requests for a while, for the developer tools of a browser
    Trace(TraceArgs),
    /// The whole at a glance
    #[command(after_help = "Examples:
  postern status
  postern status -o json")]
    Status,
    /// Whether requests can be served now: exit status 0, or 1 and what is missing
    #[command(after_help = "Examples:
  postern ready
  postern ready --wait 30s")]
    Ready(ReadyArgs),
    /// Examine this host: kernel, BPF, io_uring, limits, ports, and the way to relays. Control is not needed
    #[command(after_help = doctor::DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// What an error code means and what to do, or what became of a request
    ///
    /// Codes need no running program. Requests are remembered by the relay that served them: the latest thousands.
    #[command(after_help = "Examples:
  postern explain connector-unavailable
  postern explain
  postern explain 9f1c2d3e4f5061728394a5b6c7d8e9f0")]
    Explain(ExplainArgs),
    /// Who changed what, and who signed in
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:
  postern completions bash > /etc/bash_completion.d/postern
  postern completions zsh > ~/.zfunc/_postern")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages
    #[command(
        hide = true,
        after_help = "Examples:
  postern man /usr/share/man/man1"
    )]
    Man {
        /// Where to write them
        dir: PathBuf,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum TenantCommand {
    /// Make a tenant with a connector group named default
    #[command(after_help = "Examples:
  postern tenant create acme")]
    Create {
        /// Its name: a-z, 0-9 and -
        name: Name,
    },
    /// List tenants
    #[command(after_help = "Examples:
  postern tenant list")]
    List,
    /// Show one tenant
    #[command(after_help = "Examples:
  postern tenant show acme")]
    Show {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Change what holds for all of a tenant
    #[command(after_help = "Examples:
  postern tenant set default --app-suffix apps.example.net
  postern tenant set default --app-suffix apps.example.net --cert apps.pem --key apps.key
  postern tenant set default --app-suffix none

The application crm is at crm.apps.example.net, too. Once *.apps.example.net leads to the relays,
names of your own can be aliases (CNAME) of it.")]
    Set {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
        /// Each application is at NAME.SUFFIX, too; none: no more
        #[arg(long, value_name = "SUFFIX")]
        app_suffix: String,
        /// Certificate chain for *.SUFFIX, PEM, leaf first; without it one that covers it, or a new one of the web CA
        #[arg(long, value_name = "FILE", requires = "key")]
        cert: Option<PathBuf>,
        /// Its private key, PEM, unencrypted
        #[arg(long, value_name = "FILE", requires = "cert")]
        key: Option<PathBuf>,
    },
    /// Delete an empty tenant
    #[command(after_help = "Examples:
  postern tenant delete acme")]
    Delete {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
}

#[derive(clap::Args, Debug)]
pub(crate) struct ReadyArgs {
    /// Wait so long for it
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ExplainArgs {
    /// A request's id, as the relay's pages and its access log name it, or an error code, such as host-unknown; without one,
    /// all codes are listed
    #[arg(value_name = "REQUEST_ID|CODE")]
    pub(crate) code: Option<String>,
}

impl ExplainArgs {
    /// The request that is asked about, if it is one.
    pub(crate) fn request(&self) -> Option<RequestId> {
        self.code.as_deref().and_then(|code| code.parse().ok())
    }
}

/// A name or id that is looked up by control: not empty.
pub(crate) fn reference(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("a name or an id".into()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests;
