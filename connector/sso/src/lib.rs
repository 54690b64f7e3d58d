//! Single sign-on towards the private applications. Kerberos constrained delegation: the connector's own key, from a keytab,
//! gets tickets in users' names (S4U2Self, S4U2Proxy), as far as the KDC allows this connector. And the other way round: tickets
//! that users show, verified for the place to sign in. It holds no HTTP.
//!
//! The feature `kerberos` brings MIT's library in; without it everything here compiles but nothing gets a ticket.

#![cfg_attr(not(feature = "kerberos"), forbid(unsafe_code))]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

#[cfg(feature = "kerberos")]
pub mod acceptance;
pub mod failure;
#[cfg(feature = "kerberos")]
pub mod kerberos;
pub mod keytab;
pub mod limits;
pub mod tickets;
pub mod trial;

pub use failure::{FailureKind, KerberosFailure};
pub use tickets::{Authority, Negotiation, Proof, Reply, SignOn, Tickets, Wanted};
pub use trial::{Account, Trial};
