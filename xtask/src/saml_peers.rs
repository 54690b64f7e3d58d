//! What tests of SAML need: a service provider, and a program that verifies signatures, neither of which is ours.

use anyhow::Result;

use crate::packages::{self, Needs, Package};

const PACKAGES: &[Package] = &[
    Package { needs: Needs::File("/usr/sbin/apache2"), debian: "apache2-bin" },
    Package { needs: Needs::File("/usr/lib/apache2/modules/mod_auth_mellon.so"), debian: "libapache2-mod-auth-mellon" },
    Package { needs: Needs::File("/usr/bin/xmlsec1"), debian: "xmlsec1" },
    Package { needs: Needs::Program("openssl"), debian: "openssl" },
];

/// Installs what is missing.
pub(crate) fn prepare() -> Result<()> {
    packages::ensure(&[PACKAGES])
}
