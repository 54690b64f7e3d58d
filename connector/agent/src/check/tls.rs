//! TLS with the application, verified as for users' requests, each time from the beginning.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use postern_model::settings::{AppSettings, BackendHttp};
use rustls::client::Resumption;
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, InvalidMessage, StreamOwned};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::findings::Seen;
use super::http::{Spoken, Wire, is_slow};
use super::reach::waited;
use crate::backend::{Backend, BackendTls, HTTP2};

/// The handshake as a step, with the versions of HTTP that requests offer.
pub(super) fn look(backend: &Backend, tls: &BackendTls, stream: Box<dyn Wire>) -> (Seen, Option<Spoken>) {
    if let Some(reason) = tls.own_missing() {
        let cure =
            "put the certificate and its key there on the host of every connector of the group (--client-certificates)";
        return (Seen::fail(&format!("the client certificate that is set cannot be shown: {reason}"), cure), None);
    }
    let stream = match handshake(&tls.config, tls, stream) {
        Ok(stream) => stream,
        Err(error) => return (failed(backend, &error), None),
    };
    let http2 = is_http2(&stream.conn);
    if backend.http == BackendHttp::Http2 && !http2 {
        let seen = "the application does not choose HTTP/2 (ALPN h2), which backend_http=2 demands: requests fail";
        let cure = "turn HTTP/2 on in the application, or set backend_http=auto";
        return (Seen::fail(seen, cure), None);
    }
    let verified = AppSettings::parse(&backend.app.settings).is_ok_and(|settings| settings.backend_tls_verify);
    (seen(&stream.conn, verified), Some(Spoken { wire: Box::new(stream), http2 }))
}

/// The same where it went well before. `http1`: nothing else is offered.
pub(super) fn open(tls: &BackendTls, stream: Box<dyn Wire>, http1: bool) -> io::Result<Spoken> {
    let stream = handshake(if http1 { &tls.http1 } else { &tls.config }, tls, stream)?;
    Ok(Spoken { http2: is_http2(&stream.conn), wire: Box::new(stream) })
}

fn is_http2(connection: &ClientConnection) -> bool {
    connection.alpn_protocol() == Some(HTTP2)
}

fn handshake(
    config: &ClientConfig,
    tls: &BackendTls,
    mut stream: Box<dyn Wire>,
) -> io::Result<StreamOwned<ClientConnection, Box<dyn Wire>>> {
    let mut config = config.clone();
    // A session that is resumed shows no certificate.
    config.resumption = Resumption::disabled();
    let mut connection = ClientConnection::new(Arc::new(config), tls.server_name.clone()).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

fn seen(connection: &ClientConnection, verified: bool) -> Seen {
    let version = connection.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
    let certificate = connection.peer_certificates().and_then(<[_]>::first).and_then(Certificate::of);
    let Some(certificate) = certificate else {
        return Seen::warn(&format!("{version}, a certificate that cannot be read"), "");
    };
    let spoken = if is_http2(connection) { "h2, " } else { "" };
    let text = format!("{version}, {spoken}{}", certificate.words());
    if !verified {
        let cure = "set backend_ca to the authority that issued it, and unset backend_tls_verify: others on that network can take its place";
        return Seen::warn(&format!("{text}; it was not verified (backend_tls_verify=false)"), cure);
    }
    if certificate.days_left < EXPIRES_SOON_DAYS {
        return Seen::warn(&text, "renew the application's certificate: requests fail when it has expired");
    }
    Seen::ok(&text)
}

struct Certificate {
    subject: String,
    issuer: String,
    days_left: i64,
}

impl Certificate {
    fn of(leaf: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let now = i64::try_from(now.as_secs()).ok()?;
        Some(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            days_left: (parsed.validity().not_after.timestamp() - now) / (24 * 3600),
        })
    }

    fn words(&self) -> String {
        let subject = if self.subject.is_empty() { "without a subject" } else { &self.subject };
        format!("certificate {subject}, by {}, good for {} days", self.issuer, self.days_left)
    }
}

fn failed(backend: &Backend, error: &io::Error) -> Seen {
    let host = &backend.internal.host;
    let Some(said) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return broken(backend, error);
    };
    let plain = [InvalidMessage::InvalidContentType, InvalidMessage::UnknownProtocolVersion];
    let cure = if let Error::InvalidCertificate(reason) = said {
        certificate_cure(reason)
    } else if matches!(said, Error::InvalidMessage(message) if plain.contains(message)) {
        "it speaks plain HTTP there: look at the port, or set an http:// internal URL (postern app set NAME --internal http://…)"
    } else if matches!(said, Error::AlertReceived(_)) {
        "the application refuses the handshake: look at its log and at the host in the internal URL"
    } else if matches!(said, Error::PeerIncompatible(_)) {
        "it speaks no TLS 1.2 or 1.3 that this connector knows: update it"
    } else {
        "look at the application's log"
    };
    Seen::fail(&format!("TLS with {host}: {said}"), cure)
}

fn broken(backend: &Backend, error: &io::Error) -> Seen {
    let host = &backend.internal.host;
    let ended = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset].contains(&error.kind());
    let (words, cure) = if is_slow(error) {
        (format!("there was no answer {}", waited(backend)), "look whether what listens there speaks TLS")
    } else if ended {
        let cure = "look at the application's log; some servers that speak plain HTTP end connections so";
        ("it ended the connection".to_owned(), cure)
    } else {
        (error.to_string(), "look at the application's log")
    };
    Seen::fail(&format!("TLS with {host}: {words}"), cure)
}

fn certificate_cure(reason: &CertificateError) -> &'static str {
    use CertificateError as E;
    if matches!(reason, E::Expired | E::ExpiredContext { .. }) {
        "renew the application's certificate, or look at the clock of this connector's host"
    } else if matches!(reason, E::NotValidYet | E::NotValidYetContext { .. }) {
        "look at the clock of this connector's host and of the one that issued it"
    } else if matches!(reason, E::UnknownIssuer | E::BadSignature) {
        "set the authority that issued it: postern app set NAME --set backend_ca=@ca.pem; the server must send its whole chain"
    } else if matches!(reason, E::NotValidForName | E::NotValidForNameContext { .. }) {
        "set the internal URL to a name that stands in the certificate, or give the application one for this name"
    } else if matches!(reason, E::Revoked) {
        "give the application another certificate: this one was revoked"
    } else {
        "give the application a certificate that can be verified"
    }
}

const EXPIRES_SOON_DAYS: i64 = 14;
