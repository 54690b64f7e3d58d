//! `postern access device enrol`: a key is made here, and the place to sign in gives a certificate for it to whoever signs in
//! there for that. Nothing of the sign-in is kept.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use postern_model::device::{DEVICE_NAME_BYTES_MAX, EnrolledDevice};
use postern_model::directory::Line;
use postern_model::identity::{CSR, DEVICE_NAME, DEVICE_PLATFORM, ENROL_DEVICE_PATH};
use postern_model::policy::DeviceState;
use postern_service::failure::Failure;
use postern_service::secret;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

use super::{address, login, provider};
use crate::args::EnrolDeviceArgs;
use crate::https::Https;
use crate::output::Output;

/// What came of it, as a program reads it.
#[derive(Serialize)]
struct Enrolled {
    #[serde(flatten)]
    device: EnrolledDevice,
    key: PathBuf,
    certificate: PathBuf,
}

pub(crate) fn enrol(args: &EnrolDeviceArgs, output: Output) -> Result<()> {
    let EnrolDeviceArgs { url, client, name, platform, out, reach } = args;
    let url = address(url)?;
    let name = match name {
        Some(name) => name.to_string(),
        None => own_name()?.to_string(),
    };
    let files = Files::at(out)?;
    let key = files.key()?;
    let https = Https::new(reach.ca.as_deref(), reach.connect_to)?;
    let metadata = login::metadata(&https, &url)?;
    let at = format!("{}{ENROL_DEVICE_PATH}", metadata.issuer);
    let at: Url = at.parse().map_err(|_| Failure::new(format!("{} is no address", metadata.issuer)))?;
    let tokens = login::authorise(&https, &metadata, client, "devices")?;
    let (csr, platform) = (request(&key)?, platform.to_string());
    let form = [(CSR, &*csr), (DEVICE_NAME, &name), (DEVICE_PLATFORM, &platform)];
    let answer = https.post_bearing(&tokens.access_token, &at, &form);
    // It was for this alone.
    if let Err(failure) = provider::give_back(&https, &metadata.revocation_endpoint, client, &tokens.refresh_token) {
        eprintln!("warning: the sign-in for this could not be ended: {failure}");
    }
    let answer = answer?;
    if !answer.status.is_success() {
        return Err(answer.json::<provider::Refused>(&at)?.failure(&at).into());
    }
    let device: EnrolledDevice = answer.json(&at)?;
    files.write_certificate(&device.certificate_pem)?;
    let Files { key, certificate, .. } = files;
    output.show(&Enrolled { device, key, certificate }, said)
}

/// Where it goes.
struct Files {
    key: PathBuf,
    certificate: PathBuf,
}

impl Files {
    fn at(folder: &Path) -> Result<Self, Failure> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(folder, &error))?;
        let folder = std::path::absolute(folder).map_err(|error| failed(folder, &error))?;
        Ok(Self { key: folder.join("key.pem"), certificate: folder.join("certificate.pem") })
    }

    /// The key that is there from before, or a new one. It is there before anything is asked for: a certificate for a key that
    /// was lost is nobody's.
    fn key(&self) -> Result<KeyPair, Failure> {
        let unusable = || {
            Failure::new(format!("{} is no P-256 key", self.key.display()))
                .cure("name another folder with --out, or remove the file")
        };
        if self.key.exists() {
            let text = secret::read_text(&self.key)?;
            let key = KeyPair::from_pem(&text).map_err(|_| unusable())?;
            return if key.algorithm() == &PKCS_ECDSA_P256_SHA256 { Ok(key) } else { Err(unusable()) };
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        let key = key.map_err(|error| Failure::new(format!("no key could be made: {error}")))?;
        let text = Zeroizing::new(key.serialize_pem());
        secret::write_new(&self.key, text.as_bytes()).map_err(|error| failed(&self.key, &error))?;
        Ok(key)
    }

    fn write_certificate(&self, pem: &str) -> Result<(), Failure> {
        let written = secret::write_with_mode(&self.certificate, pem.as_bytes(), 0o644);
        written.map_err(|error| failed(&self.certificate, &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

fn request(key: &KeyPair) -> Result<String, Failure> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(key).and_then(|request| request.pem());
    request.map_err(|error| Failure::new(format!("no certificate request could be made: {error}")))
}

/// What this host calls itself.
fn own_name() -> Result<Line<DEVICE_NAME_BYTES_MAX>, Failure> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().parse().ok().filter(|name: &Line<DEVICE_NAME_BYTES_MAX>| !name.as_str().is_empty());
    name.ok_or_else(|| Failure::usage("this host has no name that fits: say how the device is called with --name"))
}

fn said(enrolled: &Enrolled) -> String {
    let Enrolled { device: EnrolledDevice { id, state, device_url, .. }, key, certificate } = enrolled;
    let counts = match state {
        DeviceState::Unknown => "counts once an administrator has approved it",
        DeviceState::Registered => "counts as a known device",
        DeviceState::Compliant => "counts as a known device that meets what is asked of it",
    };
    let (key, certificate, p12) = (key.display(), certificate.display(), key.with_file_name("device.p12"));
    let mut text = format!("device {id} is enrolled: it {counts}\nits key: {key}\nits certificate: {certificate}\n");
    text.push_str("\nTo have a browser show it, import this file into the browser, or open it on Windows and macOS:\n");
    text.push_str(&format!("  openssl pkcs12 -export -inkey {key} -in {certificate} -out {}\n", p12.display()));
    match device_url {
        Some(url) => text.push_str(&format!("It is asked for at {url}, and nowhere else.\n")),
        None => text.push_str("No browser is asked for it yet: there is no device host.\n"),
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("device");
        let first = Files::at(&at).unwrap().key().unwrap();
        let again = Files::at(&at).unwrap().key().unwrap();
        assert_eq!(first.serialize_der(), again.serialize_der());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&at), mode(&at.join("key.pem"))), (0o700, 0o600));
        assert!(request(&first).unwrap().starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
        std::fs::write(at.join("key.pem"), "no key").unwrap();
        assert!(Files::at(&at).unwrap().key().is_err(), "nothing is written over it");
    }
}
