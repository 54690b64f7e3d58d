//! Samba: delegation is in the domain, by the same attributes as in Active Directory.

use std::path::Path;

use anyhow::Result;

use super::{APP, CONNECTOR, ENTERPRISE_NAME, Kdc, OTHER, USERS};
use crate::samba::{BASE, Domain, KDC, REALM};

/// Of the namespace that the KDC is in: one at a time.
const SUBNET: u8 = 60;
/// Whose each service is.
const ACCOUNTS: [(&str, &str); 3] = [("postern-hq", CONNECTOR), ("app-service", APP), ("other-service", OTHER)];

pub(super) fn start(root: &Path, folder: &Path) -> Result<Kdc> {
    let domain = Domain::start(root, folder, SUBNET)?;
    let address = (domain.address(), KDC).into();
    let mut kdc = Kdc { processes: Vec::new(), domain: None, folder: folder.join("samba"), realm: REALM, address };
    kdc.write_client_configuration()?;
    let replace = |account: &str, attribute: &str, value: &str| {
        let entry = format!("dn: CN={account},CN=Users,{BASE}\nchangetype: modify\n");
        domain.change(&format!("{entry}replace: {attribute}\n{attribute}: {value}\n"))
    };
    for user in USERS {
        domain.tool(&format!("user create {user} --random-password"))?;
    }
    domain.tool(&format!("user disable {}", USERS[1]))?;
    replace(USERS[0], "userPrincipalName", ENTERPRISE_NAME)?;
    for (account, service) in ACCOUNTS {
        domain.tool(&format!("user create {account} --random-password"))?;
        domain.tool(&format!("spn add {service} {account}"))?;
        // AES: without it tickets to services are RC4's.
        replace(account, "msDS-SupportedEncryptionTypes", "24")?;
    }
    let (connector, _) = ACCOUNTS[0];
    // Who asks for a ticket of their own is known by a UPN, not by an SPN.
    replace(connector, "userPrincipalName", &kdc.principal(CONNECTOR))?;
    domain.tool(&format!("delegation for-any-protocol {connector} on"))?;
    domain.tool(&format!("delegation add-service {connector} {APP}"))?;
    for (principal, keytab) in [(CONNECTOR, kdc.connector_keytab()), (APP, kdc.app_keytab())] {
        domain.tool(&format!("domain exportkeytab {} --principal={principal}", keytab.display()))?;
    }
    kdc.domain = Some(domain);
    Ok(kdc)
}
