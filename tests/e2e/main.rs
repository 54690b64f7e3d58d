//! The whole product, end to end, with the real programs: one binary, one world at a time.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

mod answers;
mod app_check;
mod backpressure;
mod bad_input;
mod bodies;
mod browser;
mod control_down;
mod dataplane_crash;
mod directory;
mod directory_sync;
mod enrolment;
mod external_providers;
mod failover;
mod guard;
mod http2;
mod http2_attacks;
mod http2_backends;
mod http2_conformance;
mod io_backend;
mod kerberos;
mod listening;
mod malformed;
mod messages;
mod network;
mod observability;
mod plain_http;
mod refusals;
mod renewal;
mod rollout;
mod saml;
mod scim;
mod service_tokens;
mod sign_in;
mod steering;
mod system_calls;
mod throttle;
mod tls_backend;
mod vault;
mod watchdog;
mod websockets;
