//! Tenants' own authorities for devices. Each tenant has one with a key of its own, in a file beside those of the other two, so
//! that no tenant's certificate can count in another. Its certificate is part of the state, for relays ask browsers by it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use postern_model::ids::{DeviceId, TenantId};
use postern_service::secret;
use rcgen::{ExtendedKeyUsagePurpose, Issuer, KeyPair, PublicKeyData as _, SanType};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::{RequestedKey, ca_params, damaged, leaf, sha256_hex};
use crate::pem::as_pem;

/// A tenant's authority, with its key.
pub(crate) struct DeviceCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate for a device.
pub(crate) struct IssuedDevice {
    /// With the authority's behind it.
    pub(crate) chain_pem: String,
    /// SHA-256 of the certificate (DER), hex.
    pub(crate) sha256: String,
    pub(crate) not_after_unix: u64,
}

impl DeviceCa {
    /// A new one. A key that is there already goes: its certificate did not get into the state, or left it, so nobody depends on it,
    /// and whether it was written whole is not known.
    pub(crate) fn make(folder: &Path, tenant: TenantId) -> anyhow::Result<Self> {
        let (path, key) = (file(folder, tenant), KeyPair::generate()?);
        secret::write(&path, Zeroizing::new(key.serialize_pem()).as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
        // Browsers choose among their certificates by this name: it has to be another one in every tenant and installation.
        let own = sha256_hex(&key.subject_public_key_info());
        let name = format!("Postern devices {tenant} {}", own.get(..8).unwrap_or_default());
        let certificate = ca_params(&name)?.self_signed(&key)?.der().clone();
        Self::with(key, certificate)
    }

    /// The one whose certificate is in the state.
    pub(crate) fn open(folder: &Path, tenant: TenantId, certificate: &CertificateDer<'_>) -> anyhow::Result<Self> {
        let path = file(folder, tenant);
        if !path.exists() {
            return Err(damaged(&path, "the key of the authority for devices is missing").into());
        }
        let key = read(&path)?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|error| damaged(&path, &error.to_string()))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(damaged(&path, "the key is not that of the authority for devices in the state").into());
        }
        Self::with(key, certificate.clone().into_owned())
    }

    /// Removes a tenant's key: nothing is issued by it any more.
    pub(crate) fn forget(folder: &Path, tenant: TenantId) -> std::io::Result<()> {
        match std::fs::remove_file(file(folder, tenant)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Its certificate.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// A client certificate for a device.
    pub(crate) fn issue(&self, device: DeviceId, key: &RequestedKey, days: u16) -> anyhow::Result<IssuedDevice> {
        let mut params = leaf(&format!("Postern device {device}"), days.into())?;
        params.subject_alt_names = vec![SanType::URI(device_uri(device).try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let not_after_unix = u64::try_from(params.not_after.unix_timestamp()).unwrap_or(0);
        let issued = params.signed_by(&key.key, &self.issuer)?;
        let chain_pem = issued.pem() + &as_pem(&self.certificate);
        Ok(IssuedDevice { chain_pem, sha256: sha256_hex(issued.der()), not_after_unix })
    }

    fn with(key: KeyPair, certificate: CertificateDer<'static>) -> anyhow::Result<Self> {
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { issuer, certificate })
    }
}

/// The URI in the certificate of a device: `postern://device/d1-4`.
pub(crate) fn device_uri(device: DeviceId) -> String {
    format!("postern://device/{device}")
}

fn read(path: &Path) -> anyhow::Result<KeyPair> {
    let pem = secret::read_text(path)?;
    Ok(KeyPair::from_pem(&pem).map_err(|error| damaged(path, &error.to_string()))?)
}

fn file(folder: &Path, tenant: TenantId) -> PathBuf {
    folder.join(format!("device-ca-{tenant}.key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_authority_survives_a_restart_and_is_no_other_tenants() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (TenantId(1), TenantId(2));
        let made = DeviceCa::make(folder.path(), here).unwrap().certificate().clone();
        assert_eq!(*DeviceCa::open(folder.path(), here, &made).unwrap().certificate(), made);
        let lost = DeviceCa::open(folder.path(), there, &made).err().unwrap().to_string();
        assert!(lost.contains("device-ca-t2.key: the key of the authority for devices is missing"), "{lost}");
        DeviceCa::make(folder.path(), there).unwrap();
        let other = DeviceCa::open(folder.path(), there, &made).err().unwrap().to_string();
        assert!(other.contains("is not that of the authority for devices"), "{other}");
    }

    #[test]
    fn a_key_that_was_left_behind_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device-ca-t1.key");
        std::fs::write(&path, "-----BEGIN PRIV").unwrap();
        let first = DeviceCa::make(folder.path(), TenantId(1)).unwrap().certificate().clone();
        let key = std::fs::read(&path).unwrap();
        DeviceCa::make(folder.path(), TenantId(1)).unwrap();
        assert_ne!(std::fs::read(&path).unwrap(), key);
        assert!(DeviceCa::open(folder.path(), TenantId(1), &first).is_err());
    }

    #[test]
    fn its_key_is_private_and_goes_when_it_is_forgotten() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        DeviceCa::make(folder.path(), TenantId(1)).unwrap();
        let path = folder.path().join("device-ca-t1.key");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        DeviceCa::forget(folder.path(), TenantId(1)).unwrap();
        assert!(!path.exists());
        DeviceCa::forget(folder.path(), TenantId(1)).unwrap();
    }
}
