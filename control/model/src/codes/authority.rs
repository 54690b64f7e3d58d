//! Domains, and certificates that an authority is asked for.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "domain-unverified",
        status: Some(403),
        title: "The domain is not verified",
        cause: "postern-control was started with --verified-domains: what is published has to be at a domain that its tenant has shown to be its own, by a record in the DNS.",
        cure: "add the domain with `postern domain add DOMAIN`, publish the TXT record that it names, then `postern domain verify DOMAIN`.",
    },
    Code {
        code: "domain-taken",
        status: Some(409),
        title: "The domain is another tenant's",
        cause: "Another tenant has shown by a record in the DNS that the domain is its own, or one above it. Its names are that tenant's alone.",
        cure: "choose another host, or have that tenant remove the domain with `postern domain remove DOMAIN`.",
    },
    Code {
        code: "domain-record-missing",
        status: Some(409),
        title: "The domain's record was not found",
        cause: "The DNS has no TXT record of that name with the tenant's token, as the resolver of control's host sees it, or the resolver does not answer.",
        cure: "publish the TXT record that the message names, and try again. Records that were asked for before are remembered for as long as their zone says (negative TTL).",
    },
    Code {
        code: "acme-account-missing",
        status: Some(409),
        title: "There is no account with an authority",
        cause: "Certificates are ordered and renewed by ACME with an account of the tenant, and it has none.",
        cure: "make one with `postern acme set --directory URL`.",
    },
    Code {
        code: "acme-failed",
        status: Some(502),
        title: "The authority issued no certificate",
        cause: "The authority of certificates refused, was not reached or did not answer in time, or it did not find at the host what it was to find. The message has its own words.",
        cure: "do what the authority says. It has to reach the host's port 80 (http-01) or 443 (tls-alpn-01) at relays; docs/certificates.md says more.",
    },
];
