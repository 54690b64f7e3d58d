//! The private applications as the group's signed configuration names them: parsed once, then only looked up.

mod segments;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use postern_http::Authority;
use postern_model::app_url::{ExternalUrl, InternalUrl};
use postern_model::config::Preauth;
use postern_model::group_config::{BackendApp, GroupConfig};
use postern_model::handshake::{Anybody, HandshakeVerifier};
use postern_model::ids::{AppId, GroupId};
use postern_model::settings::{AppSettings, BackendHttp, BackendProxy, Segment, TranslationSettings};
use postern_translate::Kinds;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs as provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::client_certificate::{self, ClientCertificate};
use crate::content;
use crate::embed::is_built_in;
use crate::farm::Farm;
use crate::sso::Method;
use crate::translate::links::Links;
use crate::vault::Credentials;
use segments::Further;

/// Every application of the group.
#[derive(Debug)]
pub(crate) struct BackendTable {
    pub(crate) version: u64,
    pub(crate) group: GroupId,
    pub(crate) apps: HashMap<AppId, Arc<Backend>>,
    /// Where these and the tenant's other applications are.
    pub(crate) links: Arc<Links>,
    /// Another one when links lead somewhere else.
    pub(crate) links_mark: u32,
}

/// One application, or a segment of one that has several.
#[derive(Debug)]
pub(crate) struct Backend {
    /// As configured; two backends with the same are interchangeable.
    pub(crate) app: Arc<BackendApp>,
    /// Which of its segments, from 1; 0 is what its own URLs are.
    pub(crate) segment: u16,
    pub(crate) internal: InternalUrl,
    pub(crate) external: ExternalUrl,
    /// It is one of the hosts below a wildcard, which users' requests name.
    pub(crate) is_below_wildcard: bool,
    /// The application's further segments, if this is the first of several.
    further: Option<Box<Further>>,
    /// What the backend gets as Host, if heads are translated.
    pub(crate) authority: Authority,
    /// How heads are translated, and by what rules changed.
    pub(crate) translation: TranslationSettings,
    pub(crate) silence_max: Duration,
    /// For the answer's head instead.
    pub(crate) header_timeout: Option<Duration>,
    /// After the answer's head instead.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) connections_max: usize,
    pub(crate) http: BackendHttp,
    /// Through which it is reached, if through any.
    pub(crate) proxy: Option<BackendProxy>,
    /// How users are signed on, if they are.
    pub(crate) sso: Option<Method>,
    /// With which passwords. They are for the origin of the application's own internal URL.
    pub(crate) credentials: Arc<Credentials>,
    /// Of which kinds content is translated, if any is.
    pub(crate) content: Option<Kinds>,
    pub(crate) tls: Option<BackendTls>,
    /// The places that requests go to, where there are several: each is a backend of its own.
    pub(crate) farm: Option<Arc<Farm>>,
}

/// How TLS with a backend is spoken.
#[derive(Debug, Clone)]
pub(crate) struct BackendTls {
    /// Offers the versions of HTTP that the settings allow.
    pub(crate) config: Arc<ClientConfig>,
    /// Offers HTTP/1.1 alone, for what HTTP/2 does not carry.
    pub(crate) http1: Arc<ClientConfig>,
    /// Asked for and verified.
    pub(crate) server_name: ServerName<'static>,
    /// The settings say that name: it is the same below a wildcard.
    is_name_set: bool,
    /// Shown to a backend that asks for one.
    pub(crate) own: Option<Arc<ClientCertificate>>,
}

impl BackendTable {
    /// Parses a verified configuration. What cannot be used is left out and said; the other applications go on.
    /// `before` lends the backends that did not change.
    pub(crate) fn build(config: &GroupConfig, before: Option<&Self>) -> Self {
        let mut apps = HashMap::with_capacity(config.apps.len());
        for app in &config.apps {
            let same = before.and_then(|table| table.apps.get(&app.id)).filter(|held| *held.app == *app);
            match same.map_or_else(|| Backend::build(app).map(Arc::new), |held| Ok(Arc::clone(held))) {
                Ok(backend) => {
                    apps.insert(app.id, backend);
                }
                Err(reason) => {
                    tracing::error!(app = %app.name, reason, "group config: this application cannot be served")
                }
            }
        }
        let links = Arc::new(Links::build(config));
        Self { version: config.version, group: config.group, apps, links, links_mark: content::mark(config) }
    }
}

