//! What the command line says about proxies. It is read and checked when the process starts: see `crate::proxy`.

use std::path::PathBuf;

/// The way to relays, where the network lets nobody out but by a proxy.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ProxyArgs {
    /// Dial relays through this HTTP proxy: `http://[USER@]HOST:PORT` or https://, none for none; default: `HTTPS_PROXY`
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// Hosts that are dialled without it: example.com,10.0.0.0/8; default: `NO_PROXY`, with `HTTPS_PROXY`
    #[arg(long, value_name = "HOSTS")]
    pub no_proxy: Option<String>,
    /// How the proxy is told who asks: by USER and password, or by a ticket of --keytab and --kerberos-principal
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProxyAuth::Basic)]
    pub proxy_auth: ProxyAuth,
    /// The proxy's own name in Kerberos, HTTP/HOST or HTTP/HOST@REALM; default: of its URL
    #[arg(long, value_name = "SPN")]
    pub proxy_spn: Option<String>,
    /// A file with the password of the proxy's USER
    #[arg(long, value_name = "FILE")]
    pub proxy_password_file: Option<PathBuf>,
    /// Certificates of the only authorities that those of https:// proxies may come from, PEM; default: the host's
    #[arg(long, value_name = "FILE")]
    pub proxy_ca: Option<PathBuf>,
}

/// How a proxy is told who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ProxyAuth {
    /// HTTP Basic (RFC 7617), where there is a user.
    #[default]
    Basic,
    /// Kerberos (RFC 4559), connectors only.
    Negotiate,
}

/// All that is said about proxies; passwords and certificates are still in their files.
#[derive(Debug, Clone, Default)]
pub struct ProxyOptions {
    /// The way to relays.
    pub relays: ProxyArgs,
    /// `NAME=URL` of those for backends.
    pub backends: Vec<String>,
    /// `NAME=FILE` with their passwords.
    pub backend_passwords: Vec<String>,
}
