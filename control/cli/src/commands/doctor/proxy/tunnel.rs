//! A relay by way of a proxy: what it is asked, and what its answer means.

use std::io::Write as _;
use std::time::Duration;

use postern_model::proxy::authority;
use zeroize::Zeroizing;

use super::Proxy;
use crate::args::RelayAddress;
use crate::commands::doctor::finding::PATIENCE;
use crate::look::{self, Distrust, Timed, Wire};

/// A connection to the relay by way of the proxy; the error is a finding's words and cure.
pub(in crate::commands::doctor) fn through(
    proxy: &Proxy,
    relay: &RelayAddress,
) -> Result<Box<dyn Wire>, (String, String)> {
    let reach = "look at the proxy's address, and at firewalls between this host and it";
    let failed = |why: String| (format!("the proxy {proxy}: {why}"), reach.to_owned());
    let addresses =
        look::addresses(&proxy.address.host, proxy.address.port).map_err(|error| failed(error.to_string()))?;
    let (_, stream) = look::connect(&addresses, PATIENCE - MARGIN).map_err(failed)?;
    let mut stream = secure(proxy, stream)?;
    stream
        .write_all(&request(proxy, relay))
        .and_then(|()| stream.flush())
        .map_err(|error| failed(error.to_string()))?;
    let head = look::head(&mut stream).map_err(failed)?;
    match (head.status, &proxy.authorization) {
        (200..=299, _) => Ok(stream),
        (407, None) => Err((
            format!("the proxy {proxy} wants a user name and a password (407)"),
            "--proxy http://USER@HOST:PORT with --proxy-password-file, or let this host through without, for this relay".into(),
        )),
        // tinyproxy says 401.
        (status @ (401 | 407), Some(_)) => Err((
            format!("the proxy {proxy} does not take the user name and the password ({status})"),
            "correct the user's name or the file with the password; connectors are started anew then".into(),
        )),
        (status @ 500..=599, _) => Err((
            format!("the proxy {proxy} has no connection to {relay} ({status})"),
            "look at the proxy's log: it does not resolve the relay's name, or has no connection to it".into(),
        )),
        (status, _) => Err((
            format!("the proxy {proxy} refuses CONNECT {relay} with {status}"),
            format!("allow CONNECT to {relay} in the proxy's rules"),
        )),
    }
}

fn request(proxy: &Proxy, relay: &RelayAddress) -> Zeroizing<Vec<u8>> {
    let target = authority(&relay.host, relay.port);
    let who = proxy.authorization.as_ref();
    let who = Zeroizing::new(who.map(|who| format!("proxy-authorization: {}\r\n", who.as_str())).unwrap_or_default());
    let text = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{}\r\n", who.as_str());
    Zeroizing::new(text.into_bytes())
}

fn secure(proxy: &Proxy, stream: Timed) -> Result<Box<dyn Wire>, (String, String)> {
    if !proxy.address.tls {
        return Ok(Box::new(stream));
    }
    let failed = |why: &str| {
        let cure =
            "look whether it is an https:// proxy with a certificate for this name; --proxy-ca names its authority";
        (format!("the proxy {proxy}: no TLS with it: {why}"), cure.to_owned())
    };
    let name = look::server_name(&proxy.address.host).ok_or_else(|| failed("its name is none for TLS"))?;
    let secured = look::secure(stream, &name, &[b"http/1.1"]).map_err(|why| failed(&why))?;
    match look::verify(&secured.chain, &name, proxy.roots.clone()) {
        Ok(()) => Ok(Box::new(secured.stream)),
        Err(Distrust::UnknownIssuer) => Err(failed("its certificate is from an authority that is not trusted here")),
        Err(Distrust::Other(why)) => Err(failed(&why)),
    }
}

/// A check that waits for a proxy says so before its own time is up.
pub(in crate::commands::doctor) const MARGIN: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::proxy::Said;
    use crate::commands::doctor::tests::args;
    use postern_model::proxy::ProxyUrl;
    use std::io::Read as _;
    use std::net::TcpListener;

    fn proxy(url: &str) -> Proxy {
        Proxy::new(ProxyUrl::parse(url).unwrap(), &Said::default()).unwrap()
    }

    #[test]
    fn a_proxy_lets_through_or_says_why_not() {
        let relay = RelayAddress { host: "relay.test".into(), port: 443 };
        for (answer, who, refusal) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", "", None),
            ("HTTP/1.1 200 Connection established\r\n\r\n", "anna:hunter2@", None),
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "", Some("wants a user name")),
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "anna:hunter2@", Some("does not take")),
            ("HTTP/1.0 401 Unauthorized\r\n\r\n", "anna:hunter2@", Some("does not take")),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "", Some("refuses CONNECT relay.test:443 with 403")),
            ("HTTP/1.1 504 Gateway Timeout\r\n\r\n", "", Some("no connection to relay.test:443 (504)")),
            ("SSH-2.0-x\r\n\r\n", "", Some("not HTTP")),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let serves = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 1024];
                let bytes = stream.read(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&asked[..bytes]).into_owned()
            });
            let got = through(&proxy(&format!("http://{who}127.0.0.1:{port}")), &relay).map(drop);
            let asked = serves.join().unwrap();
            assert!(asked.starts_with("CONNECT relay.test:443 HTTP/1.1\r\nhost: relay.test:443\r\n"), "{asked}");
            assert_eq!(
                asked.contains("\r\nproxy-authorization: Basic YW5uYTpodW50ZXIy\r\n"),
                !who.is_empty(),
                "{asked}"
            );
            match refusal {
                None => got.unwrap(),
                Some(words) => {
                    let (seen, cure) = got.unwrap_err();
                    assert!(seen.contains(words) && !cure.is_empty() && !seen.contains("hunter2"), "{answer}: {seen}");
                }
            }
        }
    }

    #[test]
    fn one_in_tls_is_verified() {
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let private = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = builder.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], private).unwrap();
        let config = std::sync::Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = rustls::ServerConnection::new(std::sync::Arc::clone(&config)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                let _ = stream.flush();
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, leaf.pem()).unwrap();
        let relay = RelayAddress { host: "relay.test".into(), port: 443 };
        let url = || ProxyUrl::parse(&format!("https://127.0.0.1:{port}")).unwrap();
        let trusted = Proxy::new(url(), &Said { ca: Some(file), ..Said::default() }).unwrap();
        through(&trusted, &relay).map(drop).unwrap();
        let (seen, cure) = through(&Proxy::new(url(), &Said::default()).unwrap(), &relay).map(drop).unwrap_err();
        assert!(seen.contains("not trusted") && cure.contains("--proxy-ca"), "{seen}");
        assert!(args("--proxy https://p --proxy-ca F").proxy_ca.is_some());
    }
}
