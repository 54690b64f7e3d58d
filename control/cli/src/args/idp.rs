//! `postern idp …`: external OpenID providers.

use std::path::PathBuf;

use clap::Subcommand;
use postern_model::external::DeviceClaim;
use postern_model::ids::Name;
use postern_model::session::AuthMethod;

use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum IdpCommand {
    /// Let users sign in by an OpenID provider
    #[command(after_help = "Examples:
  postern idp add corp --issuer https://login.example.com --client-id postern
  postern idp add corp --issuer https://login.example.com --client-id postern \\
      --client-secret-file secret --label 'Example Corp' --users create \\
      --domain example.com,example.org
  postern idp add corp --issuer https://login.example.com --client-id postern \\
      --client-secret-file secret --require-mfa=true \\
      --group-claim groups --map-group engineering=engineers
  postern idp add corp --issuer https://login.example.com --client-id postern \\
      --device-claim registered=device_managed --device-claim compliant=device_state=healthy

Register the addresses that it prints at the provider: postern idp show corp")]
    Add(Box<IdpAddArgs>),
    /// List providers
    #[command(after_help = "Examples:
  postern idp list")]
    List,
    /// Show a provider, and the addresses to register there; never its secret
    #[command(after_help = "Examples:
  postern idp show corp")]
    Show {
        /// What it is called
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Change a provider: what is not given stays; its issuer always does
    #[command(after_help = "Examples:
  postern idp set corp --client-secret-file new-secret
  postern idp set corp --users create --default=true
  postern idp set corp --map-group engineering=engineers --unmap-group sales
  postern idp set corp --device-claim compliant=device_compliant
  postern idp set corp --unset domains,ca_pem")]
    Set(Box<IdpSetArgs>),
    /// Let users sign in by it again
    #[command(after_help = "Examples:
  postern idp enable corp")]
    Enable {
        /// What it is called
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Nobody signs in by it; sessions that came of it end
    #[command(after_help = "Examples:
  postern idp disable corp")]
    Disable {
        /// What it is called
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Let an identity process ask it for its description and keys: exit status 0 if users could sign in by it
    #[command(after_help = "Examples:
  postern idp probe corp")]
    Probe {
        /// What it is called
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Remove it with its links to users, the memberships that it gave, and the sessions that came of it
    #[command(after_help = "Examples:
  postern idp remove corp")]
    Remove {
        /// What it is called
        #[arg(value_parser = reference)]
        name: String,
    },
}

#[derive(clap::Args, Debug)]
pub(crate) struct IdpAddArgs {
    /// Its name: a-z, 0-9 and -; it becomes part of an address
    pub(crate) name: Name,
    /// Its issuer identifier, exactly as it writes it itself
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: String,
    /// What it calls us
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: String,
    #[command(flatten)]
    pub(crate) settings: IdpSettingsArgs,
}

#[derive(clap::Args, Debug)]
pub(crate) struct IdpSetArgs {
    /// What it is called
    #[arg(value_parser = reference)]
    pub(crate) name: String,
    /// What it calls us
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    #[command(flatten)]
    pub(crate) settings: IdpSettingsArgs,
    /// Groups, by the provider's name for them, that its claim no longer fills
    #[arg(long, value_name = "CLAIMED", value_delimiter = ',')]
    pub(crate) unmap_group: Vec<String>,
    /// Settings, by their keys in `-o json`, that go back to their default
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub(crate) unset: Vec<String>,
}

/// What can be said of a provider at any time.
#[derive(clap::Args, Debug)]
pub(crate) struct IdpSettingsArgs {
    /// A file with our secret there; without one we are a public client
    #[arg(long, value_name = "FILE")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// What users call it, on the page where they sign in
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,
    /// User names of these domains go straight to it
    #[arg(long, value_name = "DOMAIN", value_delimiter = ',')]
    pub(crate) domain: Vec<String>,
    /// The query parameter that tells it the domain: domain_hint, or Google's hd
    #[arg(long, value_name = "NAME")]
    pub(crate) domain_hint_parameter: Option<String>,
    /// What is asked for: openid always is
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    pub(crate) scopes: Vec<String>,
    /// Claims that a new user's login name comes from, the first that there is [default: preferred_username,email]
    #[arg(long, value_name = "CLAIM", value_delimiter = ',')]
    pub(crate) claim_login: Vec<String>,
    /// The claim with the name for people [default: name]
    #[arg(long, value_name = "CLAIM")]
    pub(crate) claim_display_name: Option<String>,
    /// The claim with the mail address [default: email]
    #[arg(long, value_name = "CLAIM")]
    pub(crate) claim_mail: Option<String>,
    /// Take mail addresses that the provider does not say to have verified
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) trust_mail: Option<bool>,
    /// The claim with the user's groups
    #[arg(long, value_name = "CLAIM")]
    pub(crate) group_claim: Option<String>,
    /// Who is in the provider's group CLAIMED is put into GROUP; repeat it for more
    #[arg(long, value_name = "CLAIMED=GROUP", value_parser = mapping)]
    pub(crate) map_group: Vec<(String, Name)>,
    /// Users that nobody linked: they stay out (existing), or are made at their first sign-in (create) [default: existing]
    #[arg(long, value_name = "WHICH", value_parser = ["existing", "create"])]
    pub(crate) users: Option<String>,
    /// A device counts as STATE (registered, compliant) if CLAIM of the ID token is true, or VALUE, or a list with it;
    /// repeat it for more
    #[arg(long, value_name = "STATE=CLAIM[=VALUE]")]
    pub(crate) device_claim: Vec<DeviceClaim>,
    /// Let in only who proved more than one factor there, by amr or acr
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) require_mfa: Option<bool>,
    /// What a value of acr says about how a user signed in: pwd, otp, hwk, mfa, wia
    #[arg(long, value_name = "VALUE=METHOD", value_parser = acr)]
    pub(crate) acr: Vec<(String, String)>,
    /// Browsers go straight to it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) default: Option<bool>,
    /// Certificates of the only authorities that its TLS certificate may come from, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// By how many seconds its clock may differ [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) skew: Option<u32>,
    /// How many milliseconds one answer of it may take [default: 5000]
    #[arg(long, value_name = "MS")]
    pub(crate) fetch_timeout_ms: Option<u32>,
    /// Allow http:// to the identity process's own host, for tests
    #[arg(long, hide = true)]
    pub(crate) insecure_loopback: bool,
}

fn mapping(text: &str) -> Result<(String, Name), String> {
    let (claimed, group) = text.rsplit_once('=').ok_or("CLAIMED=GROUP")?;
    Ok((claimed.to_owned(), group.parse().map_err(|error| format!("{error}"))?))
}

fn acr(text: &str) -> Result<(String, String), String> {
    let (value, method) = text.rsplit_once('=').ok_or("VALUE=METHOD")?;
    let method: AuthMethod = method.parse()?;
    if method == AuthMethod::SoftwareKey {
        return Err(format!("{method} is what a device proves to us; no provider proves it for one"));
    }
    Ok((value.to_owned(), method.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_acr_says_nothing_that_only_a_device_proves() {
        assert_eq!(acr("urn:a=b=mfa"), Ok(("urn:a=b".to_owned(), "mfa".to_owned())));
        assert!(acr("urn:a=swk").is_err_and(|error| error.contains("swk is what a device proves")));
        assert!(acr("urn:a=pin").is_err() && acr("mfa").is_err());
    }
}
