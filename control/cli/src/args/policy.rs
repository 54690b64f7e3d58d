//! `postern policy …`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use postern_model::ids::Name;
use postern_model::policy::{
    Asn, ClientKind, Country, DeviceState, Platform, PolicyState, Requirement, Risk, Strength, TimeWindow,
};
use postern_model::session::AuthMethod;
use postern_service::duration;

use super::reference;
use crate::time_text::unix;

#[derive(Subcommand, Debug)]
pub(crate) enum PolicyCommand {
    /// Make a policy
    #[command(after_help = "Examples:
  postern policy create mfa-outside --everyone --all-apps --except-network hq --require mfa
  postern policy create crm-devices --group sales --app crm --require-any compliant-device,mfa
  postern policy create embargo --everyone --except-group admins --all-apps --country KP --block
  postern policy create guests --guests --all-apps --require mfa,terms/guests \\
      --sign-in-frequency 8h --no-persistent --state report-only
  postern policy create office-hours --group temps --app crm \\
      --except-time 'mon-fri 08:00-18:00 +01:00' --block

A policy applies when all that it names is so; of a list one has to be so, and none of what is
excepted. Of all that apply the most restrictive wins: a block beats everything, requirements add
up. Lists are given with commas, or by repeating the option.")]
    Create(Box<PolicyCreateArgs>),
    /// List policies
    #[command(after_help = "Examples:
  postern policy list
  postern policy list -o json")]
    List,
    /// Show one policy
    #[command(after_help = "Examples:
  postern policy show mfa-outside")]
    Show {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Change a policy; a list that is given replaces the one before, what is not given stays
    #[command(after_help = "Examples:
  postern policy set mfa-outside --except-network hq,branch
  postern policy set crm-devices --clear require-any --require compliant-device
  postern policy set guests --everyone --clear guests")]
    Set(Box<PolicySetArgs>),
    /// Put a policy in force
    #[command(after_help = "Examples:
  postern policy enable guests")]
    Enable {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
        /// Even when it locks everybody out
        #[arg(long)]
        force: bool,
    },
    /// Keep a policy, and do not look at it
    #[command(after_help = "Examples:
  postern policy disable guests")]
    Disable {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Let a policy only report what it would do
    #[command(after_help = "Examples:
  postern policy report-only guests")]
    ReportOnly {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Delete a policy
    #[command(after_help = "Examples:
  postern policy delete guests")]
    Delete {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Tell what changed policies would have decided about the requests of an access log
    #[command(after_help = "Examples:
  postern policy replay --log access.log --policy mfa-outside --state on
  postern policy replay --log access.log --policy crm-devices --clear require-any --require mfa
  postern policy replay --log access.log --policy-file policies.toml --show 100
  postern policy replay --log - --policy-file policies.toml -o json

Control answers, with users, groups and networks as they are now; nothing is changed.")]
    Replay(Box<ReplayArgs>),
    /// Tell what the policies would make of a request, and why
    #[command(after_help = "Examples:
  postern policy what-if --user anna@example.com --app crm
  postern policy what-if --user anna@example.com --app crm --ip 203.0.113.7 --country DE \\
      --platform windows --client browser --method pwd,otp --device compliant
  postern policy what-if --user carl@partner.example --app crm --at 2030-01-31T20:00:00Z -o json")]
    WhatIf(WhatIfArgs),
}

#[derive(clap::Args, Debug)]
pub(crate) struct PolicyCreateArgs {
    /// Its name: a-z, 0-9 and -
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) terms: PolicyArgs,
}

#[derive(clap::Args, Debug)]
pub(crate) struct PolicySetArgs {
    /// Name or id
    #[arg(value_parser = reference)]
    pub(crate) name: String,
    /// Another name
    #[arg(long, value_name = "NAME")]
    pub(crate) new_name: Option<Name>,
    /// Take away what it says under these keys, named as in files: networks, except-groups, idle-max
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub(crate) clear: Vec<String>,
    #[command(flatten)]
    pub(crate) terms: PolicyArgs,
}

/// What a policy says. Each option is the key of files; lists in the singular.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct PolicyArgs {
    /// Whether it is in force: on, report-only or off; on unless given
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<PolicyState>,
    /// It is about every user of the tenant, guests too
    #[arg(long, help_heading = "Whom it is about")]
    pub(crate) everyone: bool,
    /// It is about this user: login name or id
    #[arg(long = "user", value_name = "LOGIN", value_delimiter = ',', help_heading = "Whom it is about")]
    pub(crate) users: Vec<String>,
    /// It is about whoever is in this group: name or id
    #[arg(long = "group", value_name = "NAME", value_delimiter = ',', help_heading = "Whom it is about")]
    pub(crate) groups: Vec<String>,
    /// It is about all guests
    #[arg(long, help_heading = "Whom it is about")]
    pub(crate) guests: bool,
    /// But not about this user
    #[arg(long = "except-user", value_name = "LOGIN", value_delimiter = ',', help_heading = "Whom it is about")]
    pub(crate) except_users: Vec<String>,
    /// But not about whoever is in this group
    #[arg(long = "except-group", value_name = "NAME", value_delimiter = ',', help_heading = "Whom it is about")]
    pub(crate) except_groups: Vec<String>,
    /// But not about guests
    #[arg(long, help_heading = "Whom it is about")]
    pub(crate) except_guests: bool,
    /// It is about all applications
    #[arg(long, help_heading = "Applications")]
    pub(crate) all_apps: bool,
    /// It is about this application: name or id
    #[arg(long = "app", value_name = "APP", value_delimiter = ',', help_heading = "Applications")]
    pub(crate) apps: Vec<String>,
    /// But not about this one
    #[arg(long = "except-app", value_name = "APP", value_delimiter = ',', help_heading = "Applications")]
    pub(crate) except_apps: Vec<String>,
    #[command(flatten)]
    pub(crate) conditions: ConditionArgs,
    /// Nobody passes
    #[arg(long, help_heading = "What it asks for")]
    pub(crate) block: bool,
    /// Each of these: mfa, registered-device, compliant-device, terms/NAME
    #[arg(long, value_name = "WHAT", value_delimiter = ',', help_heading = "What it asks for")]
    pub(crate) require: Vec<Requirement>,
    /// One of these
    #[arg(long, value_name = "WHAT", value_delimiter = ',', help_heading = "What it asks for")]
    pub(crate) require_any: Vec<Requirement>,
    /// Users prove again who they are so long after they did last
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, help_heading = "Sessions")]
    pub(crate) sign_in_frequency: Option<Duration>,
    /// A session is over so long after its last request
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, help_heading = "Sessions")]
    pub(crate) idle_max: Option<Duration>,
    /// A session is over so long after it began
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, help_heading = "Sessions")]
    pub(crate) lifetime_max: Option<Duration>,
    /// No session outlasts the browser
    #[arg(long, help_heading = "Sessions")]
    pub(crate) no_persistent: bool,
    /// Even when it locks everybody out
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "When it applies")]
pub(crate) struct ConditionArgs {
    /// From this network of `postern network`
    #[arg(long = "network", value_name = "NAME", value_delimiter = ',')]
    pub(crate) networks: Vec<Name>,
    /// But not from this one
    #[arg(long = "except-network", value_name = "NAME", value_delimiter = ',')]
    pub(crate) except_networks: Vec<Name>,
    /// From this country (ISO 3166-1: DE); ZZ where it is not known
    #[arg(long = "country", value_name = "CODE", value_delimiter = ',')]
    pub(crate) countries: Vec<Country>,
    /// But not from this one
    #[arg(long = "except-country", value_name = "CODE", value_delimiter = ',')]
    pub(crate) except_countries: Vec<Country>,
    /// From this autonomous system (AS64500); AS0 where it is not known
    #[arg(long = "asn", value_name = "ASN", value_delimiter = ',')]
    pub(crate) asns: Vec<Asn>,
    /// But not from this one
    #[arg(long = "except-asn", value_name = "ASN", value_delimiter = ',')]
    pub(crate) except_asns: Vec<Asn>,
    /// On devices with windows, macos, linux, ios, android or other
    #[arg(long = "platform", value_name = "PLATFORM", value_delimiter = ',')]
    pub(crate) platforms: Vec<Platform>,
    /// But not with this
    #[arg(long = "except-platform", value_name = "PLATFORM", value_delimiter = ',')]
    pub(crate) except_platforms: Vec<Platform>,
    /// From a browser, native program or service (a machine: only where this names it)
    #[arg(long = "client", value_name = "KIND", value_delimiter = ',')]
    pub(crate) clients: Vec<ClientKind>,
    /// But not from this
    #[arg(long = "except-client", value_name = "KIND", value_delimiter = ',')]
    pub(crate) except_clients: Vec<ClientKind>,
    /// At these times: 'mon-fri 08:00-18:00 +01:00'
    #[arg(long = "time", value_name = "WINDOW")]
    pub(crate) times: Vec<TimeWindow>,
    /// But not at these
    #[arg(long = "except-time", value_name = "WINDOW")]
    pub(crate) except_times: Vec<TimeWindow>,
    /// For who signed in with pwd, otp, hwk, mfa, wia, swk or fed
    #[arg(long = "method", value_name = "METHOD", value_delimiter = ',')]
    pub(crate) methods: Vec<AuthMethod>,
    /// But not with this
    #[arg(long = "except-method", value_name = "METHOD", value_delimiter = ',')]
    pub(crate) except_methods: Vec<AuthMethod>,
    /// For who signed in with single-factor or multi-factor
    #[arg(long, value_name = "STRENGTH")]
    pub(crate) strength: Option<Strength>,
    /// For who signed in so long ago, or longer
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) auth_age_min: Option<Duration>,
    /// At a risk of low, medium or high, or a higher one
    #[arg(long, value_name = "RISK")]
    pub(crate) risk_min: Option<Risk>,
    /// On devices that are unknown, registered or compliant
    #[arg(long = "device", value_name = "STATE", value_delimiter = ',')]
    pub(crate) devices: Vec<DeviceState>,
    /// But not on these
    #[arg(long = "except-device", value_name = "STATE", value_delimiter = ',')]
    pub(crate) except_devices: Vec<DeviceState>,
}