impl Backend {
    fn build(app: &BackendApp) -> Result<Self, String> {
        let internal = InternalUrl::parse(&app.internal_url).map_err(|error| error.to_string())?;
        let external = ExternalUrl::parse(&app.external_url).map_err(|error| error.to_string())?;
        let settings = AppSettings::parse(&app.settings).map_err(|error| error.to_string())?;
        // Whom to sign on comes with each request; what else it takes must be here.
        settings.check_preauth(Preauth::Oidc).map_err(|error| error.to_string())?;
        let credentials = Arc::new(Credentials::of(app, &internal));
        let (app, place) = (Arc::new(app.clone()), Segment { external, internal });
        let farm = Farm::build(&app, &place.internal, &settings, |internal| {
            let place = Segment { internal, ..place.clone() };
            Self::at(&app, &settings, (0, place), Arc::clone(&credentials))
        })?;
        let first = Self::at(&app, &settings, (0, place), credentials)?;
        let further = Further::build(&first, &settings)?;
        Ok(Self { further, farm, ..first })
    }

    /// One segment of it, at one place.
    fn at(
        app: &Arc<BackendApp>,
        settings: &AppSettings,
        (segment, place): (u16, Segment),
        credentials: Arc<Credentials>,
    ) -> Result<Self, String> {
        let Segment { external, internal } = place;
        settings.check_backend(internal.tls).map_err(|error| error.to_string())?;
        settings.check_proxy(&internal).map_err(|error| error.to_string())?;
        if internal.wildcard().is_some() {
            settings.check_below_wildcard()?;
        }
        warn_of_weakness(app, &internal, settings);
        // Nothing is ever sent to a wildcard: what there is of it is for the hosts below.
        let below = internal.wildcard().map(|below| InternalUrl { host: below.into(), ..internal.clone() });
        let reached = below.as_ref().unwrap_or(&internal);
        let tls = if internal.tls { Some(BackendTls::build(reached, settings)?) } else { None };
        let authority = authority(reached)?;
        let origin = origin(internal.tls, &authority);
        Ok(Self {
            authority,
            app: Arc::clone(app),
            segment,
            external,
            is_below_wildcard: false,
            further: None,
            silence_max: time(settings.backend_timeout_ms),
            header_timeout: settings.limits.header_timeout_ms.map(time),
            idle_timeout: settings.limits.idle_timeout_ms.map(time),
            connect_timeout: time(settings.connect_timeout_ms),
            connections_max: usize::try_from(settings.backend_connections_max).unwrap_or(usize::MAX),
            http: settings.backend_http,
            proxy: settings.backend_proxy.clone(),
            sso: Method::of(settings, &origin)?,
            credentials,
            content: content::kinds(settings, &internal),
            translation: settings.translation.clone(),
            internal,
            tls,
            farm: None,
        })
    }
}

impl Backend {
    /// What the application sees as Host where nobody asks but the connector: its own name, or the one that it is published under.
    pub(crate) fn host_seen(&self) -> Authority {
        let published = (!self.translation.headers && !self.external.wildcard).then(|| self.external.authority(""));
        let published = published.and_then(|host| Authority::parse(host.as_bytes()).ok());
        published.unwrap_or_else(|| self.authority.clone())
    }
}

fn origin(tls: bool, authority: &Authority) -> String {
    format!("{}://{}", if tls { "https" } else { "http" }, authority.as_str())
}

