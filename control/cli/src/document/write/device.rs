//! Authorities for devices, with their certificates, and how users enrol theirs.

use std::fmt::Write as _;

use postern_model::device::DeviceSettings;
use postern_model::document::{DeviceAuthorityEntry, Document};

use super::quoted;

// Writing to a string does not fail.

pub(super) fn write(out: &mut String, document: &Document) {
    for (name, DeviceAuthorityEntry { certificate_pem, compliant }) in &document.device_authorities {
        let _ = write!(out, "\n[device-authority.{name}]\ncert-pem = {}\n", quoted(certificate_pem));
        if *compliant {
            let _ = writeln!(out, "compliant = true");
        }
    }
    if let Some(DeviceSettings { approve_at_once, own_days, sign_in }) = document.device_enrolment {
        let approve = if approve_at_once { "auto" } else { "operator" };
        let _ = write!(out, "\n[device-enrolment]\napprove = {}\nown-days = {own_days}\n", quoted(approve));
        if sign_in {
            let _ = writeln!(out, "sign-in = true");
        }
    }
}
