//! OCSP responses for relays to staple: given by operators, or asked for by control, which dials out for it, where a certificate
//! says whom to ask. Without one nothing is stapled, and clients ask by themselves or not at all.

mod der;
mod message;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use postern_model::config::{Certificate, CertificateOrigin, Staple};
use postern_model::ids::CertificateId;
use postern_model::{Change, Snapshot};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::TcpStream;
use url::{Host, Position, Url};

use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};

/// A response that an operator gave with a certificate: DER, as base64.
pub(crate) fn read_given(response: &str, chain_pem: &str, now_unix: u64) -> Result<Staple, String> {
    let response = STANDARD.decode(response).map_err(|_| String::from("the OCSP response is not base64"))?;
    if response.len() > RESPONSE_BYTES_MAX {
        return Err(format!("the OCSP response is larger than {RESPONSE_BYTES_MAX} bytes"));
    }
    read(&response, chain_pem, now_unix).map_err(|reason| format!("the OCSP response cannot be used: {reason}"))
}

/// Asks for responses that are due, as long as control runs, and takes out those whose time is over.
pub(crate) async fn renew(control: &Control) {
    let mut next = Next::new();
    let mut tick = tokio::time::interval(LOOKED_AT);
    loop {
        tick.tick().await;
        drop_ended(control, now_unix());
        let all = due(&control.snapshot(), &mut next, now_unix());
        for due in all {
            let id = due.id;
            match ask(&due).await.and_then(|response| read(&response, &due.chain_pem, now_unix())) {
                Ok(staple) => keep(control, &due, staple),
                Err(reason) => tracing::warn!("no OCSP response for certificate {id} from {}: {reason}", due.responder),
            }
        }
    }
}

/// What is to be asked for.
struct Due {
    id: CertificateId,
    chain_pem: String,
    responder: String,
}

/// When a certificate is looked at next: the certificate, as a hash, and the time.
type Next = BTreeMap<CertificateId, (u64, u64)>;

/// Those whose response is missing or has lived half of its time. Each is looked at once, and again when that may have changed.
fn due(snapshot: &Snapshot, next: &mut Next, now_unix: u64) -> Vec<Due> {
    next.retain(|id, _| snapshot.certificates.contains_key(id));
    let mut due = Vec::new();
    for certificate in snapshot.certificates.values().filter(|c| c.origin == CertificateOrigin::Given) {
        let hash = hash(certificate);
        let known = next.get(&certificate.id).filter(|(known, _)| *known == hash);
        if known.is_some_and(|(_, at_unix)| *at_unix > now_unix) {
            continue;
        }
        let half = certificate.staple.as_ref().map(|staple| staple.from_unix.midpoint(staple.until_unix));
        let at_unix = match (responder(&certificate.chain_pem), half.filter(|half| *half > now_unix)) {
            (None, _) => u64::MAX,
            (Some(_), Some(half)) => half,
            (Some(responder), None) => {
                due.push(Due { id: certificate.id, chain_pem: certificate.chain_pem.clone(), responder });
                now_unix + RETRY_S
            }
        };
        next.insert(certificate.id, (hash, at_unix));
    }
    due
}

fn hash(certificate: &Certificate) -> u64 {
    let mut hasher = DefaultHasher::new();
    certificate.chain_pem.hash(&mut hasher);
    hasher.finish()
}

fn read(response: &[u8], chain_pem: &str, now_unix: u64) -> Result<Staple, String> {
    let [leaf, issuer] = leaf_and_issuer(chain_pem)?;
    let (leaf, issuer) = (parse(&leaf)?, parse(&issuer)?);
    message::read(response, &leaf, &issuer, now_unix).map_err(|reason| reason.to_string())
}

fn responder(chain_pem: &str) -> Option<String> {
    let [leaf, _] = leaf_and_issuer(chain_pem).ok()?;
    message::responder(&parse(&leaf).ok()?)
}

fn leaf_and_issuer(chain_pem: &str) -> Result<[CertificateDer<'static>; 2], String> {
    let mut chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).filter_map(Result::ok);
    match (chain.next(), chain.next()) {
        (Some(leaf), Some(issuer)) => Ok([leaf, issuer]),
        (Some(_) | None, _) => Err("the chain has no certificate of the issuer to verify it with".into()),
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<x509_parser::certificate::X509Certificate<'a>, String> {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    parsed.map(|(_, parsed)| parsed).map_err(|error| error.to_string())
}

