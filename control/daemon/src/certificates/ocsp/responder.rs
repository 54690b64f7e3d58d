//! Asks a responder (RFC 6960 appendix A.1), of whom nothing is known but the URL in a certificate: by HTTP alone, one answer of
//! bounded size within a time, no redirect, and inside this network only where the deployment allows it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use url::{Host, Position, Url};

use super::RESPONSE_BYTES_MAX;

/// Where responders may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// At public addresses: who gives a certificate does not choose what control talks to inside.
    Public,
    /// Anywhere (`--ocsp-private`): there are authorities of one's own.
    Anywhere,
}

/// The answer's body to this question, unread.
pub(super) async fn ask(responder: &str, question: Vec<u8>, reach: Reach) -> Result<Vec<u8>, String> {
    let url = Url::parse(responder).ok().filter(|url| url.scheme() == "http");
    let url = url.ok_or("its address is not http://")?;
    match tokio::time::timeout(ANSWER_TIME_MAX, exchange(&url, question, reach)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", ANSWER_TIME_MAX.as_secs())),
    }
}

/// By POST.
async fn exchange(url: &Url, question: Vec<u8>, reach: Reach) -> Result<Vec<u8>, String> {
    let stream = connect(&addresses(url, reach).await?).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = Request::post(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(CONTENT_TYPE, "application/ocsp-request")
        .body(Full::new(Bytes::from(question)))
        .map_err(|error| error.to_string())?;
    let answer = async {
        let (head, body) = sender.send_request(request).await.map_err(|error| error.to_string())?.into_parts();
        if !head.status.is_success() {
            return Err(format!("it answers {}", head.status));
        }
        let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
        body.map(|body| body.to_bytes().to_vec()).map_err(|error| error.to_string())
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It may end with the answer's last bytes read.
        _ = &mut connection => answer.await,
    }
}

/// Its first addresses that may be dialled. They are what is connected to: a name that is looked up twice can lead elsewhere.
async fn addresses(url: &Url, reach: Reach) -> Result<Vec<SocketAddr>, String> {
    let port = url.port_or_known_default().unwrap_or(80);
    let all: Vec<SocketAddr> = match url.host().ok_or("its address names no host")? {
        Host::Domain(name) => lookup_host((name, port)).await.map_err(|error| error.to_string())?.collect(),
        Host::Ipv4(ip) => vec![SocketAddr::from((ip, port))],
        Host::Ipv6(ip) => vec![SocketAddr::from((ip, port))],
    };
    let may = |address: &SocketAddr| reach == Reach::Anywhere || is_public(address.ip());
    let mut dialled: Vec<SocketAddr> = all.into_iter().filter(may).collect();
    if dialled.is_empty() {
        return Err("it has no public address: where that is right, start control with --ocsp-private".into());
    }
    dialled.truncate(ADDRESSES_MAX);
    Ok(dialled)
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let each = ANSWER_TIME_MAX / 2 / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut why = String::new();
    for address in addresses {
        match tokio::time::timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => why = format!("{address}: {error}"),
            Err(_) => why = format!("{address}: no connection in time"),
        }
    }
    Err(why)
}

/// Whether an address is one of the public Internet: none of this host, its networks, or what leads to them in disguise.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [first, second, third, _] = ip.octets();
    // This network (RFC 791), carriers' own (RFC 6598), of protocols (RFC 6890), of benchmarks (RFC 2544), kept for later
    // (RFC 1112) with broadcast.
    let is_special = first == 0
        || (first == 100 && second & 0xc0 == 64)
        || (first == 192 && second == 0 && third == 0)
        || (first == 198 && second & 0xfe == 18)
        || first >= 240;
    let is_inside = ip.is_loopback() || ip.is_private() || ip.is_link_local();
    !(is_special || is_inside || ip.is_multicast() || ip.is_documentation())
}

/// Global unicast is 2000::/3. IPv4 is inside NAT64's prefix (RFC 6052) and 6to4's (RFC 3056).
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let v4 = |high: u16, low: u16| {
        let ([first, second], [third, fourth]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(first, second, third, fourth))
    };
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => v4(high, low),
        // Teredo, and documentation.
        [0x2001, 0, ..] | [0x2001, 0x0db8, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Of one name.
const ADDRESSES_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::{JoinHandle, spawn};

    use super::*;

    /// A responder on this host that gives one answer, and its URL.
    fn answers(with: &'static str, body: usize) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serving = spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let head = format!("HTTP/1.1 {with}\r\nContent-Length: {body}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            // Who takes no more has gone.
            let _ = stream.write_all(&vec![7; body]);
        });
        (url, serving)
    }

    #[test]
    fn addresses_inside_are_told_from_public_ones() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "2002:a00:1::1",
            "::7f00:1",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for public in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "::ffff:9.9.9.9", "2606:4700::1111", "64:ff9b::808:808"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn responders_inside_are_asked_only_where_that_is_allowed() {
        let (url, serving) = answers("200 OK", 3);
        for url in [url.as_str(), "http://localhost:9/", "http://[::1]:9/", "http://169.254.169.254/latest"] {
            let refused = ask(url, vec![1], Reach::Public).await.unwrap_err();
            assert!(refused.contains("no public address") && refused.contains("--ocsp-private"), "{url}: {refused}");
        }
        assert_eq!(ask(&url, vec![1], Reach::Anywhere).await.unwrap(), [7; 3]);
        serving.join().unwrap();
    }

    #[tokio::test]
    async fn no_redirect_no_other_scheme_and_no_endless_answer() {
        let refused = ask("https://ocsp.test/", vec![1], Reach::Anywhere).await.unwrap_err();
        assert!(refused.contains("not http://"), "{refused}");
        let (url, serving) = answers("302 Found\r\nLocation: http://127.0.0.1:1/", 0);
        let refused = ask(&url, vec![1], Reach::Anywhere).await.unwrap_err();
        assert!(refused.contains("it answers 302"), "{refused}");
        serving.join().unwrap();
        let (url, serving) = answers("200 OK", RESPONSE_BYTES_MAX + 1);
        assert!(ask(&url, vec![1], Reach::Anywhere).await.is_err());
        serving.join().unwrap();
    }
}
