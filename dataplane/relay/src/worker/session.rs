//! What the requests of one client's connection have in common, for their records and for the next of them.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use postern_http::Scheme;
use postern_io::{Stream, TlsSummary};
use postern_model::policy::{Asn, Country};

use super::bearer::Remembered;
use super::sign_in::{RememberedAccess, RememberedCookie, RenewedCookie};
use crate::countries::Countries;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) address: SocketAddr,
    pub(crate) opened_for: OpenedFor,
    tls: Rc<TlsSummary>,
    handshake_told: Cell<bool>,
    pub(crate) remembered: Remembered,
    pub(crate) remembered_cookie: RememberedCookie,
    pub(crate) renewed_cookie: RenewedCookie,
    /// Where the client is, once that was asked, and of which database.
    country: Cell<Option<(u64, Country)>>,
    asn: Cell<Option<(u64, Asn)>>,
    pub(crate) remembered_access: RememberedAccess,
}

/// What a client's connection was opened for. Its server name decides, once, by what was in force then; nothing that is sent on it
/// later makes another of it.
#[derive(Debug)]
pub(crate) enum OpenedFor {
    /// Applications: those of this host, if the client named one.
    Applications(Option<String>),
    /// To show a device at this host: its handshake asked for a certificate, and resumed nothing.
    Devices(String),
    /// Without TLS: what is published so, and to be told where the rest is.
    Plain,
}

impl Session {
    pub(crate) fn new(stream: &Stream, address: SocketAddr, opened_for: OpenedFor) -> Self {
        Self {
            address,
            opened_for,
            tls: stream.tls(),
            handshake_told: Cell::new(false),
            remembered: Remembered::default(),
            remembered_cookie: RememberedCookie::default(),
            renewed_cookie: RenewedCookie::default(),
            country: Cell::new(None),
            asn: Cell::new(None),
            remembered_access: RememberedAccess::default(),
        }
    }

    /// How the client reached the relay.
    pub(crate) fn scheme(&self) -> Scheme {
        match self.opened_for {
            OpenedFor::Applications(_) | OpenedFor::Devices(_) => Scheme::Https,
            OpenedFor::Plain => Scheme::Http,
        }
    }

    /// The client's country; looked up once, and again in another database.
    pub(crate) fn country(&self, countries: &Countries) -> Country {
        let changes = countries.changes();
        if let Some((_, country)) = self.country.get().filter(|(of, _)| *of == changes) {
            return country;
        }
        let country = countries.of(self.address.ip());
        self.country.set(Some((changes, country)));
        country
    }

    /// The autonomous system that the client is in; looked up as its country is.
    pub(crate) fn asn(&self, countries: &Countries) -> Asn {
        let changes = countries.changes();
        if let Some((_, asn)) = self.asn.get().filter(|(of, _)| *of == changes) {
            return asn;
        }
        let asn = countries.asn(self.address.ip());
        self.asn.set(Some((changes, asn)));
        asn
    }

    /// The certificate that the client showed; it has the key, and an authority of ours vouches for it.
    pub(crate) fn peer_certificate(&self) -> Option<&[u8]> {
        self.tls.peer_certificates.first().map(AsRef::as_ref)
    }

    /// `TLSv1.2` or `TLSv1.3`.
    pub(crate) fn tls_version(&self) -> Option<&'static str> {
        self.tls.version
    }

    /// As [`Session::take_handshake`], which it leaves for the request's record.
    pub(crate) fn handshake(&self) -> Option<Duration> {
        (!self.handshake_told.get() && self.tls.version.is_some()).then_some(self.tls.handshake)
    }

    /// How long its handshake took: for its first request only.
    pub(crate) fn take_handshake(&self) -> Option<Duration> {
        let told = self.handshake_told.replace(true);
        (!told && self.tls.version.is_some()).then_some(self.tls.handshake)
    }
}
