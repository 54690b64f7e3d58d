//! OPEN: what a connector must know of a request beside its head.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use postern_model::ids::{AppId, RequestId, TenantId};

use super::Reader;
use crate::error::PeerMisbehaved;
use crate::frame::FrameKind;

/// Names a user's session to connectors without being the session's secret; REVOKE cuts by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey(pub u128);

/// How the client reached the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternalScheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

/// What the stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// A request head, then its body.
    Http,
    /// Bytes of a connection: TLS passthrough and TCP apps that have no lane. The head is empty, and no HEAD comes back.
    Raw,
}

/// The name that the connector signs the request's user on to the application with. 1 to [`SSO_LOGIN_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SsoLogin(Arc<str>);

impl SsoLogin {
    /// None for a name that does not fit.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        (1..=SSO_LOGIN_BYTES_MAX).contains(&name.len()).then(|| Self(name.into()))
    }

    /// As text.
    #[must_use]
    pub const fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

/// Whose request it is does not stand in logs.
impl fmt::Debug for SsoLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SsoLogin")
    }
}

/// The description of a stream that goes before its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenMeta {
    /// The app it is for.
    pub app: AppId,
    /// The name of the request in answers and logs.
    pub request: RequestId,
    /// The client as the relay sees it.
    pub client: SocketAddr,
    /// How the client reached the relay.
    pub scheme: ExternalScheme,
    /// What the stream carries.
    pub kind: StreamKind,
    /// The user's session, where there is one.
    pub session: Option<SessionKey>,
    /// Under which name the connector signs the user on, where it does.
    pub sso_login: Option<SsoLogin>,
}

const HTTPS: u8 = 0x01;
const IPV6: u8 = 0x02;
const RAW: u8 = 0x04;
const SESSION: u8 = 0x08;
const SSO_LOGIN: u8 = 0x10;

impl OpenMeta {
    pub(crate) fn encoded_bytes(&self) -> usize {
        let address = if self.client.is_ipv6() { 16 } else { 4 };
        let session = if self.session.is_some() { 16 } else { 0 };
        let login = self.sso_login.as_ref().map_or(0, |login| 1 + login.0.len());
        1 + FIXED_BYTES + address + session + login
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.scheme == ExternalScheme::Https {
            flags |= HTTPS;
        }
        if self.client.is_ipv6() {
            flags |= IPV6;
        }
        if self.kind == StreamKind::Raw {
            flags |= RAW;
        }
        if self.session.is_some() {
            flags |= SESSION;
        }
        if self.sso_login.is_some() {
            flags |= SSO_LOGIN;
        }
        flags
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u8((self.encoded_bytes() - 1) as u8);
        out.put_u8(self.flags());
        out.put_u32(self.app.tenant.0);
        out.put_u32(self.app.seq);
        out.put_u128(self.request.0);
        out.put_u16(self.client.port());
        match self.client.ip() {
            IpAddr::V4(ip) => out.put_slice(&ip.octets()),
            IpAddr::V6(ip) => out.put_slice(&ip.octets()),
        }
        if let Some(session) = self.session {
            out.put_u128(session.0);
        }
        if let Some(login) = &self.sso_login {
            out.put_u8(login.0.len() as u8);
            out.put_slice(login.0.as_bytes());
        }
    }

