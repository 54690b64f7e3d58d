//! Enrolment and renewal of connectors. The relay between forwards opaque bodies; proofs are checked here.

use postern_model::Change;
use postern_model::admin::Problem;
use postern_model::config::Connector;
use postern_model::enrol::{
    EnrolError, EnrolRequest, EnrolResponse, Enrolled, MESSAGE_BYTES_MAX, PROTOCOL, Proof, code, parse_connector_uri,
    renewal_bytes, token_mac_verifies,
};
use postern_model::ids::{ConnectorId, GroupId};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::authority::RequestedKey;
use crate::clock::{now_unix, now_unix_ms};
use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::limits::CONNECTORS_MAX;
use crate::store::TokenRecord;

/// Answers one request body. Never fails: what cannot be answered is an error inside the answer.
pub(crate) fn answer(control: &Control, relay: &str, body: &str) -> String {
    let response = match enrol(control, body) {
        Ok(enrolled) => {
            tracing::info!(connector = %enrolled.connector_id, group = %enrolled.group_id, relay, "a connector got its certificate");
            EnrolResponse::Ok(enrolled)
        }
        Err(error) => {
            tracing::warn!(code = error.code, relay, "a connector got no certificate: {}", error.message);
            EnrolResponse::Error(error)
        }
    };
    serde_json::to_string(&response).unwrap_or_default()
}

fn enrol(control: &Control, body: &str) -> Result<Enrolled, EnrolError> {
    let parsed = (body.len() <= MESSAGE_BYTES_MAX).then(|| serde_json::from_str(body));
    let request: EnrolRequest = match parsed {
        Some(Ok(request)) => request,
        Some(Err(error)) => return Err(refuse(code::REQUEST_INVALID, format!("the request cannot be read: {error}"))),
        None => return Err(refuse(code::REQUEST_INVALID, "the request is larger than 64 KiB")),
    };
    if request.protocol != PROTOCOL {
        let text = format!(
            "enrolment protocol {} is not spoken here, only {PROTOCOL}: use a connector of a neighbouring version",
            request.protocol
        );
        return Err(refuse(code::PROTOCOL_UNSUPPORTED, text));
    }
    let key = RequestedKey::parse(&request.csr_pem).ok_or_else(|| {
        refuse(code::CSR_INVALID, "the certificate request is not PEM with a P-256 key and its own signature")
    })?;
    match &request.proof {
        Proof::Token { id, mac } => by_token(control, &request.csr_pem, &key, id, mac),
        Proof::Certificate { pem, signature } => by_certificate(control, &request.csr_pem, &key, pem, signature),
    }
}

fn by_token(control: &Control, csr_pem: &str, key: &RequestedKey, id: &str, mac: &str) -> Result<Enrolled, EnrolError> {
    let token = control.token(id).map_err(unavailable)?;
    // An unknown id and a wrong proof are one answer: ids cannot be guessed from it.
    let token = token.filter(|token| token_mac_verifies(&token.key, csr_pem, mac));
    let token = token.ok_or_else(|| {
        refuse(code::TOKEN_UNKNOWN, "this token is not known here: make a new one with `postern connector token`")
    })?;
    if token.expires_unix <= now_unix() {
        return Err(refuse(
            code::TOKEN_EXPIRED,
            "this token has expired: make a new one with `postern connector token`",
        ));
    }
    let Some((connector, used_key)) = token.used.clone() else {
        return enrol_new(control, token, key);
    };
    if used_key != key.sha256 {
        return Err(refuse(
            code::TOKEN_USED,
            format!("this token was used by connector {connector}: make a new one with `postern connector token`"),
        ));
    }
    must_exist(control, connector, token.group)?;
    certify(control, connector, token.group, key)
}

fn enrol_new(control: &Control, mut token: TokenRecord, key: &RequestedKey) -> Result<Enrolled, EnrolError> {
    let group = token.group;
    if !control.snapshot().groups.contains_key(&group) {
        return Err(refuse(code::TOKEN_UNKNOWN, "the token's connector group was deleted: make a new token"));
    }
    if control.snapshot().connectors.len() >= CONNECTORS_MAX {
        return Err(refuse(
            code::REQUEST_INVALID,
            format!("there are {CONNECTORS_MAX} connectors already: remove some"),
        ));
    }
    let mut draft = Draft::default();
    let seq = control.next(counter("connector", group.tenant), &mut draft).map_err(unavailable)?;
    let id = ConnectorId::new(group.tenant, seq);
    let enrolled = certify(control, id, group, key)?;
    let connector = Connector { id, group, key_sha256: key.sha256.clone(), enrolled_unix_ms: now_unix_ms() };
    draft.audit(Audit {
        action: "connector.enrol",
        tenant: Some(group.tenant),
        target: format!("connector {id}"),
        before: None,
        after: Some(format!("group={group} token={} key={}", token.id, key.sha256)),
    });
    draft.change(Change::ConnectorPut(connector));
    token.used = Some((id, key.sha256.clone()));
    draft.token(token);
    control.commit(&Actor::Connector(id), draft).map_err(unavailable)?;
    Ok(enrolled)
}

