//! OCSP responses for relays to staple: given by operators, or asked for by control, which dials out for it, where a certificate
//! says whom to ask. Without one nothing is stapled, and clients ask by themselves or not at all.

mod message;
mod responder;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::config::{Certificate, CertificateOrigin, Staple};
use postern_model::ids::CertificateId;
use postern_model::{Change, Snapshot};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::task::JoinSet;

use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};
use message::Said;
pub(crate) use responder::Reach;

/// A response that an operator gave with a certificate: DER, as base64.
pub(crate) fn read_given(response: &str, chain_pem: &str, now_unix: u64) -> Result<Staple, String> {
    let response = STANDARD.decode(response).map_err(|_| String::from("the OCSP response is not base64"))?;
    if response.len() > RESPONSE_BYTES_MAX {
        return Err(format!("the OCSP response is larger than {RESPONSE_BYTES_MAX} bytes"));
    }
    match read(&response, chain_pem, now_unix) {
        Ok(Said::Good(staple)) => Ok(staple),
        Ok(Said::Revoked { .. }) => Err("the OCSP response says that the certificate is revoked: replace it".into()),
        Err(reason) => Err(format!("the OCSP response cannot be used: {reason}")),
    }
}

/// Asks for responses that are due, as long as control runs, and takes out those whose time is over.
pub(crate) async fn renew(control: &Control, reach: Reach) {
    let ended = async {
        let mut tick = tokio::time::interval(LOOKED_AT);
        loop {
            tick.tick().await;
            drop_ended(control, now_unix());
        }
    };
    let asked = async {
        let mut next = Next::new();
        let mut tick = tokio::time::interval(LOOKED_AT);
        loop {
            tick.tick().await;
            let all = due(&control.snapshot(), &mut next, now_unix());
            ask_all(all, reach, |due, answer| answered(control, due, answer)).await;
        }
    };
    tokio::join!(ended, asked);
}

/// Some at a time, so that a responder that is slow keeps few others waiting.
async fn ask_all(all: Vec<Due>, reach: Reach, mut answered: impl FnMut(&Due, Result<Vec<u8>, String>)) {
    let mut waiting = all.into_iter();
    let mut asked = JoinSet::new();
    loop {
        while asked.len() < ASKED_AT_ONCE {
            let Some(due) = waiting.next() else { break };
            asked.spawn(async move {
                let answer = ask(&due, reach).await;
                (due, answer)
            });
        }
        let Some(done) = asked.join_next().await else { return };
        if let Ok((due, answer)) = done {
            answered(&due, answer);
        }
    }
}

fn answered(control: &Control, due: &Due, answer: Result<Vec<u8>, String>) {
    match answer.and_then(|response| read(&response, &due.chain_pem, now_unix())) {
        Ok(said) => keep(control, due, said),
        Err(reason) => {
            let Due { id, responder, .. } = due;
            tracing::warn!("no OCSP response for certificate {id} from {responder}: {reason}");
        }
    }
}

