//! What the parts of Postern agree on: identifiers, configuration, the log of changes, and the messages between them.
//! No I/O, no clock, no environment.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

pub mod access_token;
pub mod acme;
pub mod admin;
pub mod app_url;
pub mod assertion;
pub mod chain;
pub mod check;
pub mod claims;
pub mod codes;
pub mod config;
pub mod delta;
pub mod device;
pub mod directory;
pub mod directory_sync;
pub mod document;
pub mod domain;
pub mod enrol;
pub mod external;
pub mod frame;
pub mod group_config;
pub mod handshake;
pub mod histogram;
pub mod host;
pub mod identity;
pub mod ids;
pub mod limit;
pub mod link;
pub mod negotiate;
pub mod network;
pub mod oauth;
pub mod plan;
pub mod policy;
pub mod portal;
pub mod prefix;
pub mod proxy;
pub mod question;
pub mod record;
pub mod relay_address;
pub mod saml;
pub mod scim;
pub mod secret;
pub mod service_token;
pub mod session;
pub mod settings;
pub mod snapshot;
pub mod sso;
pub mod terms;
pub mod trace;
pub mod vault;

pub use delta::{Change, Delta};
pub use plan::Plan;
pub use snapshot::Snapshot;
