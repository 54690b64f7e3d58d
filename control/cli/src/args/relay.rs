//! `postern relay …`.

use clap::Subcommand;
use postern_model::ids::Name;

use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum RelayCommand {
    /// Add a relay that control shall dial
    #[command(after_help = "Examples:
  postern relay add edge relay.example.com:443
  postern relay add edge 192.0.2.7:443 \\
      --fingerprint 5b0c2a51d1f0e9b8a7c6d5e4f3021100ffeeddccbbaa99887766554433221100

Without --fingerprint the key that the relay shows first is trusted from then on.")]
    Add {
        /// Its name: a-z, 0-9 and -
        name: Name,
        /// Where control dials it
        #[arg(value_name = "HOST:PORT", value_parser = address)]
        address: String,
        /// SHA-256 of its public key, as its log says at start
        #[arg(long, value_name = "HEX", value_parser = fingerprint)]
        fingerprint: Option<String>,
    },
    /// List relays
    #[command(after_help = "Examples:
  postern relay list")]
    List,
    /// Show one relay
    #[command(after_help = "Examples:
  postern relay show edge")]
    Show {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Remove a relay: control no longer feeds it, and the others get new keys
    #[command(
        long_about = "Remove a relay: control no longer feeds it, and the others get new keys in place of those that it has, for \
cookies and for assertions. Browsers come by the place to sign in once more, unasked; backends that verify assertions fetch the new \
public key."
    )]
    #[command(after_help = "Examples:
  postern relay remove edge
  postern relay remove edge --keep-keys")]
    Remove {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
        /// Leave the keys as they are: nobody else can have got at those on it
        #[arg(long)]
        keep_keys: bool,
    },
}

fn address(text: &str) -> Result<String, String> {
    let port =
        text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
    match port {
        Some(port) if port > 0 => Ok(text.to_owned()),
        Some(_) | None => Err("write HOST:PORT, for example relay.example.com:443 or [2001:db8::7]:443".into()),
    }
}

fn fingerprint(text: &str) -> Result<String, String> {
    let hex: String = text.chars().filter(|&c| c != ':').collect::<String>().to_lowercase();
    if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(hex);
    }
    Err("a SHA-256 is 64 hex digits".into())
}