fn time(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

fn warn_of_weakness(app: &BackendApp, internal: &InternalUrl, settings: &AppSettings) {
    if !internal.tls && !is_built_in(&internal.host) {
        tracing::warn!(app = %app.name, backend = %internal, "this backend is reached by plain HTTP: others on its network can read and change it");
    } else if !settings.backend_tls_verify {
        tracing::warn!(app = %app.name, backend = %internal, "the certificate of this backend is not verified: others on its network can take its place");
    }
}

/// `host[:port]`, without the port where it is the scheme's own.
pub(crate) fn authority(internal: &InternalUrl) -> Result<Authority, String> {
    let (open, close) = if internal.host.contains(':') { ("[", "]") } else { ("", "") };
    let default_port = if internal.tls { 443 } else { 80 };
    let port = if internal.port == default_port { String::new() } else { format!(":{}", internal.port) };
    let text = format!("{open}{}{close}{port}", internal.host);
    Authority::parse(text.as_bytes()).map_err(|_| format!("{text} cannot be a Host"))
}

impl BackendTls {
    fn build(internal: &InternalUrl, settings: &AppSettings) -> Result<Self, String> {
        let name = settings.backends.sni.as_deref().unwrap_or(&internal.host);
        let server_name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        let provider = Arc::new(provider::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match (settings.backend_tls_verify, &settings.backend_ca) {
            (false, _) => {
                let anybody = Arc::new(HandshakeVerifier { judge: Anybody, provider });
                builder.dangerous().with_custom_certificate_verifier(anybody)
            }
            (true, Some(pem)) => builder.with_root_certificates(own_roots(pem)?),
            (true, None) => builder.with_root_certificates(system_roots()),
        };
        let own = settings.backends.client_certificate.as_deref().map(client_certificate::named);
        let mut config = match &own {
            Some(own) => builder.with_client_cert_resolver(Arc::clone(own) as Arc<dyn ResolvesClientCert>),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(RESUMED_SESSIONS);
        let offering = |versions: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = versions.iter().map(|version| version.to_vec()).collect();
            Arc::new(config)
        };
        let http1 = offering(&[HTTP1]);
        let config = match settings.backend_http {
            BackendHttp::Auto => offering(&[HTTP2, HTTP1]),
            BackendHttp::Http2 => offering(&[HTTP2]),
            BackendHttp::Http1 | BackendHttp::H2c => Arc::clone(&http1),
        };
        Ok(Self { config, http1, server_name, is_name_set: settings.backends.sni.is_some(), own })
    }

    /// The same at a host below a wildcard.
    fn at(&self, host: &str) -> Result<Self, String> {
        if self.is_name_set {
            return Ok(self.clone());
        }
        let server_name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        Ok(Self { server_name, ..self.clone() })
    }

    /// Why this connector cannot show what it is to show, if that is so.
    pub(crate) fn own_missing(&self) -> Option<String> {
        self.own.as_ref()?.missing()
    }
}

pub(crate) fn own_roots(pem: &str) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(Arc::new(roots))
}

/// The host's own authorities (`/etc/ssl/certs`, or `SSL_CERT_FILE`), read when the first backend needs them.
pub(crate) fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    Arc::clone(ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let loaded = rustls_native_certs::load_native_certs();
        let (good, _) = roots.add_parsable_certificates(loaded.certs);
        if good == 0 {
            tracing::error!(
                "this host has no certificate authorities: install ca-certificates, or set backend_ca for each backend"
            );
        }
        Arc::new(roots)
    }))
}

