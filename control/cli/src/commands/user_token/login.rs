//! Signing in: the application names who gives out tokens (RFC 9728), and the user agrees in a browser, here or on another device
//! (RFC 8628).

use std::time::{Duration, Instant};

use anyhow::Result;
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use serde::Deserialize;
use url::Url;

use super::kept::{Login, covers};
use super::now_unix;
use super::provider::{self, Tokens};
use crate::args::ReachArgs;
use crate::https::Https;

/// RFC 9728 §2.
#[derive(Deserialize)]
struct Resource {
    resource: Url,
    #[serde(default)]
    authorization_servers: Vec<Url>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// OpenID Connect Discovery §3.
#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    token_endpoint: Url,
    pub(super) revocation_endpoint: Url,
    device_authorization_endpoint: Url,
}

/// RFC 8628 §3.2.
#[derive(Deserialize)]
struct Device {
    device_code: SecretText,
    user_code: String,
    verification_uri: Url,
    verification_uri_complete: Url,
    expires_in: u64,
    #[serde(default = "interval_default")]
    interval: u64,
}

pub(super) fn login(url: &Url, client: &str, reach: &ReachArgs) -> Result<Login> {
    let ca = reach.ca.as_deref().map(std::path::absolute).transpose()?;
    let https = Https::new(ca.as_deref(), reach.connect_to)?;
    let resource = resource(&https, url)?;
    let metadata = metadata_of(&https, &resource)?;
    let scope = resource.scopes_supported.join(" ");
    let tokens = authorise(&https, &metadata, client, &scope)?;
    let Tokens { access_token, refresh_token, expires_in } = tokens;
    Ok(Login {
        app: resource.resource,
        client: client.to_owned(),
        token_endpoint: metadata.token_endpoint,
        revocation_endpoint: metadata.revocation_endpoint,
        ca,
        connect_to: reach.connect_to,
        access_token,
        refresh_token,
        expires_unix: now_unix().saturating_add(expires_in),
    })
}

/// What the application says of itself when it refuses.
fn resource(https: &Https, url: &Url) -> Result<Resource, Failure> {
    let refusal = https.get(url)?;
    let asks_nobody = || {
        Failure::new(format!("{url} answers {} and does not say who gives out tokens for it", refusal.status))
            .cure("it must be published by Postern with --preauth oidc")
    };
    let at = refusal.challenge.as_deref().and_then(metadata_url).ok_or_else(asks_nobody)?;
    if at.origin() != url.origin() {
        return Err(Failure::new(format!("{url} says that {at} describes it, which is another server's")));
    }
    let resource: Resource = https.get(&at)?.json(&at)?;
    // RFC 9728 §3.3: who describes something else than what was asked for is not believed.
    if !covers(&resource.resource, url) {
        return Err(Failure::new(format!("{at} describes {}, and not {url}", resource.resource)));
    }
    Ok(resource)
}

/// `resource_metadata` of a challenge (RFC 9728 §5.1).
fn metadata_url(challenge: &str) -> Option<Url> {
    let value = challenge.split("resource_metadata=\"").nth(1)?.split('"').next()?;
    value.parse().ok()
}

fn metadata_of(https: &Https, resource: &Resource) -> Result<Metadata, Failure> {
    let app = &resource.resource;
    let Some(issuer) = resource.authorization_servers.first() else {
        return Err(Failure::new(format!("nobody gives out tokens for {app}"))
            .cure("people sign in nowhere yet: postern identity publish --external https://HOST/"));
    };
    metadata(https, issuer)
}

/// What the place to sign in says of itself.
pub(super) fn metadata(https: &Https, issuer: &Url) -> Result<Metadata, Failure> {
    let issuer = issuer.as_str().trim_end_matches('/');
    let at = format!("{issuer}/.well-known/openid-configuration");
    let at: Url = at.parse().map_err(|_| Failure::new(format!("{issuer} is no place to sign in")))?;
    let metadata: Metadata = https.get(&at)?.json(&at)?;
    let endpoints = [&metadata.token_endpoint, &metadata.revocation_endpoint, &metadata.device_authorization_endpoint];
    // RFC 8414 §3.3; and tokens go to the issuer alone.
    if metadata.issuer != issuer || endpoints.iter().any(|endpoint| endpoint.origin() != at.origin()) {
        return Err(Failure::new(format!("{at} is not about {issuer}")));
    }
    Ok(metadata)
}

/// Asks the user, and waits for their answer.
pub(super) fn authorise(https: &Https, metadata: &Metadata, client: &str, scope: &str) -> Result<Tokens, Failure> {
    let at = &metadata.device_authorization_endpoint;
    let answer = https.post(at, &[("client_id", client), ("scope", scope)])?;
    if !answer.status.is_success() {
        let failure = answer.json::<provider::Refused>(at)?.failure(at);
        return Err(failure.cure("ask your administrator for the id of a client with --device and this scope"));
    }
    let device: Device = answer.json(at)?;
    let Device { verification_uri, verification_uri_complete, user_code, .. } = &device;
    let is_plain = user_code.len() <= USER_CODE_BYTES_MAX && user_code.bytes().all(|byte| byte.is_ascii_graphic());
    let is_own = [verification_uri, verification_uri_complete].iter().all(|uri| uri.origin() == at.origin());
    if !is_plain || !is_own {
        return Err(Failure::new(format!("{at} answers with a code or an address that is not its own")));
    }
    eprintln!("open {verification_uri_complete}\n  or {verification_uri} and enter {user_code}");
    eprintln!("and allow it there, if it shows the code {user_code}; waiting …");
    wait(https, metadata, client, &device)
}

fn wait(https: &Https, metadata: &Metadata, client: &str, device: &Device) -> Result<Tokens, Failure> {
    let at = &metadata.token_endpoint;
    let end = Instant::now() + Duration::from_secs(device.expires_in.min(WAIT_S_MAX));
    let mut interval = device.interval.clamp(1, INTERVAL_S_MAX);
    let form = [("grant_type", GRANT), ("client_id", client), ("device_code", device.device_code.expose())];
    while Instant::now() < end {
        std::thread::sleep(Duration::from_secs(interval));
        let refused = match provider::tokens(&https.post(at, &form)?, at)? {
            Ok(tokens) => return Ok(tokens),
            Err(refused) => refused,
        };
        match refused.error.as_str() {
            "authorization_pending" => {}
            "slow_down" => interval = (interval + 5).min(INTERVAL_S_MAX),
            "access_denied" => return Err(Failure::new("the access was refused in the browser")),
            _ => return Err(refused.failure(at)),
        }
    }
    Err(Failure::new("nobody allowed the access in time").cure("run the command again for a new code"))
}

const fn interval_default() -> u64 {
    5
}

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const USER_CODE_BYTES_MAX: usize = 32;
const WAIT_S_MAX: u64 = 3_600;
const INTERVAL_S_MAX: u64 = 60;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_names_its_metadata() {
        let challenge =
            r#"Bearer realm="postern", resource_metadata="https://a.example/.well-known/x", error="invalid_token""#;
        assert_eq!(metadata_url(challenge).unwrap().as_str(), "https://a.example/.well-known/x");
        for none in ["", "Bearer", r#"Bearer resource_metadata="#, r#"Bearer resource_metadata="/x""#] {
            assert_eq!(metadata_url(none), None, "{none}");
        }
    }
}
