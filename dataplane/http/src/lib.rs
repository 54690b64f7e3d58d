//! Strict HTTP without I/O: one head model for HTTP/1.1 and HTTP/2, the HTTP/1.1 codec, and the compact form in which
//! heads cross a tunnel. It never reads a clock, never repairs bad input, and keeps target bytes as they came.
//!
//! Order of calls on a server connection: [`h1::RequestParser::parse`] until it yields a [`RequestHead`], then
//! [`h1::BodyDecoder`] made from `head.body` until `End`; the answer is written with [`h1::encode_response`] and
//! [`h1::BodyEncoder`]. A client connection mirrors it with [`h1::encode_request`] and [`h1::ResponseParser`]. For HTTP/2
//! [`h2`] makes the same heads from what an HTTP/2 library decodes.
//!
//! A head holds end-to-end information only. Host, framing, `Expect`, `Connection` and everything it lists are taken
//! out of [`Headers`] by the parsers and stand in typed fields, from which the encoders write them again: there is one
//! source of truth, and a hop-by-hop field cannot be forwarded by mistake.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

mod authority;
mod cookies;
mod field;
mod forwarding;
pub mod h1;
pub mod h2;
mod head;
mod headers;
mod hop;
mod known;
mod limits;
mod malformed;
mod method;
mod path;
mod problem;
mod scan;
mod status;
mod target;
mod told;
mod trace;
mod wire;

pub use authority::Authority;
pub use cookies::{cookie, cookies_with, strip_cookies, strip_set_cookies};
pub use field::{FieldRef, Name};
pub use forwarding::{add_forwarding, add_service, is_identity, is_protected, strip_identity, strip_inbound};
pub use head::{BodyKind, RequestHead, ResponseHead, Scheme, Version};
pub use headers::{Headers, InvalidField};
pub use hop::{is_forbidden_trailer, strip_hop_by_hop};
pub use known::Known;
pub use limits::Limits;
pub use malformed::{Malformed, Rule};
pub use method::Method;
pub use path::PathRules;
pub use problem::{Brand, Link, Page, Problem, brand_header, landing};
pub use status::reason;
pub use target::{Target, TargetForm};
pub use told::strip_told;
pub use trace::ensure_trace;
