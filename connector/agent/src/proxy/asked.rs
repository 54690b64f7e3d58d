//! One CONNECT and its answer, without I/O: the bytes to send, and what is made of those that come.

use std::time::Instant;

use postern_http::h1::ResponseParser;
use postern_http::{Limits, Method};
use postern_model::proxy::authority;
use zeroize::Zeroizing;

use super::hold::Turn;
use super::{Proxy, ProxyFailed, Trouble, Who};

/// A tunnel that was asked for. Send [`Asked::request`], then give what comes to [`Asked::take`] until it says more than nothing.
pub(super) struct Asked<'a> {
    proxy: &'a Proxy,
    /// `HOST:PORT`
    target: String,
    parser: ResponseParser,
    received: Vec<u8>,
    /// Of the whole answer, interim ones included.
    bytes: usize,
    _turn: Turn<'a>,
}

impl<'a> Asked<'a> {
    /// Names go to the proxy as they are: it looks them up, this host may know no names of outside.
    ///
    /// # Errors
    /// The proxy did not take the password a moment ago, or someone else finds out whether it does now.
    pub(super) fn begin(proxy: &'a Proxy, host: &str, port: u16) -> Result<Self, ProxyFailed> {
        let turn = proxy.hold.begin(Instant::now()).ok_or_else(|| proxy.failed(Trouble::Held))?;
        let limits = Limits { head_bytes_max: HEAD_BYTES_MAX, ..Limits::default() };
        let parser = ResponseParser::new(limits);
        Ok(Self { proxy, target: authority(host, port), parser, received: Vec::new(), bytes: 0, _turn: turn })
    }

    /// What is to be sent, with what [`Who`] says.
    pub(super) fn request(&self, authorization: Option<&str>) -> Zeroizing<Vec<u8>> {
        let target = self.target.as_str();
        // Room for all at once: a buffer that grows leaves copies behind.
        let room = 2 * target.len() + authorization.map_or(0, str::len) + REQUEST_ROOM;
        let mut request = Zeroizing::new(Vec::with_capacity(room));
        let mut line = |parts: &[&str]| {
            parts.iter().for_each(|part| request.extend_from_slice(part.as_bytes()));
            request.extend_from_slice(b"\r\n");
        };
        line(&["CONNECT ", target, " HTTP/1.1"]);
        line(&["Host: ", target]);
        line(&["User-Agent: ", SOFTWARE]);
        if let Some(authorization) = authorization {
            line(&["Proxy-Authorization: ", authorization]);
        }
        line(&[]);
        request
    }

    /// Takes what came. Once the proxy has connected: what came behind its answer, which is from who is beyond it.
    ///
    /// # Errors
    /// The proxy does not connect.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<Option<Vec<u8>>, ProxyFailed> {
        self.bytes = self.bytes.saturating_add(input.len());
        self.received.extend_from_slice(input);
        loop {
            // As if a GET was answered: lengths that a 2xx states count for nothing (RFC 9110 §9.3.6), and need not be read then.
            let parsed = self.parser.parse(&self.received, &Method::Get, false);
            let parsed = parsed.map_err(|malformed| self.proxy.failed(Trouble::NotHttp(malformed.code())))?;
            let Some((head, consumed)) = parsed else { return self.within_bounds().map(|()| None) };
            self.received.drain(..consumed);
            if head.is_interim() {
                self.within_bounds()?;
                continue;
            }
            self.judge(head.status)?;
            return Ok(Some(std::mem::take(&mut self.received)));
        }
    }

    fn within_bounds(&self) -> Result<(), ProxyFailed> {
        if self.bytes > ANSWER_BYTES_MAX { Err(self.proxy.failed(Trouble::TooMuch)) } else { Ok(()) }
    }

    fn judge(&self, status: u16) -> Result<(), ProxyFailed> {
        let target = || self.target.clone();
        let trouble = match (status, &self.proxy.who) {
            (200..=299, _) => {
                self.proxy.hold.take();
                return Ok(());
            }
            (407, Who::Nobody) => Trouble::AsksWho,
            // tinyproxy says 401 to a wrong password.
            (401 | 407, Who::Negotiate(_)) => Trouble::RefusesTicket(status),
            (401 | 407, Who::Basic(_)) => {
                self.proxy.hold.refuse(Instant::now());
                Trouble::RefusesWho(status)
            }
            // Not all say 502 for it: tinyproxy says 500.
            (500..=599, _) => Trouble::LeadsNowhere { target: target(), status },
            (_, _) => Trouble::Refuses { target: target(), status },
        };
        Err(self.proxy.failed(trouble))
    }
}

const SOFTWARE: &str = concat!("postern-connector/", env!("CARGO_PKG_VERSION"));
/// The words of a request apart from what it names.
const REQUEST_ROOM: usize = 256;
/// Of one head: an answer to CONNECT has a few fields.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// Of interim answers and the final one.
pub(super) const ANSWER_BYTES_MAX: usize = 32 << 10;
