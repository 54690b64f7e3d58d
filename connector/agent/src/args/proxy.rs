//! What the command line says about proxies. It is read and checked when the process starts: see `crate::proxy`.

use std::path::PathBuf;

/// The way to relays, where the network lets nobody out but by a proxy.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ProxyArgs {
    /// Dial relays through this HTTP proxy: http://[USER@]HOST:PORT or https://; none for none [default: HTTPS_PROXY]
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// Hosts that are dialled without it: example.com,10.0.0.0/8 [default: NO_PROXY, with HTTPS_PROXY]
    #[arg(long, value_name = "HOSTS")]
    pub no_proxy: Option<String>,
    /// A file with the password of the proxy's USER
    #[arg(long, value_name = "FILE")]
    pub proxy_password_file: Option<PathBuf>,
    /// Certificates of the only authorities that those of https:// proxies may come from, PEM [default: the host's]
    #[arg(long, value_name = "FILE")]
    pub proxy_ca: Option<PathBuf>,
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
