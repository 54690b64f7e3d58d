//! Authorities for devices, and how users enrol theirs. Certificates are checked by control.

use postern_model::device::DeviceSettings;
use postern_model::document::DeviceAuthorityEntry;
use postern_service::failure::Failure;

use super::super::reader::Value;
use super::{DEVICE_AUTHORITY, DEVICE_ENROLMENT, Reading, name};

impl<'a> Reading<'a> {
    pub(super) fn device_authority(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let name = name(value)?;
        let section = value.section(format!("{DEVICE_AUTHORITY}.{name}"), &["cert", "cert-pem", "compliant"])?;
        self.note(format!("{DEVICE_AUTHORITY}.{name}"), &section);
        let certificate_pem = match section.get("cert-pem") {
            Some(value) => value.text()?,
            None => {
                let needed = section.need("cert")?;
                self.file(&section, "cert")?.ok_or_else(|| needed.refuse("`cert` names no file"))?
            }
        };
        let compliant = section.get("compliant").map(|value| value.parse()).transpose()?.unwrap_or_default();
        self.document.device_authorities.insert(name, DeviceAuthorityEntry { certificate_pem, compliant });
        Ok(())
    }

    pub(super) fn device_enrolment(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let section = value.section(DEVICE_ENROLMENT.to_owned(), &["approve", "own-days", "sign-in"])?;
        self.note(DEVICE_ENROLMENT.to_owned(), &section);
        let mut settings = DeviceSettings::default();
        if let Some(value) = section.get("approve") {
            settings.approve_at_once = match value.text()?.as_str() {
                "auto" => true,
                "operator" => false,
                other => {
                    return Err(value.refuse(format_args!("`approve` = `{other}`: must be one of auto, operator")));
                }
            };
        }
        if let Some(value) = section.get("own-days") {
            settings.own_days = value.parse()?;
        }
        if let Some(value) = section.get("sign-in") {
            settings.sign_in = value.parse()?;
        }
        self.document.device_enrolment = Some(settings);
        Ok(())
    }
}