async fn ask(due: &Due) -> Result<Vec<u8>, String> {
    let url = Url::parse(&due.responder).ok().filter(|url| url.scheme() == "http");
    let url = url.ok_or("its address is not http://")?;
    let question = {
        let [leaf, issuer] = leaf_and_issuer(&due.chain_pem)?;
        message::request(&parse(&leaf)?, &parse(&issuer)?).ok_or("the issuer's key cannot be read")?
    };
    match tokio::time::timeout(ANSWER_TIME_MAX, exchange(&url, question)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", ANSWER_TIME_MAX.as_secs())),
    }
}

/// RFC 6960 appendix A.1, by POST.
async fn exchange(url: &Url, question: Vec<u8>) -> Result<Vec<u8>, String> {
    let port = url.port_or_known_default().unwrap_or(80);
    let stream = match url.host().ok_or("its address names no host")? {
        Host::Domain(name) => TcpStream::connect((name, port)).await,
        Host::Ipv4(ip) => TcpStream::connect((ip, port)).await,
        Host::Ipv6(ip) => TcpStream::connect((ip, port)).await,
    };
    let stream = stream.map_err(|error| error.to_string())?;
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

/// Stores a response, unless the certificate is another one by now, or the one it has lasts as long: responders give the same one
/// again and again, and whoever is between them and us may give an older one.
fn keep(control: &Control, asked: &Due, staple: Staple) {
    let current = control.snapshot().certificates.get(&asked.id).cloned();
    let Some(certificate) = current.filter(|current| current.chain_pem == asked.chain_pem) else { return };
    if lasts_longer(&staple, certificate.staple.as_ref()) {
        put(control, &Certificate { staple: Some(staple), ..certificate });
    }
}

fn lasts_longer(staple: &Staple, held: Option<&Staple>) -> bool {
    held.is_none_or(|held| held.until_unix < staple.until_unix)
}

fn drop_ended(control: &Control, now_unix: u64) {
    let snapshot = control.snapshot();
    let is_over = |c: &&Certificate| c.staple.as_ref().is_some_and(|staple| staple.until_unix <= now_unix);
    for certificate in snapshot.certificates.values().filter(is_over) {
        tracing::warn!("the OCSP response of certificate {} is over: nothing is stapled any more", certificate.id);
        put(control, &Certificate { staple: None, ..certificate.clone() });
    }
}

fn put(control: &Control, certificate: &Certificate) {
    let until = certificate.staple.as_ref().map(|staple| format!("OCSP response until {}", staple.until_unix));
    let mut draft = Draft::default();
    draft.audit(Audit {
        action: "certificate.staple",
        tenant: Some(certificate.id.tenant),
        target: format!("certificate {}", certificate.id),
        before: None,
        after: until,
    });
    draft.change(Change::CertificatePut(certificate.clone()));
    if let Err(problem) = control.commit(&Actor::Control, draft) {
        tracing::error!("the OCSP response of certificate {} is not kept: {}", certificate.id, problem.detail);
    }
}

/// Responses are one or two kilobytes, with a responder's certificate.
const RESPONSE_BYTES_MAX: usize = 64 << 10;
/// So late a new certificate is noticed.
const LOOKED_AT: Duration = Duration::from_secs(5);
/// How long after a question that was not answered the next one comes.
const RETRY_S: u64 = 600;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::ids::TenantId;
    use postern_model::secret::SecretText;

    #[test]
    fn a_certificate_without_an_issuer_is_looked_at_once() {
        let certificate = Certificate {
            id: CertificateId::new(TenantId::DEFAULT, 1),
            hosts: vec!["a.example.com".into()],
            chain_pem: "no PEM".into(),
            key_pem: SecretText::new(String::new()),
            not_after_unix: 1,
            origin: CertificateOrigin::Given,
            staple: None,
        };
        let snapshot = Snapshot { certificates: [(certificate.id, certificate.clone())].into(), ..Snapshot::default() };
        let mut next = Next::new();
        assert!(due(&snapshot, &mut next, 100).is_empty());
        assert_eq!(next[&certificate.id].1, u64::MAX);
        assert!(due(&Snapshot::default(), &mut next, 100).is_empty());
        assert!(next.is_empty(), "what is gone is forgotten");
        let until = |until_unix| Staple { response: String::new(), from_unix: 1, until_unix };
        let stapled = Certificate { staple: Some(until(9)), ..certificate.clone() };
        assert_eq!(hash(&stapled), hash(&certificate), "an answer brings no question forward");
        assert!(lasts_longer(&until(9), None) && lasts_longer(&until(10), Some(&until(9))));
        assert!(!lasts_longer(&until(9), Some(&until(9))) && !lasts_longer(&until(8), Some(&until(9))));
        assert!(read_given("?", "", 1).unwrap_err().contains("not base64"));
        assert!(read_given("MAA=", "", 1).unwrap_err().contains("no certificate of the issuer"));
    }
}
