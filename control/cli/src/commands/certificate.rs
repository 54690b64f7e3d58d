//! `postern cert …`.

mod pkcs12;

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::admin::{
    AddCertificate, CertificateAdded, CertificateView, Changed, List, RenewalView, RequestCertificate, path,
};
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use postern_service::secret;

use super::Context;
use super::app::{origin, read_key};
use crate::args::{CertCommand, CertFilesArgs};
use crate::client::{read_text, segment};
use crate::output::{Output, details, joined};
use crate::password;
use crate::time_text::{relative, utc};
use pkcs12::{Archive, Unusable};

pub(super) fn run(context: &Context, command: CertCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        CertCommand::Add(files) => {
            let added: CertificateAdded = client.post(&path::certificates(&tenant), &request(&files)?)?;
            output.changed(&added, &line("added", &added.certificate), &added.warnings)
        }
        CertCommand::Replace { id, files } => {
            let target = path::certificate(&tenant, &segment(&id));
            let added: CertificateAdded = client.put(&target, &request(&files)?)?;
            output.changed(&added, &line("replaced", &added.certificate), &added.warnings)
        }
        CertCommand::Request { hosts, challenge } => {
            let asked = RequestCertificate { hosts, challenge };
            let added: CertificateAdded = client.post_at_length(&path::certificates_ordered(&tenant), &asked)?;
            output.changed(&added, &line("issued", &added.certificate), &added.warnings)
        }
        CertCommand::Renew { id } => {
            let target = path::certificate_renew(&tenant, &segment(&id));
            let added: CertificateAdded = client.post_at_length(&target, &serde_json::json!({}))?;
            output.changed(&added, &line("renewed", &added.certificate), &added.warnings)
        }
        CertCommand::List => {
            let list: List<CertificateView> = client.get(&path::certificates(&tenant))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        CertCommand::Show { id } => {
            let certificate: CertificateView = client.get(&path::certificate(&tenant, &segment(&id)))?;
            output.show(&certificate, show)
        }
        CertCommand::Remove { id } => {
            let changed: Changed = client.delete(&path::certificate(&tenant, &segment(&id)))?;
            output.changed(&changed, &format!("certificate {id} removed"), &changed.warnings)
        }
    }
}

fn line(done: &str, certificate: &CertificateView) -> String {
    let CertificateView { id, hosts, not_after_unix, .. } = certificate;
    format!("certificate {id} {done}: {}, until {}", joined(hosts), utc(*not_after_unix))
}

fn request(files: &CertFilesArgs) -> Result<AddCertificate> {
    let (certificate_pem, key_pem) = match (&files.p12, &files.cert, &files.key) {
        (Some(file), ..) => {
            let Archive { certificate_pem, key_pem } = open_pkcs12(file, files)?;
            (certificate_pem, key_pem)
        }
        (None, Some(cert), Some(key)) => {
            if files.password.password_file.is_some() || files.password.password_stdin {
                let message = "a password is for --p12 alone: a key in PEM form has to be unencrypted";
                return Err(Failure::usage(message).cure("openssl pkey -in KEY -out FILE").into());
            }
            (read_text(cert)?, read_key(key)?)
        }
        (None, None, _) | (None, _, None) => return Err(Failure::usage("give --cert and --key, or --p12").into()),
    };
    let ocsp = files.ocsp.as_deref().map(|file| -> Result<String> {
        let response = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(STANDARD.encode(response))
    });
    Ok(AddCertificate { certificate_pem, key_pem, ocsp: ocsp.transpose()? })
}

/// With the password that was given; else with none; else with the one that is typed.
fn open_pkcs12(file: &Path, files: &CertFilesArgs) -> Result<Archive> {
    if let Some(warning) = secret::exposure(file) {
        eprintln!("warning: {warning}");
    }
    let bytes = secret::read(file)?;
    let given = password::given(&files.password)?;
    let mut opened = pkcs12::open(&bytes, given.as_ref().map_or("", SecretText::expose));
    if given.is_none() && matches!(opened, Err(Unusable::Password)) {
        opened = pkcs12::open(&bytes, password::typed("Password of the file: ")?.expose());
    }
    opened.map_err(|error| Failure::new(format!("{}: {error}", file.display())).into())
}

fn table(output: Output, certificates: &[CertificateView]) -> String {
    let now = SystemTime::now();
    let heads = ["ID", "HOSTS", "ISSUER", "SERIAL", "ORIGIN", "EXPIRES", "RENEWED", "SHOWN BY"];
    let table = output.table(heads).rows(certificates, |certificate| {
        [
            certificate.id.to_string(),
            joined(&certificate.hosts),
            certificate.issuer.clone(),
            certificate.serial.clone(),
            origin(certificate.origin).into(),
            relative(certificate.not_after_unix, now),
            certificate.renewal.as_ref().map(|renewal| renewed(renewal, now)).unwrap_or_default(),
            shown_by(certificate),
        ]
    });
    table.render("no certificates")
}

fn show(certificate: &CertificateView) -> String {
    let until = format!("{} ({} days left)", utc(certificate.not_after_unix), certificate.days_left);
    details(&[
        ("id", certificate.id.to_string()),
        ("hosts", joined(&certificate.hosts)),
        ("issuer", certificate.issuer.clone()),
        ("serial", certificate.serial.clone()),
        ("origin", origin(certificate.origin).into()),
        ("from", utc(certificate.not_before_unix)),
        ("until", until),
        ("sha256", certificate.sha256.clone()),
        ("renewed by", certificate.renewal.as_ref().map(renewal).unwrap_or_default()),
        ("renewal failed", certificate.renewal.as_ref().map(failures).unwrap_or_default()),
        ("stapled until", certificate.ocsp_until_unix.map(utc).unwrap_or_default()),
        ("revoked since", certificate.revoked_unix.map(utc).unwrap_or_default()),
        ("shown by", shown_by(certificate)),
    ])
}

/// When, in a column.
fn renewed(renewal: &RenewalView, now: SystemTime) -> String {
    let next = relative(renewal.next_unix, now);
    if renewal.error.is_some() { format!("fails, again {next}") } else { next }
}

fn renewal(renewal: &RenewalView) -> String {
    format!("ACME, {}, next on {}", renewal.challenge, utc(renewal.next_unix))
}

fn failures(renewal: &RenewalView) -> String {
    let times = renewal.failures;
    renewal.error.as_ref().map(|error| format!("{times} times in a row: {error}")).unwrap_or_default()
}

fn shown_by(certificate: &CertificateView) -> String {
    let apps = certificate.apps.iter().map(ToString::to_string);
    let host = certificate.device_host.iter().map(|host| format!("device host {host}"));
    apps.chain(host).collect::<Vec<_>>().join(", ")
}
