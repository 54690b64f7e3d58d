//! Authorities for devices, and how users enrol theirs.

use super::*;

const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";

#[test]
fn authorities_and_enrolment_read_and_are_written() {
    let text = format!(
        "[device-authority.mdm]\ncert-pem = '''{PEM}'''\ncompliant = true\n[device-enrolment]\napprove = 'auto'\nown-days = 30\nsign-in = true\n"
    );
    let document = parse(&source(&text)).unwrap().document;
    let mdm = &document.device_authorities[&"mdm".parse::<Name>().unwrap()];
    assert_eq!((mdm.certificate_pem.as_str(), mdm.compliant), (PEM, true));
    let enrolment = document.device_enrolment.unwrap();
    assert_eq!((enrolment.approve_at_once, enrolment.own_days, enrolment.sign_in), (true, 30, true));
    assert_eq!(parse(&source(&toml("default", &document))).unwrap().document, document);
    let defaults = parse(&source("[device-enrolment]\n")).unwrap().document.device_enrolment.unwrap();
    assert_eq!((defaults.approve_at_once, defaults.own_days, defaults.sign_in), (false, 365, false));
}

#[test]
fn what_is_wrong_of_them_is_told_with_its_line() {
    for (text, says) in [
        ("[device-authority.mdm]\ncompliant = true\n", "p.toml:1: [device-authority.mdm] needs `cert`"),
        ("[device-enrolment]\napprove = 'me'\n", "p.toml:2: `approve` = `me`: must be one of auto, operator"),
        ("[device-enrolment]\nsign-in = 'yes'\n", "p.toml:2: "),
        ("[device-enrolment]\ndays = 3\n", "p.toml:2: unknown key `days` in [device-enrolment]"),
    ] {
        assert!(refusal(text).starts_with(says), "{}", refusal(text));
    }
    let missing = refusal("[device-authority.mdm]\ncert = 'ca.pem'\n");
    assert!(missing.starts_with("p.toml:2: ") && missing.contains("/nowhere/ca.pem"), "{missing}");
}