/// ALPN's names.
pub(crate) const HTTP2: &[u8] = b"h2";
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// TLS sessions remembered per backend.
const RESUMED_SESSIONS: usize = 32;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    pub(crate) fn app(seq: u32, internal: &str, settings: &[(&str, &str)]) -> BackendApp {
        BackendApp {
            id: AppId::new(postern_model::ids::TenantId::DEFAULT, seq),
            name: format!("app{seq}").parse().unwrap(),
            external_url: format!("https://app{seq}.example.com/"),
            internal_url: internal.into(),
            settings: settings.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<BTreeMap<_, _>>(),
            credentials: Vec::new(),
            member_key: None,
        }
    }

    pub(crate) fn config(version: u64, apps: Vec<BackendApp>) -> GroupConfig {
        let (tenant, links) = (postern_model::ids::TenantId::DEFAULT, Vec::new());
        GroupConfig { tenant, group: GroupId::DEFAULT, version, apps, links }
    }

    #[test]
    fn what_cannot_be_used_is_left_out_and_the_rest_serves() {
        let apps = vec![
            app(1, "http://10.0.0.1:8080/base/", &[]),
            app(2, "gopher://x/", &[]),
            app(3, "https://[::1]/", &[("backend_tls_verify", "false")]),
            app(4, "http://x/", &[("of_the_future", "1")]),
        ];
        let table = BackendTable::build(&config(3, apps), None);
        let mut seqs: Vec<_> = table.apps.keys().map(|id| id.seq).collect();
        seqs.sort_unstable();
        assert_eq!(seqs, [1, 3]);
        let of = |seq| &table.apps[&AppId::new(postern_model::ids::TenantId::DEFAULT, seq)];
        assert_eq!(of(1).authority.as_str(), "10.0.0.1:8080");
        assert_eq!((of(3).authority.as_str(), of(3).tls.is_some()), ("[::1]", true));
        assert_eq!(of(1).silence_max, Duration::from_secs(75));
    }

    #[test]
    fn an_application_with_a_segment_that_cannot_be_is_left_out() {
        const KERBEROS: [(&str, &str); 2] = [("sso", "kerberos"), ("sso_spn", "HTTP/a.corp@CORP")];
        let by_vault = [("sso", "basic"), ("backend_plaintext", "allow")];
        for (settings, served) in [
            (&[("segments", "https://app1.example.com/x/=http://10.0.0.2/")][..], true),
            (&[("segments", "https://app1.example.com/x/=http://*.corp/")], false),
            (&[("segments", "https://*.example.com/=http://*.corp/")], true),
            (&[("segments", "https://*.example.com/=http://*.corp/"), ("backend_proxy", "corp")], false),
            (&[("segments", "https://*.example.com/=http://corp/"), ("backend_proxy", "corp")], true),
            (&[by_vault[0], by_vault[1], ("segments", "https://app1.example.com/x/=http://10.0.0.1/y/")], true),
            (&[by_vault[0], by_vault[1], ("segments", "https://app1.example.com/x/=http://10.0.0.1:81/")], false),
            (&[KERBEROS[0], KERBEROS[1], ("segments", "https://*.example.com/=http://*.corp/")], false),
            (&[KERBEROS[0], KERBEROS[1], ("segments", "https://*.example.com/=http://corp/")], true),
            (&[("sso_assertion", "jwt"), ("segments", "https://*.example.com/=http://*.corp/")], false),
            (&[by_vault[0], by_vault[1], ("segments", "https://*.example.com/=http://*.corp/")], false),
            (&[("backend_http", "h2c"), ("segments", "https://app1.example.com/x/=https://10.0.0.1/")], false),
        ] {
            let table = BackendTable::build(&config(1, vec![app(1, "http://10.0.0.1/", settings)]), None);
            assert_eq!(table.apps.len() == 1, served, "{settings:?}");
        }
    }

    #[test]
    fn segments_are_found_as_relays_find_them() {
        let segments = "https://app1.example.com/a/=http://one/,https://app1.example.com/a/b/=http://two/,https://*.example.com/=http://three/";
        let table = BackendTable::build(&config(1, vec![app(1, "http://10.0.0.1/", &[("segments", segments)])]), None);
        let first = table.apps.values().next().unwrap();
        for (host, path, expected) in [
            ("app1.example.com", "/", "10.0.0.1"),
            ("APP1.example.com", "/a", "one"),
            ("app1.example.com", "/ab", "10.0.0.1"),
            ("app1.example.com", "/a/b/c", "two"),
            ("x.y.example.com", "/a/b/c", "three"),
            ("example.com", "/a", "10.0.0.1"),
        ] {
            let found = first.segment_at(host, || path.into()).unwrap_or(first);
            assert_eq!(&*found.internal.host, expected, "{host}{path}");
        }
        assert_eq!(first.segments().count(), 3);
    }

    #[test]
    fn what_did_not_change_is_kept() {
        let first = BackendTable::build(&config(1, vec![app(1, "http://a/", &[]), app(2, "http://b/", &[])]), None);
        let second = config(2, vec![app(1, "http://a/", &[]), app(2, "http://c/", &[])]);
        let second = BackendTable::build(&second, Some(&first));
        let same = |seq| {
            let id = AppId::new(postern_model::ids::TenantId::DEFAULT, seq);
            Arc::ptr_eq(&first.apps[&id], &second.apps[&id])
        };
        assert_eq!((same(1), same(2)), (true, false));
    }
}
