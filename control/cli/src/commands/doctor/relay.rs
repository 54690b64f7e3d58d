//! The way to a relay, as a connector goes it: the name, the connection, TLS, and whether it is the relay that answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use postern_model::identity::RELAY_NAME;

use super::finding::{Finding, PATIENCE, bounded};
use super::host::Host;
use super::proxy::{MARGIN, Proxy, through};
use crate::args::RelayAddress;
use crate::look::{self, Leaf, Secured, Wire};

/// All checks of one relay, in order; none after one that fails.
pub(super) fn look(host: &Host, relay: &RelayAddress, proxy: Option<&Arc<Proxy>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let keep = |findings: &mut Vec<Finding>, finding: Finding| findings.push(finding.about(&relay.to_string()));
    let mut addresses = Vec::new();
    // Who dials through a proxy leaves the name to it.
    if proxy.is_none() {
        let (asked, servers) = (relay.clone(), name_servers(host));
        let (finding, found) = bounded("dns", move || name(&asked, &servers));
        keep(&mut findings, finding);
        let Some(found) = found else { return findings };
        addresses = found;
    }
    let (asked, by) = (relay.clone(), proxy.cloned());
    let (finding, stream) = bounded("egress", move || egress(&asked, &addresses, by.as_deref()));
    keep(&mut findings, finding);
    let Some(stream) = stream else { return findings };
    let asked = relay.clone();
    let (finding, leaf) = bounded("tls", move || tls(&asked, stream));
    keep(&mut findings, finding);
    if let Some(leaf) = leaf {
        keep(&mut findings, clock(&leaf, SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())));
    }
    findings
}

fn name_servers(host: &Host) -> Vec<String> {
    let text = host.read("/etc/resolv.conf").unwrap_or_default();
    text.lines()
        .filter_map(|line| Some(line.strip_prefix("nameserver")?.trim().to_owned()))
        .take(NAME_SERVERS_MAX)
        .collect()
}

fn name(relay: &RelayAddress, servers: &[String]) -> (Finding, Option<Vec<SocketAddr>>) {
    const CHECK: &str = "dns";
    let begun = Instant::now();
    let servers: String = if servers.is_empty() { "no name server".into() } else { servers.join(", ") };
    match look::addresses(&relay.host, relay.port) {
        Ok(found) if relay.host.parse::<IpAddr>().is_ok() => {
            (Finding::ok(CHECK, "it is an address: no name is looked up"), Some(found))
        }
        Ok(found) => {
            let words: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
            let ms = begun.elapsed().as_millis();
            let seen = format!("{} is {}, after {ms} ms (resolv.conf: {servers})", relay.host, words.join(", "));
            let slow = "look at the first name server in /etc/resolv.conf: each dial waits for it";
            let finding = if ms > SLOW_MS { Finding::warn(CHECK, seen, slow) } else { Finding::ok(CHECK, seen) };
            (finding, Some(found))
        }
        Err(error) => {
            let seen = format!("{} cannot be resolved: {error} (resolv.conf: {servers})", relay.host);
            (
                Finding::fail(
                    CHECK,
                    seen,
                    "look at the relay's DNS record, and at /etc/resolv.conf and /etc/hosts of this host",
                ),
                None,
            )
        }
    }
}

fn egress(relay: &RelayAddress, addresses: &[SocketAddr], proxy: Option<&Proxy>) -> (Finding, Option<Box<dyn Wire>>) {
    const CHECK: &str = "egress";
    if let Some(proxy) = proxy {
        return match through(proxy, relay) {
            Ok(stream) => (Finding::ok(CHECK, format!("the proxy {proxy} connects")), Some(stream)),
            Err((seen, cure)) => (Finding::fail(CHECK, seen, &cure), None),
        };
    }
    match look::connect(addresses, PATIENCE - MARGIN) {
        Ok((address, stream)) => (Finding::ok(CHECK, format!("connected to {address}")), Some(Box::new(stream))),
        Err(why) => {
            let cure = format!("allow outgoing TCP to {relay} in the firewall, and look whether the relay runs");
            (Finding::fail(CHECK, why, &cure), None)
        }
    }
}