fn by_certificate(
    control: &Control,
    csr_pem: &str,
    key: &RequestedKey,
    pem: &str,
    signature: &str,
) -> Result<Enrolled, EnrolError> {
    let refused = |what: &str| refuse(code::CERTIFICATE_REFUSED, what);
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| refused("the certificate shown for renewal cannot be read"))?;
    let certificate = verify_chain(control, &der)?;
    let signature = hex::decode(signature).unwrap_or_default();
    certificate
        .verify_signature(webpki::aws_lc_rs::ECDSA_P256_SHA256, &renewal_bytes(csr_pem), &signature)
        .map_err(|_| refused("the renewal is not signed with the connector's current key"))?;
    let (connector, group) =
        identity(&der).ok_or_else(|| refused("the certificate shown for renewal is not a connector's"))?;
    let known = must_exist(control, connector, group)?;
    // Any certificate of it that is still valid will do: a reply that was lost must not strand a connector with the key before.
    renew(control, known, key)
}

fn renew(control: &Control, known: Connector, key: &RequestedKey) -> Result<Enrolled, EnrolError> {
    let (id, group) = (known.id, known.group);
    let enrolled = certify(control, id, group, key)?;
    let mut draft = Draft::default();
    draft.audit(Audit {
        action: "connector.renew",
        tenant: Some(group.tenant),
        target: format!("connector {id}"),
        before: Some(format!("key={}", known.key_sha256)),
        after: Some(format!("key={}", key.sha256)),
    });
    if known.key_sha256 != key.sha256 {
        draft.change(Change::ConnectorPut(Connector { key_sha256: key.sha256.clone(), ..known }));
    }
    control.commit(&Actor::Connector(id), draft).map_err(unavailable)?;
    Ok(enrolled)
}

fn verify_chain<'a>(control: &Control, der: &'a CertificateDer<'a>) -> Result<EndEntityCert<'a>, EnrolError> {
    let refused = |error: webpki::Error| {
        let text =
            format!("the certificate shown for renewal is not good any more ({error}): enrol again with a new token");
        refuse(code::CERTIFICATE_REFUSED, text)
    };
    let anchor = webpki::anchor_from_trusted_cert(control.authority.ca()).map_err(refused)?;
    let certificate = EndEntityCert::try_from(der).map_err(refused)?;
    let algorithms = [webpki::aws_lc_rs::ECDSA_P256_SHA256];
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now_unix()));
    certificate
        .verify_for_usage(&algorithms, &[anchor], &[], now, KeyUsage::client_auth(), None, None)
        .map_err(refused)?;
    Ok(certificate)
}

/// Whose client certificate it is, by the names in it.
pub(crate) fn identity(der: &CertificateDer<'_>) -> Option<(ConnectorId, GroupId)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let uris = names.value.general_names.iter().filter_map(|name| {
        let x509_parser::extensions::GeneralName::URI(uri) = name else { return None };
        Some(*uri)
    });
    uris.filter_map(parse_connector_uri).next()
}

fn must_exist(control: &Control, id: ConnectorId, group: GroupId) -> Result<Connector, EnrolError> {
    let snapshot = control.snapshot();
    let known = snapshot.connectors.get(&id).filter(|connector| connector.group == group);
    known.cloned().ok_or_else(|| {
        refuse(
            code::CONNECTOR_REMOVED,
            format!("connector {id} was removed: enrol it again with a new token and an empty state folder"),
        )
    })
}

fn certify(
    control: &Control,
    connector_id: ConnectorId,
    group_id: GroupId,
    key: &RequestedKey,
) -> Result<Enrolled, EnrolError> {
    let certificate = control.authority.issue_connector(connector_id, group_id, key);
    let certificate_pem = certificate.map_err(|error| refuse(code::CONTROL_UNAVAILABLE, error.to_string()))?;
    let ca_pem = control.authority.ca_pem().to_owned();
    Ok(Enrolled { connector_id, group_id, certificate_pem, ca_pem, relay_time_unix_ms: now_unix_ms() })
}

fn unavailable(problem: Problem) -> EnrolError {
    refuse(code::CONTROL_UNAVAILABLE, problem.detail)
}

fn refuse(code: &str, message: impl Into<String>) -> EnrolError {
    EnrolError { code: code.into(), message: message.into() }
}
