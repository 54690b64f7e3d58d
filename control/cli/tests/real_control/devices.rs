//! `postern device …` and `postern identity device-host …`.

use super::Control;

pub(super) fn devices(control: &Control) {
    assert!(control.done("device list").starts_with("no devices; users enrol theirs by"));
    control.done("user create olga");
    assert!(control.done("device list --owner olga --approval waiting").starts_with("no devices"));
    control.refused("device list --owner nobody");
    for verb in ["show", "approve", "block", "remove"] {
        assert!(control.refused(&format!("device {verb} d1-7")).contains("there is no device \"d1-7\""));
    }
    control.refused("device set d1-7 --shared");
    assert_eq!(control.run(&["device", "set", "d1-7", "--owner", "olga", "--for", "7d"]).status.code(), Some(2));
    assert_eq!(control.run(&["device", "set", "d1-7", "--compliant", "no", "--for", "7d"]).status.code(), Some(2));

    assert!(control.done("device settings").contains("operator"));
    let set = control.json("device settings --approve auto --own-days 90");
    assert_eq!((&set["approve_at_once"], &set["own_days"], &set["sign_in"]), (&true.into(), &90.into(), &false.into()));
    assert_eq!(control.json("device settings --sign-in yes")["sign_in"], true);
    assert!(control.done("device settings").lines().any(|line| line.contains("sign") && line.contains("yes")));
    control.refused("device settings --own-days 0");

    assert!(control.done("device authority list").starts_with("no authorities"));
    let own = control.path("state").join("ca.pem");
    let refused = control.refused(&format!("device authority add mdm --cert {}", own.display()));
    assert!(refused.contains("one of Postern's own authorities"), "{refused}");
    let file = control.path("device-ca.pem");
    std::fs::write(&file, AUTHORITY).unwrap();
    let added = control.done(&format!("device authority add mdm --cert {} --compliant", file.display()));
    assert_eq!(added, "devices with certificates of mdm comply\n");
    let listed = control.done("device authority list");
    assert!(listed.lines().any(|line| line.starts_with("mdm") && line.contains("CN=Device CA")), "{listed}");
    let again = format!("device authority add mdm --cert {}", file.display());
    assert_eq!(control.done(&again), "devices with certificates of mdm count here\n");
    let compliant = || control.json("device authority list")["items"][0]["compliant"].clone();
    assert_eq!(compliant(), true, "as it was");
    assert_eq!(control.done(&format!("{again} --compliant no")), "devices with certificates of mdm are registered\n");
    assert_eq!(compliant(), false);
    control.done("device authority remove mdm");

    assert!(control.refused("identity device-host set device.localhost").contains("people sign in nowhere yet"));
    control.done("identity publish --external https://login.localhost/");
    let place = control.done("identity device-host set device.localhost");
    assert_eq!(place, "browsers show their device's certificate at https://device.localhost\n");
    assert!(control.done("identity show").contains("https://device.localhost"));
    assert!(control.done("cert list").contains("device host device.localhost"));
    control.done("identity device-host remove");
    control.done("identity unpublish");
    control.done("user delete olga");
}

/// An authority that nobody has the key of.
const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBWjCCAQGgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlEZXZpY2Ug
Q0EwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CURldmljZSBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABECCsGOoD6SuumM0
tz4/OHSU+oFlSXC//+ifeHu7ux7LOs6OUCKPuc5YwrJEUtVdp6dCKRLUcxIl811J
q2YLun6jQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIEMB0GA1Ud
DgQWBBRYyDpyLqMi9jGs4+drsq2HCisT+jAKBggqhkjOPQQDAgNHADBEAiB+ORTV
w0JonDxtZsbEBTV/wWdzQZQ7q2s+U4fs1U/GMQIgWtpFz8v3qECBoNOBHX6eS4jO
dbXbBsLDDOPpQw03v0c=
-----END CERTIFICATE-----
";
