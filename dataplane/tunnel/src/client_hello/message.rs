//! The message itself: fields and the three extensions that choose where a connection goes.

use super::ClientHelloInvalid;

/// What a ClientHello asks for. Borrows from the retained bytes or from the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The host name, as sent: letters, digits, `-`, `_` and dots, at most 253 bytes, case kept, no final dot.
    pub sni: Option<&'a str>,
    /// The protocols offered, in the client's order; none if the extension is missing.
    pub alpn: Alpn<'a>,
    /// The versions offered.
    pub versions: Versions<'a>,
    /// A session is to be resumed under TLS 1.3.
    pub pre_shared_key: bool,
}

/// Protocol names offered by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alpn<'a>(&'a [u8]);

impl<'a> Alpn<'a> {
    /// The names, in the client's order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = Fields(self.0);
        std::iter::from_fn(move || rest.vec8("alpn").ok())
    }

    /// Whether a protocol is offered.
    #[must_use]
    pub fn offers(&self, protocol: &[u8]) -> bool {
        self.iter().any(|offered| offered == protocol)
    }

    /// Whether none is offered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The TLS versions offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions<'a> {
    legacy: u16,
    /// `None` without the extension: then `legacy` is the newest.
    supported: Option<&'a [u8]>,
}

impl Versions<'_> {
    /// Whether a version is offered, as `0x0304` for TLS 1.3.
    #[must_use]
    pub fn offers(&self, version: u16) -> bool {
        match self.supported {
            None => (TLS_1_0..=self.legacy.min(TLS_1_2)).contains(&version),
            Some(list) => list.chunks_exact(2).any(|offered| offered == version.to_be_bytes()),
        }
    }

    /// Whether TLS 1.3 is offered.
    #[must_use]
    pub fn offers_tls13(&self) -> bool {
        self.offers(TLS_1_3)
    }
}

/// Reads a whole message, handshake header included.
pub(super) fn parse(message: &[u8]) -> Result<ClientHello<'_>, ClientHelloInvalid> {
    let mut fields = Fields(message);
    fields.take(4, "header")?;
    let legacy = fields.u16("version")?;
    if !(TLS_1_0..=0x03ff).contains(&legacy) {
        return Err(ClientHelloInvalid::Malformed { field: "version" });
    }
    fields.take(32, "random")?;
    if fields.vec8("session id")?.len() > 32 {
        return Err(ClientHelloInvalid::Malformed { field: "session id" });
    }
    even(fields.vec16("cipher suites")?, "cipher suites")?;
    filled(fields.vec8("compression methods")?, "compression methods")?;
    let mut hello = ClientHello {
        sni: None,
        alpn: Alpn(&[]),
        versions: Versions { legacy, supported: None },
        pre_shared_key: false,
    };
    if !fields.0.is_empty() {
        let list = fields.vec16("extensions")?;
        fields.finish("extensions")?;
        extensions(Fields(list), &mut hello)?;
    }
    Ok(hello)
}

fn extensions<'a>(mut fields: Fields<'a>, hello: &mut ClientHello<'a>) -> Result<(), ClientHelloInvalid> {
    let mut seen = [false; 4];
    while !fields.0.is_empty() {
        let kind = fields.u16("extension type")?;
        let body = fields.vec16("extension")?;
        let (index, field) = match kind {
            SERVER_NAME => (0, "server name"),
            ALPN => (1, "alpn"),
            SUPPORTED_VERSIONS => (2, "supported versions"),
            PRE_SHARED_KEY => (3, "pre-shared key"),
            _ => continue, // Others are TLS's own business.
        };
        if std::mem::replace(&mut seen[index], true) {
            return Err(ClientHelloInvalid::Malformed { field });
        }
        match kind {
            SERVER_NAME => hello.sni = Some(server_name(body)?),
            ALPN => hello.alpn = alpn(body)?,
            SUPPORTED_VERSIONS => hello.versions.supported = Some(versions(body)?),
            _ => hello.pre_shared_key = true,
        }
    }
    Ok(())
}

/// One host name: RFC 6066 allows one per type, and there is one type.
fn server_name(body: &[u8]) -> Result<&str, ClientHelloInvalid> {
    const FIELD: &str = "server name";
    let mut outer = Fields(body);
    let mut list = Fields(outer.vec16(FIELD)?);
    outer.finish(FIELD)?;
    if list.take(1, FIELD)? != [HOST_NAME] {
        return Err(ClientHelloInvalid::Malformed { field: FIELD });
    }
    let name = list.vec16(FIELD)?;
    list.finish(FIELD)?;
    let name = std::str::from_utf8(name).ok();
    name.filter(|name| is_host_name(name)).ok_or(ClientHelloInvalid::Malformed { field: FIELD })
}

fn is_host_name(name: &str) -> bool {
    let of_labels = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    name.len() <= HOST_NAME_BYTES_MAX
        && name.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(of_labels))
}

fn alpn(body: &[u8]) -> Result<Alpn<'_>, ClientHelloInvalid> {
    let mut outer = Fields(body);
    let list = filled(outer.vec16("alpn")?, "alpn")?;
    outer.finish("alpn")?;
    let mut names = Fields(list);
    while !names.0.is_empty() {
        filled(names.vec8("alpn")?, "alpn")?;
    }
    Ok(Alpn(list))
}

fn versions(body: &[u8]) -> Result<&[u8], ClientHelloInvalid> {
    let mut outer = Fields(body);
    let list = outer.vec8("supported versions")?;
    outer.finish("supported versions")?;
    even(list, "supported versions")
}

fn filled<'a>(list: &'a [u8], field: &'static str) -> Result<&'a [u8], ClientHelloInvalid> {
    if list.is_empty() {
        return Err(ClientHelloInvalid::Malformed { field });
    }
    Ok(list)
}

fn even<'a>(list: &'a [u8], field: &'static str) -> Result<&'a [u8], ClientHelloInvalid> {
    if !list.len().is_multiple_of(2) {
        return Err(ClientHelloInvalid::Malformed { field });
    }
    filled(list, field)
}

/// The rest of a structure, taken field by field.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], ClientHelloInvalid> {
        let Some((taken, rest)) = self.0.split_at_checked(length) else {
            return Err(ClientHelloInvalid::Malformed { field });
        };
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, ClientHelloInvalid> {
        Ok(self.take(1, field)?[0])
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, ClientHelloInvalid> {
        let high = self.u8(field)?;
        Ok(u16::from_be_bytes([high, self.u8(field)?]))
    }

    /// A vector with a length in one byte.
    fn vec8(&mut self, field: &'static str) -> Result<&'a [u8], ClientHelloInvalid> {
        let length = self.u8(field)?;
        self.take(usize::from(length), field)
    }

    /// A vector with a length in two bytes.
    fn vec16(&mut self, field: &'static str) -> Result<&'a [u8], ClientHelloInvalid> {
        let length = self.u16(field)?;
        self.take(usize::from(length), field)
    }

    fn finish(self, field: &'static str) -> Result<(), ClientHelloInvalid> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(ClientHelloInvalid::Malformed { field })
    }
}

const TLS_1_0: u16 = 0x0301;
const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const PRE_SHARED_KEY: u16 = 41;
const SUPPORTED_VERSIONS: u16 = 43;
const HOST_NAME: u8 = 0;
const HOST_NAME_BYTES_MAX: usize = 253;
