//! Names of header fields that say who asks, or from where: in lower case, with `-`. Relays take them out of what clients send, and
//! no rule of an operator's writes them, so that whoever reads one knows who wrote it.

/// What Postern says and will say itself (`X-Postern-User`, …).
pub const OWN_PREFIX: &str = "x-postern-";
/// What proxies say of who sent a request, and Postern.
pub const ORIGIN_PREFIXES: [&str; 2] = ["x-forwarded-", OWN_PREFIX];
/// The same, by their whole names. The last two say with what certificate a client proved itself to whoever ended its TLS: that is us
/// (RFC 9440 §4).
pub const ORIGIN_NAMES: [&str; 5] = ["forwarded", "x-forwarded", "x-real-ip", "client-cert", "client-cert-chain"];
/// What other proxies that sign users in say: oauth2-proxy, Authelia, authentik, Vouch, Pomerium, Tailscale, Grafana's
/// auth.proxy, mod_auth_openidc, SiteMinder, those that ask for client certificates, and those of clouds.
/// `X-Forwarded-User`, `-Email`, `-Groups`, … are among [`ORIGIN_PREFIXES`].
pub const IDENTITY_PREFIXES: [&str; 18] = [
    "x-auth-",
    "x-authentik-",
    "x-remote-",
    "x-webauth-",
    "x-vouch-",
    "x-pomerium-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-goog-authenticated-",
    "x-goog-iap-",
    "x-amzn-oidc-",
    "x-ssl-client-",
    "ssl-client-",
    "cf-access-",
    "tailscale-",
    "oidc-",
    "client-cert-",
    "sm-",
];
/// The same, by their whole names. The last three name another place than the one that was asked for, which some applications decide by.
pub const IDENTITY_NAMES: [&str; 13] = [
    "remote-user",
    "remote-name",
    "remote-email",
    "remote-group",
    "remote-groups",
    "x-authenticated-user",
    "x-user",
    "auth-user",
    "x-client-cert",
    "client-cert",
    "x-original-url",
    "x-rewrite-url",
    "x-original-uri",
];