fn tls(relay: &RelayAddress, stream: Box<dyn Wire>) -> (Finding, Option<Leaf>) {
    const CHECK: &str = "tls";
    let broken = "look whether another server is at this address, or a proxy that does not let TLS through as it is";
    let Some(name) = look::server_name(RELAY_NAME) else {
        return (Finding::fail(CHECK, "the name of relays is none", "report this as a bug"), None);
    };
    match look::secure(stream, &name, &[TUNNEL_ALPN]) {
        Ok(secured) => judged(relay, &secured),
        Err(why) => (Finding::fail(CHECK, format!("no handshake: {why}"), broken), None),
    }
}

fn judged(relay: &RelayAddress, secured: &Secured) -> (Finding, Option<Leaf>) {
    let Some(leaf) = secured.leaf() else {
        let exempt = format!("exempt {relay} from what inspects TLS");
        return (Finding::fail("tls", "it shows a certificate that cannot be read", &exempt), None);
    };
    let finding = who(relay, &leaf);
    if finding.failed() || (secured.is_tls13() && secured.alpn() == Some(TUNNEL_ALPN)) {
        let is_relay = !finding.failed();
        return (finding, is_relay.then_some(leaf));
    }
    let seen = format!("issued by {}, but it speaks no TLS 1.3 with postern-tunnel/1", leaf.issuer);
    (Finding::fail("tls", seen, "look which program has this address: it is no relay of this version"), None)
}

/// Without the authority's certificate its name has to do: what inspects TLS has one of its own.
fn who(relay: &RelayAddress, leaf: &Leaf) -> Finding {
    const CHECK: &str = "tls";
    match leaf.issuer.as_str() {
        CONTROL_AUTHORITY => {
            Finding::ok(CHECK, "TLS 1.3 with postern-tunnel/1; the certificate is of a control authority")
        }
        RELAY_ITSELF if leaf.self_signed => Finding::warn(
            CHECK,
            "the relay answers and has no certificate yet: it waits for postern-control",
            "postern relay add NAME HOST:PORT at control; look at control's log where that was done",
        ),
        issuer => {
            let cure = format!(
                "exempt {relay} from TLS inspection (tunnels carry client certificates); if nothing inspects TLS here, another \
                 server has this address"
            );
            Finding::fail(CHECK, format!("TLS inspected by {issuer}: exempt {relay}"), &cure)
        }
    }
}

/// Relays' certificates are short-lived, and backdated a little: a wrong clock is outside of them.
fn clock(leaf: &Leaf, now_unix: u64) -> Finding {
    const CHECK: &str = "relay-clock";
    let now = i64::try_from(now_unix).unwrap_or(i64::MAX);
    let cure = "set this host's clock (chrony, systemd-timesyncd); if it is right, look at those of relay and control";
    if now < leaf.not_before_unix {
        let behind = leaf.not_before_unix - now;
        return Finding::fail(
            CHECK,
            format!("the relay's certificate is good in {behind} s only: this clock is behind"),
            cure,
        );
    }
    if now > leaf.not_after_unix {
        let ahead = now - leaf.not_after_unix;
        return Finding::fail(
            CHECK,
            format!("the relay's certificate ended {ahead} s ago: this clock is ahead, or it was not renewed"),
            cure,
        );
    }
    Finding::ok(CHECK, "this clock is within the time of the relay's certificate")
}

/// As connectors ask for it.
const TUNNEL_ALPN: &[u8] = b"postern-tunnel/1";
/// Common name of every control authority.
const CONTROL_AUTHORITY: &str = "Postern control CA";
/// Common name in a relay's self-signed certificate.
const RELAY_ITSELF: &str = "Postern relay";
const NAME_SERVERS_MAX: usize = 3;
const SLOW_MS: u128 = 1_000;

