//! Translation of answers: URLs that an application wrote into its pages for the internal network become those under which the
//! same thing is published. Sans-I/O and streaming: bytes go in, bytes come out, nothing is held whole.
//!
//! ```text
//! body → decode (gzip, deflate, br, zstd) → HTML | CSS | JSON | JavaScript → encode again → user
//! ```
//!
//! What cannot be understood passes as it is; only a coding that is broken is an error, for then there is no body to pass.
//! [`Translator`] documents the order of calls. What fields of heads say has no order: [`fields`], [`absolute`].

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::wildcard_enum_match_arm,
        reason = "a test that unwraps or meets the unexpected fails loudly"
    )
)]

pub mod absolute;
mod attributes;
mod charset;
mod coding;
mod content;
mod css;
pub mod fields;
mod held;
mod html;
pub mod limits;
mod page;
mod references;
mod strings;
mod translator;

pub use coding::{Broken, Coding};
pub use content::{ContentInfo, Kinds};
pub use translator::{Progress, Translator};

#[cfg(test)]
mod tests;

/// Says where what is written as `url` is published.
pub trait Links {
    /// The external URL; `None` leaves what is there. `url` is whole (`http://…`), without a scheme (`//…`) or a path (`/…`).
    fn outwards(&self, url: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Links for F {
    fn outwards(&self, url: &str) -> Option<String> {
        self(url)
    }
}