    /// Splits an OPEN payload into the description and the head.
    pub(crate) fn decode(mut payload: Bytes) -> Result<(Self, Bytes), PeerMisbehaved> {
        let mut outer = Reader::new(FrameKind::Open, &payload);
        let encoded = outer.short("description")?;
        let end = 1 + encoded.len();
        let meta = Self::read(&mut Reader::new(FrameKind::Open, encoded))?;
        let head = payload.split_off(end);
        Ok((meta, head))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerMisbehaved> {
        let flags = reader.u8("flags")?;
        let set = |bit: u8| flags & bit != 0;
        let app = AppId::new(TenantId(reader.u32("app")?), reader.u32("app")?);
        let request = RequestId(reader.u128("request")?);
        let port = reader.u16("client")?;
        let ip = if set(IPV6) {
            IpAddr::from(Ipv6Addr::from(reader.u128("client")?))
        } else {
            IpAddr::from(Ipv4Addr::from(reader.u32("client")?))
        };
        let session = if set(SESSION) { Some(SessionKey(reader.u128("session")?)) } else { None };
        let sso_login = if set(SSO_LOGIN) {
            let login = SsoLogin::new(reader.text("sso login")?);
            Some(login.ok_or_else(|| reader.malformed("sso login"))?)
        } else {
            None
        };
        Ok(Self {
            app,
            request,
            client: SocketAddr::new(ip, port),
            scheme: if set(HTTPS) { ExternalScheme::Https } else { ExternalScheme::Http },
            kind: if set(RAW) { StreamKind::Raw } else { StreamKind::Http },
            session,
            sso_login,
        })
    }
}

/// Flags, app, request, port.
const FIXED_BYTES: usize = 1 + 8 + 16 + 2;
/// With everything else in the description, and both lengths, it takes 250 of a short's 255 bytes.
pub const SSO_LOGIN_BYTES_MAX: usize = 190;
const _: () = assert!(FIXED_BYTES + 16 + 16 + 1 + SSO_LOGIN_BYTES_MAX <= u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    fn metas() -> Vec<OpenMeta> {
        let mut metas = Vec::new();
        for client in ["192.0.2.7:50000", "[2001:db8::1]:1"] {
            for session in [None, Some(SessionKey(u128::MAX - 5))] {
                let login = |text: &str| Some(SsoLogin::new(text).unwrap());
                for (scheme, kind, sso_login) in [
                    (ExternalScheme::Https, StreamKind::Http, None),
                    (ExternalScheme::Http, StreamKind::Raw, login("ä@EXAMPLE.COM")),
                    (ExternalScheme::Https, StreamKind::Http, login(&"a".repeat(SSO_LOGIN_BYTES_MAX))),
                ] {
                    metas.push(OpenMeta {
                        app: AppId::new(TenantId(1), 7),
                        request: RequestId(0x0123_4567_89ab_cdef),
                        client: client.parse().unwrap(),
                        scheme,
                        kind,
                        session,
                        sso_login,
                    });
                }
            }
        }
        metas
    }

    #[test]
    fn every_form_survives_the_wire_before_its_head() {
        for meta in metas() {
            let mut out = BytesMut::new();
            meta.encode(&mut out);
            assert_eq!(out.len(), meta.encoded_bytes());
            out.extend_from_slice(b"head");
            let (decoded, head) = OpenMeta::decode(out.freeze()).unwrap();
            assert_eq!((decoded, &head[..]), (meta, &b"head"[..]));
        }
    }

    #[test]
    fn a_login_that_does_not_fit_is_refused() {
        assert!(SsoLogin::new("").is_none() && SsoLogin::new(&"a".repeat(SSO_LOGIN_BYTES_MAX + 1)).is_none());
        for login in [&b""[..], &[0xff], &[b'a'; SSO_LOGIN_BYTES_MAX + 1]] {
            let mut meta = metas().remove(0);
            meta.sso_login = None;
            let mut out = BytesMut::new();
            meta.encode(&mut out);
            out[0] += 1 + login.len() as u8;
            out[1] |= SSO_LOGIN;
            out.put_u8(login.len() as u8);
            out.put_slice(login);
            assert!(OpenMeta::decode(out.freeze()).is_err(), "{login:?}");
        }
    }

    /// A peer that does not know the flag ignores it and the field, as it does with everything it does not know.
    #[test]
    fn a_login_stands_behind_everything_older() {
        let meta = metas().pop().unwrap();
        let mut out = BytesMut::new();
        meta.encode(&mut out);
        out[1] &= !SSO_LOGIN;
        let (older, _) = OpenMeta::decode(out.freeze()).unwrap();
        assert_eq!(older, OpenMeta { sso_login: None, ..meta });
    }

    #[test]
    fn a_cut_description_is_refused() {
        for meta in metas() {
            let mut out = BytesMut::new();
            meta.encode(&mut out);
            let whole = out.freeze();
            for length in 0..whole.len() {
                assert!(OpenMeta::decode(whole.slice(..length)).is_err(), "{length}");
            }
        }
    }
}