#[cfg(test)]
mod tests {
    use super::super::host::tests::host;
    use super::*;
    use postern_model::check::StepResult::{Fail, Ok as Good, Warn};
    use rustls::{ServerConfig, ServerConnection};
    use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use std::net::TcpListener;
    use std::sync::Arc;

    /// A server whose self-signed certificate has this common name, and what it speaks.
    fn server(common_name: &str, alpn: &[u8]) -> RelayAddress {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![RELAY_NAME.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        let leaf = params.self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = builder.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
        config.alpn_protocols = vec![alpn.to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut connection = ServerConnection::new(Arc::new(config.clone())).unwrap();
                while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
            }
        });
        RelayAddress { host: "127.0.0.1".into(), port }
    }

    fn looked(relay: &RelayAddress) -> Vec<Finding> {
        look(&host(&[]).1, relay, None)
    }

    #[test]
    fn a_relay_is_told_from_what_inspects_tls() {
        let good = looked(&server(CONTROL_AUTHORITY, TUNNEL_ALPN));
        let checks: Vec<_> = good.iter().map(|finding| (finding.check, finding.result)).collect();
        assert_eq!(checks, [("dns", Good), ("egress", Good), ("tls", Good), ("relay-clock", Good)], "{good:?}");

        let inspected = server("Corp Inspection CA", TUNNEL_ALPN);
        let found = looked(&inspected);
        let last = found.last().unwrap();
        assert_eq!((last.check, last.result), ("tls", Fail));
        assert_eq!(last.seen, format!("TLS inspected by Corp Inspection CA: exempt {inspected}"));

        let waiting = looked(&server(RELAY_ITSELF, TUNNEL_ALPN));
        assert!(waiting.iter().any(|finding| finding.check == "tls" && finding.result == Warn), "{waiting:?}");
        let other = looked(&server(CONTROL_AUTHORITY, b"h2"));
        assert_eq!(other.last().map(|finding| (finding.check, finding.result)), Some(("tls", Fail)), "{other:?}");
    }

    #[test]
    fn what_fails_ends_it_there_with_a_cure() {
        let nowhere = looked(&RelayAddress { host: "nowhere.invalid".into(), port: 443 });
        let [dns] = nowhere.as_slice() else { panic!("{nowhere:?}") };
        assert!(dns.check == "dns" && dns.failed() && dns.cure.contains("resolv.conf"), "{dns:?}");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let closed = looked(&RelayAddress { host: "127.0.0.1".into(), port });
        assert!(closed.len() == 2 && closed[1].failed() && closed[1].cure.contains("firewall"), "{closed:?}");
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let begun = Instant::now();
        let hung = looked(&RelayAddress { host: "127.0.0.1".into(), port });
        assert!(hung.last().is_some_and(|last| last.check == "tls" && last.failed()), "{hung:?}");
        assert!(begun.elapsed() < 2 * PATIENCE, "{hung:?}");
    }

    #[test]
    fn a_clock_outside_of_the_certificate_is_wrong() {
        let leaf =
            Leaf { issuer: CONTROL_AUTHORITY.into(), self_signed: false, not_before_unix: 1000, not_after_unix: 2000 };
        assert!(clock(&leaf, 900).seen.contains("in 100 s") && clock(&leaf, 900).failed());
        assert!(clock(&leaf, 2300).seen.contains("300 s ago") && clock(&leaf, 2300).failed());
        assert_eq!(clock(&leaf, 1500).result, Good);
    }

    #[test]
    fn name_servers_are_named() {
        let (_folder, host) =
            host(&[("/etc/resolv.conf", "# x\nnameserver 192.0.2.53\nsearch corp\nnameserver ::1\n")]);
        assert_eq!(name_servers(&host), ["192.0.2.53", "::1"]);
    }
}