/// What is to be other than it is. Without a policy: what the policies say as they are.
#[derive(clap::Args, Debug)]
pub(crate) struct ReplayArgs {
    /// A relay's access log; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) log: PathBuf,
    /// Policies as they are to be: a file as for apply
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    pub(crate) policy_file: Option<PathBuf>,
    /// A policy of which what follows is to be other; one that is not there is made of it
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<Name>,
    /// Take away what it says under these keys, named as in files
    #[arg(long, value_name = "KEY", value_delimiter = ',', requires = "policy")]
    pub(crate) clear: Vec<String>,
    /// So many of the requests that would be decided otherwise are shown
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) show: usize,
    #[command(flatten)]
    pub(crate) terms: PolicyArgs,
}

/// A request that might be. What is not said is unknown.
#[derive(clap::Args, Debug)]
pub(crate) struct WhatIfArgs {
    /// Who: login name or id
    #[arg(long, value_name = "LOGIN", value_parser = reference)]
    pub(crate) user: String,
    /// The application: name or id
    #[arg(long, value_name = "APP", value_parser = reference)]
    pub(crate) app: String,
    /// The address that it comes from
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Option<IpAddr>,
    /// The country of that address; unless given, control looks it up if it has --geoip
    #[arg(long, value_name = "CODE")]
    pub(crate) country: Option<Country>,
    /// The autonomous system of that address; unless given, looked up if control has --geoip-asn
    #[arg(long, value_name = "ASN")]
    pub(crate) asn: Option<Asn>,
    /// What the device runs; other unless given
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// What kind of program asks; a browser unless given
    #[arg(long, value_name = "KIND")]
    pub(crate) client: Option<ClientKind>,
    /// When; now unless given
    #[arg(long, value_name = "TIME", value_parser = unix)]
    pub(crate) at: Option<u64>,
    /// How they signed in; pwd unless given
    #[arg(long = "method", value_name = "METHOD", value_delimiter = ',')]
    pub(crate) methods: Vec<AuthMethod>,
    /// How long ago; just now unless given
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) auth_age: Option<Duration>,
    /// How likely it is that it was someone else; low unless given
    #[arg(long, value_name = "RISK")]
    pub(crate) risk: Option<Risk>,
    /// What is known of the device
    #[arg(long, value_name = "STATE")]
    pub(crate) device: Option<DeviceState>,
    /// Terms that they accepted, besides those that they did
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) terms: Vec<Name>,
    /// Their session outlasts the browser
    #[arg(long)]
    pub(crate) persistent: bool,
}
