//! A certificate authority and a small state for the tests of this folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use postern_model::config::{App, Certificate, CertificateOrigin, Connector, Group, Preauth, Tenant};
use postern_model::delta::{Change, Delta};
use postern_model::enrol::connector_uri;
use postern_model::ids::{AppId, CertificateId, ConnectorId, GroupId, ServiceTokenId, TenantId};
use postern_model::plan::Plan;
use postern_model::secret::SecretText;
use postern_model::service_token::{PresentedToken, ServiceToken, TokenSecret};
use postern_model::snapshot::Snapshot;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType, string::Ia5String,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::published::{ConfigHandle, Published};

/// Plays the control CA.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A client certificate and its key.
pub(crate) struct Client {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Differs from a good device's certificate so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    Expired,
    /// It is for servers.
    OtherUse,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("Postern control CA")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A relay's certificate for a request, as control issues it.
    pub(crate) fn issue_relay(&self, request_pem: &str) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(request_pem).unwrap();
        request.params.subject_alt_names = ["tunnel", "enrol.tunnel", "control.tunnel"]
            .map(|name| SanType::DnsName(Ia5String::try_from(format!("{name}.postern.internal")).unwrap()))
            .to_vec();
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        format!("{}{}", request.signed_by(&self.issuer).unwrap().pem(), self.pem)
    }

    pub(crate) fn issue_client(&self, name: SanType) -> Client {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Client { chain: vec![certificate.der().clone()], key: key.serialize_der().try_into().unwrap() }
    }

    /// A device's certificate, with a flaw if there is to be one.
    pub(crate) fn issue_device(&self, flaw: Option<Flaw>) -> Client {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "laptop");
        params.extended_key_usages = match flaw {
            Some(Flaw::OtherUse) => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Some(Flaw::Expired) | None => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        if flaw == Some(Flaw::Expired) {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Client { chain: vec![certificate.der().clone()], key: key.serialize_der().try_into().unwrap() }
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
    }

    pub(crate) fn issue_connector(&self, connector: ConnectorId, group: GroupId) -> Client {
        self.issue_client(SanType::URI(Ia5String::try_from(connector_uri(connector, group)).unwrap()))
    }

    pub(crate) fn issue_control(&self) -> Client {
        self.issue_client(SanType::DnsName(Ia5String::try_from(postern_model::link::CONTROL_NAME).unwrap()))
    }
}

/// Host of the application in [`snapshot`].
pub(crate) const HOST: &str = "app.example.com";

/// A state with one tenant, group, connector and application.
pub(crate) fn snapshot(version: u64) -> Snapshot {
    let (tenant, group) = (TenantId::DEFAULT, GroupId::DEFAULT);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![String::from(HOST)]).unwrap().self_signed(&key).unwrap();
    let certificate = Certificate {
        id: CertificateId::new(tenant, 1),
        hosts: vec![String::from(HOST)],
        chain_pem: certificate.pem(),
        key_pem: SecretText::new(key.serialize_pem()),
        not_after_unix: 4_000_000_000,
        origin: CertificateOrigin::Issued,
        staple: None,
        revoked_unix: None,
    };
    let connector =
        Connector { id: ConnectorId::new(tenant, 9), group, key_sha256: "0".repeat(64), enrolled_unix_ms: 1 };
    let app = app("http://127.0.0.1:8080/");
    Snapshot {
        version,
        tenants: BTreeMap::from([(tenant, Tenant { id: tenant, name: "default".parse().unwrap(), app_suffix: None })]),
        groups: BTreeMap::from([(group, Group { id: group, name: "default".parse().unwrap(), directory_sync: false })]),
        connectors: BTreeMap::from([(connector.id, connector)]),
        certificates: BTreeMap::from([(certificate.id, certificate)]),
        apps: BTreeMap::from([(app.id, app)]),
        ..Snapshot::default()
    }
}

/// A state in force as a relay's side thread puts it there.
pub(crate) fn kept(snapshot: Snapshot) -> ConfigHandle {
    let held = tempfile::tempdir().unwrap();
    let (mut keeper, _) =
        super::keeper::Keeper::load(super::disk::Folder::new(held.path()), None, crate::args::TlsPreset::default())
            .unwrap();
    keeper.snapshot(snapshot);
    keeper.settle();
    keeper.handle().clone()
}

/// As a relay makes them.
pub(crate) fn tls_configs() -> super::tls::TlsConfigs {
    super::tls::TlsConfigs::new(crate::args::TlsPreset::default()).unwrap()
}

/// [`snapshot`] in force, without certificates.
pub(crate) fn published() -> Published {
    let tls = rustls::ServerConfig::builder().with_no_client_auth();
    Published {
        sequence: 1,
        version: 1,
        permits: 1,
        sessions: Arc::default(),
        relay: None,
        plan: Arc::new(Plan::build(&snapshot(1)).unwrap()),
        tls: Arc::new(tls.with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()))),
        devices_tls: None,
        tls13: None,
        tunnel_tls: None,
        group_configs: BTreeMap::new(),
        connectors: BTreeMap::new(),
        limits: Arc::default(),
        networks: Arc::default(),
        countries: Arc::default(),
        challenges: Arc::default(),
    }
}

/// The token of this number for the application in [`snapshot`]; [`bearer`] shows it.
pub(crate) fn service_token(seq: u8, expires_unix: Option<u64>) -> ServiceToken {
    ServiceToken {
        id: ServiceTokenId::new(TenantId::DEFAULT, seq.into()),
        name: format!("machine{seq}").parse().unwrap(),
        key: service_secret(seq).key(),
        apps: [app("http://x/").id].into(),
        expires_unix,
        enabled: true,
        created_unix_ms: 1,
    }
}

/// The secret of the token of this number.
pub(crate) fn service_secret(seq: u8) -> TokenSecret {
    TokenSecret::new([seq; 32].into())
}

/// The value of `Authorization` for the token of this number.
pub(crate) fn bearer(seq: u8) -> String {
    let id = ServiceTokenId::new(TenantId::DEFAULT, seq.into());
    format!("Bearer {}", PresentedToken { id, secret: service_secret(seq) }.encode().expose())
}

/// The application in [`snapshot`], with another backend.
pub(crate) fn app(internal_url: &str) -> App {
    App {
        id: AppId::new(TenantId::DEFAULT, 1),
        name: "app".parse().unwrap(),
        group: GroupId::DEFAULT,
        external_url: format!("https://{HOST}/"),
        internal_url: String::from(internal_url),
        preauth: Preauth::Passthrough,
        certificate: CertificateId::new(TenantId::DEFAULT, 1),
        settings: BTreeMap::new(),
    }
}

/// The change that gives the application another backend.
pub(crate) fn app_put(version: u64, internal_url: &str) -> Delta {
    Delta { version, at_unix_ms: 1, tenant: Some(TenantId::DEFAULT), change: Change::AppPut(app(internal_url)) }
}
