//! Certificates of a test's own: self-signed leaves, each its own trust anchor.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A certificate and its key, in PEM files.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A P-256 leaf for one DNS name, `folder/NAME.pem` and `folder/NAME.key`.
pub fn self_signed(folder: &Path, name: &str) -> Result<Certificate> {
    make(folder, name, &format!("DNS:{name}"))
}

/// The same for an address.
pub fn self_signed_for_address(folder: &Path, address: IpAddr) -> Result<Certificate> {
    make(folder, &address.to_string(), &format!("IP:{address}"))
}

fn make(folder: &Path, name: &str, subject: &str) -> Result<Certificate> {
    let made = Certificate { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={name}"), "-addext", &format!("subjectAltName={subject}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&made.key)
        .arg("-out")
        .arg(&made.certificate)
        .output()
        .context("openssl")?;
    if !output.status.success() {
        bail!("openssl: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(made)
}