async fn ask(due: &Due, reach: Reach) -> Result<Vec<u8>, String> {
    let question = {
        let [leaf, issuer] = leaf_and_issuer(&due.chain_pem)?;
        message::request(&parse(&leaf)?, &parse(&issuer)?).ok_or("the issuer's key cannot be read")?
    };
    responder::ask(&due.responder, question, reach).await
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

fn read(response: &[u8], chain_pem: &str, now_unix: u64) -> Result<Said, String> {
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

/// Stores what a response says, unless the certificate is another one by now, or it is no news.
fn keep(control: &Control, asked: &Due, said: Said) {
    let current = control.snapshot().certificates.get(&asked.id).cloned();
    let Some(certificate) = current.filter(|current| current.chain_pem == asked.chain_pem) else { return };
    if let Some(certificate) = after(certificate, said) {
        if certificate.revoked_unix.is_some() {
            let Certificate { id, hosts, .. } = &certificate;
            tracing::error!("certificate {id} for {} is revoked: replace it", hosts.join(", "));
        }
        put(control, &certificate);
    }
}

/// The certificate with what a response says of it, where that is news. Responders give the same one again and again, and whoever
/// is between them and us may give an older one.
fn after(certificate: Certificate, said: Said) -> Option<Certificate> {
    match said {
        Said::Good(staple) => {
            let is_news =
                lasts_longer(&staple, certificate.staple.as_ref()) && is_later(&staple, certificate.revoked_unix);
            is_news.then_some(Certificate { staple: Some(staple), revoked_unix: None, ..certificate })
        }
        Said::Revoked { from_unix } => {
            let is_older = certificate.staple.as_ref().is_some_and(|held| held.from_unix > from_unix);
            let is_news = certificate.revoked_unix.is_none() && !is_older;
            is_news.then_some(Certificate { staple: None, revoked_unix: Some(from_unix), ..certificate })
        }
    }
}

fn lasts_longer(staple: &Staple, held: Option<&Staple>) -> bool {
    held.is_none_or(|held| held.until_unix < staple.until_unix)
}

/// Whether a good response is later than one that said "revoked", if there was one: a certificate can be on hold for a while.
pub(super) fn is_later(staple: &Staple, revoked_unix: Option<u64>) -> bool {
    revoked_unix.is_none_or(|revoked_unix| revoked_unix < staple.from_unix)
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
    let until = until.or_else(|| certificate.revoked_unix.map(|_| String::from("revoked")));
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
/// Questions under way.
const ASKED_AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::ids::TenantId;
    use postern_model::secret::SecretText;

    #[tokio::test]
    async fn a_slow_responder_keeps_no_other_waiting() {
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        let listen = || std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        // The slow one takes connections and says nothing; at the other's port nobody is any more, which is said at once.
        let (slow, quick) = (listen(), listen());
        let due = |seq: u32, at: &std::net::TcpListener| Due {
            id: CertificateId::new(TenantId::DEFAULT, seq),
            chain_pem: [own.as_str(), own.as_str()].concat(),
            responder: format!("http://{}/", at.local_addr().unwrap()),
        };
        let all = vec![due(1, &slow), due(2, &quick)];
        drop(quick);
        let (done, mut ended) = tokio::sync::mpsc::unbounded_channel();
        tokio::select! {
            () = ask_all(all, Reach::Anywhere, |due, _| { let _ = done.send(due.id.seq); }) => panic!("the slow one has answered"),
            first = ended.recv() => assert_eq!(first, Some(2)),
        }
    }

    #[test]
    fn a_staple_that_is_over_is_taken_out_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let control = crate::testing::control(folder.path());
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
        let chain_pem = params.self_signed(&key).unwrap().pem();
        let mut draft = Draft::default();
        for (seq, until_unix) in [(1, 100), (2, 101)] {
            draft.change(Change::CertificatePut(Certificate {
                id: CertificateId::new(TenantId::DEFAULT, seq),
                hosts: vec!["a.example.com".into()],
                chain_pem: chain_pem.clone(),
                key_pem: SecretText::new(key.serialize_pem()),
                not_after_unix: 4_000_000_000,
                origin: CertificateOrigin::Given,
                staple: Some(Staple { response: String::new(), from_unix: 1, until_unix }),
                revoked_unix: None,
            }));
        }
        control.commit(&Actor::Control, draft).unwrap();
        let stapled = || {
            let snapshot = control.snapshot();
            let stapled = snapshot.certificates.values().filter(|certificate| certificate.staple.is_some());
            stapled.map(|certificate| certificate.id.seq).collect::<Vec<_>>()
        };
        for (now_unix, left) in [(99, &[1_u32, 2][..]), (100, &[2]), (101, &[])] {
            drop_ended(&control, now_unix);
            assert_eq!(stapled(), left, "at {now_unix}");
        }
        let certificates = control.snapshot().certificates.len();
        assert_eq!(certificates, 2, "what they were stapled to stays");
    }

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
            revoked_unix: None,
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
        let good = |from_unix| Said::Good(Staple { response: String::new(), from_unix, until_unix: 99 });
        let held = after(certificate.clone(), good(5)).unwrap();
        assert_eq!(after(held.clone(), Said::Revoked { from_unix: 4 }), None, "older than the good one");
        let revoked = after(held, Said::Revoked { from_unix: 5 }).unwrap();
        assert_eq!((&revoked.staple, revoked.revoked_unix), (&None, Some(5)), "the good one is not shown any longer");
        assert_eq!(after(revoked.clone(), Said::Revoked { from_unix: 6 }), None, "said once");
        assert_eq!(after(revoked.clone(), good(5)), None, "who repeats a good one changes nothing");
        let held = after(revoked, good(6)).unwrap();
        assert!(held.staple.is_some() && held.revoked_unix.is_none(), "it was on hold");
        assert!(read_given("?", "", 1).unwrap_err().contains("not base64"));
        assert!(read_given("MAA=", "", 1).unwrap_err().contains("no certificate of the issuer"));
    }
}
