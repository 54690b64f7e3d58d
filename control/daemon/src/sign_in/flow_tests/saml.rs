//! Sign-ins for service providers, against a real store: who gets an assertion, what it says, and what is refused.

mod tenants;

use aws_lc_rs::{digest, signature};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::admin::SetUser;
use postern_model::saml::{AuthnRequest, Comparison, RequestedContexts, SamlEnd, SamlPost, SamlWish, StartSaml};
use rustls_pki_types::CertificateDer;

use super::super::saml::start;
use super::*;
use crate::limits::{SAML_AHEAD_S, SAML_REQUEST_S};
use crate::saml;

const ENTITY: &str = "https://wiki.example.com/saml";
const ACS: &str = "https://wiki.example.com/acs";
const PORTAL: &str = "https://portal.example.com/acs";

/// Anna is assigned to the wiki, which takes assertions; the portal does, too, and nobody is assigned.
async fn world() -> World {
    let world = World::new("off").await;
    saml::ensure(&world.control).await.unwrap();
    put(&world, "default", "wiki", ENTITY, ACS, &[]).unwrap();
    put(&world, "default", "portal", "urn:portal", PORTAL, &[]).unwrap();
    world
}

fn put(
    world: &World,
    tenant: &str,
    name: &str,
    entity_id: &str,
    acs: &str,
    more: &[(&str, &str)],
) -> Result<(), postern_model::admin::Problem> {
    let settings = [("sso", "saml"), ("sso_saml_entity_id", entity_id), ("sso_saml_acs", acs)];
    let settings = settings.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let entry = AppEntry {
        external_url: format!("https://{name}.example.com/"),
        internal_url: "http://10.0.0.5:8080/".into(),
        preauth: Preauth::Oidc,
        group: None,
        certificate_pem: None,
        key_pem: None,
        settings: settings.collect(),
    };
    let tenant = crate::tenants::find(&world.control, tenant)?;
    apps::put(&world.control, &Actor::Control, &tenant, &name.parse().unwrap(), entry)
}

/// Each time another one.
fn request() -> AuthnRequest {
    let id = format!("_{}", random_secret().unwrap().0.expose());
    let (issuer, issued_unix) = (ENTITY.into(), now_unix());
    AuthnRequest { id, issuer, issued_unix, acs: Some(ACS.into()), ..AuthnRequest::default() }
}

fn wish(world: &World, wish: SamlWish, browser: Option<&SecretText>) -> Step {
    let relay_state = Some("back\"><b>".into());
    start(&world.control, StartSaml { wish, relay_state, browser: browser.cloned(), client: client() })
}

fn ask_for(world: &World, request: AuthnRequest, browser: Option<&SecretText>) -> Step {
    wish(world, SamlWish::Request(Box::new(request)), browser)
}

fn end(step: Step) -> SamlEnd {
    let Step::Done(Done { saml: Some(end), .. }) = step else { panic!("no end: {step:?}") };
    *end
}

fn posted(step: Step) -> (SamlPost, String) {
    let SamlEnd::Post(post) = end(step) else { panic!("nothing is posted") };
    let xml = String::from_utf8(STANDARD.decode(&post.response).unwrap()).unwrap();
    (post, xml)
}

fn refusal(step: Step) -> String {
    match step {
        Step::Refused(refused) => refused.code,
        step @ (Step::Done(_) | Step::Ask(_) | Step::Consent(_) | Step::Device(_)) => match end(step) {
            SamlEnd::Refused(refused) => refused.code,
            SamlEnd::Post(post) => panic!("{post:?}"),
        },
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}")).1.split_once(after).unwrap().0
}

async fn anna(world: &World) -> SecretText {
    world.signed_in(world.after_password().await).unwrap()
}

/// As a service provider would that trusts the certificate: the element without its signature has the digest, and the
/// signature is of what says so. Independent programs do the same in the end-to-end tests.
fn verify(world: &World, element: &str) {
    let begin = element.find("<ds:Signature ").unwrap();
    let end = element.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
    let signature = &element[begin..end];
    let rest = format!("{}{}", &element[..begin], &element[end..]);
    let digest = STANDARD.encode(digest::digest(&digest::SHA256, rest.as_bytes()));
    assert_eq!(between(signature, "<ds:DigestValue>", "<"), digest);
    assert_eq!(between(signature, "URI=\"#", "\""), between(element, " ID=\"", "\""));
    let info = format!("<ds:SignedInfo>{}</ds:SignedInfo>", between(signature, "<ds:SignedInfo>", "</ds:SignedInfo>"));
    let info = info.replace("<ds:SignedInfo>", "<ds:SignedInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">");
    let certificate = STANDARD.decode(between(signature, "<ds:X509Certificate>", "<")).unwrap();
    let certificate = CertificateDer::from(certificate);
    let (_, certificate) = x509_parser::parse_x509_certificate(&certificate).unwrap();
    let key = certificate.public_key().subject_public_key.data.to_vec();
    let value = STANDARD.decode(between(signature, "<ds:SignatureValue>", "<")).unwrap();
    let key = signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key);
    key.verify(info.as_bytes(), &value).unwrap();
    assert!(world.control.saml.fingerprints().contains(&crate::authority::sha256_hex(
        &STANDARD.decode(between(signature, "<ds:X509Certificate>", "<")).unwrap()
    )));
}

#[tokio::test]
async fn who_is_assigned_gets_one_assertion_for_one_application() {
    let world = world().await;
    let browser = anna(&world).await;
    let asked = AuthnRequest { id: "_request".into(), ..request() };
    let (post, xml) = posted(ask_for(&world, asked, Some(&browser)));
    assert_eq!((&*post.action, post.relay_state.as_deref()), (ACS, Some("back\"><b>")));
    assert_eq!(xml.matches("<saml:Assertion ").count(), 1);
    let at = xml.find("<saml:Assertion ").unwrap();
    let assertion = &xml[at..xml.find("</saml:Assertion>").unwrap() + "</saml:Assertion>".len()];
    verify(&world, assertion);
    verify(&world, &xml);
    for part in [
        "<saml:Issuer xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">https://login.example.com/saml/metadata</saml:Issuer>",
        "Destination=\"https://wiki.example.com/acs\"",
        "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\">",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
    for part in [
        "<saml:Audience>https://wiki.example.com/saml</saml:Audience>",
        "InResponseTo=\"_request\" NotOnOrAfter=\"",
        "Recipient=\"https://wiki.example.com/acs\"",
        "<saml:NameID Format=\"urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified\">anna</saml:NameID>",
        "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef>",
        "SessionIndex=\"_",
    ] {
        assert!(assertion.contains(part), "{part} in {assertion}");
    }
    let (_, again) = posted(ask_for(&world, request(), Some(&browser)));
    let ids = |xml: &str| -> Vec<String> {
        xml.split(" ID=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let mut all = [ids(&xml), ids(&again)].concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4, "no id is used twice");
    let app = SamlWish::App { tenant: "default".into(), app: "wiki".into() };
    let (_, unasked) = posted(wish(&world, app, Some(&browser)));
    assert!(!unasked.contains("InResponseTo") && unasked.contains("<saml:Assertion "), "{unasked}");
    assert_eq!(world.logged(), ["success", "success", "success", "success"], "each of them is written down");
}

#[tokio::test]
async fn a_sign_in_leads_to_the_assertion() {
    let world = world().await;
    let ask = asked(ask_for(&world, request(), None));
    assert_eq!(ask.app, "wiki");
    let step = world.password(&ask.flow).await;
    assert!(matches!(&step, Step::Done(done) if done.browser.is_some()), "{step:?}");
    let (_, xml) = posted(step);
    assert!(xml.contains("<saml:Assertion "), "{xml}");
    assert_eq!(world.logged(), ["success"]);
    assert_eq!(problem(world.password(&ask.flow).await), "sign-in-over");
}

#[tokio::test]
async fn a_request_is_answered_once_and_while_it_is_fresh() {
    let world = world().await;
    let browser = anna(&world).await;
    let refused = |request: AuthnRequest| match ask_for(&world, request, Some(&browser)) {
        Step::Refused(refused) => refused.detail,
        step @ (Step::Done(_) | Step::Ask(_) | Step::Consent(_) | Step::Device(_)) => match end(step) {
            SamlEnd::Refused(refused) => refused.detail,
            SamlEnd::Post(post) => panic!("{post:?}"),
        },
    };
    let once = request();
    let begun = asked(ask_for(&world, once.clone(), None));
    assert!(posted(ask_for(&world, once.clone(), Some(&browser))).1.contains("<saml:Assertion "));
    assert!(refused(once.clone()).contains("answered already"));
    // Nor is it at the end of a sign-in that began before.
    assert_eq!(refusal(world.password(&begun.flow).await), "sign-in-request-invalid");
    // What is no assertion uses nothing up.
    let later = request();
    assert!(posted(ask_for(&world, AuthnRequest { passive: true, ..later.clone() }, None)).1.contains("NoPassive"));
    assert!(posted(ask_for(&world, later, Some(&browser))).1.contains("<saml:Assertion "));

    let now = now_unix();
    let of = |issued_unix| AuthnRequest { issued_unix, ..request() };
    for fresh in [now - SAML_REQUEST_S + 30, now + SAML_AHEAD_S - 30] {
        assert!(posted(ask_for(&world, of(fresh), Some(&browser))).1.contains("<saml:Assertion "), "{fresh}");
    }
    for old in [0, now - SAML_REQUEST_S - 30] {
        assert!(refused(of(old)).contains("too old"), "{old}");
    }
    for early in [now + SAML_AHEAD_S + 30, u64::MAX] {
        assert!(refused(of(early)).contains("of the future"), "{early}");
    }
}

#[tokio::test]
async fn what_is_not_registered_gets_nothing() {
    let world = world().await;
    let browser = anna(&world).await;
    for request in [
        AuthnRequest { issuer: "https://evil.example/".into(), ..request() },
        AuthnRequest { acs: Some("https://evil.example/acs".into()), ..request() },
        AuthnRequest { acs: Some("https://wiki.example.com/acs/".into()), ..request() },
        AuthnRequest { acs: Some("https://WIKI.example.com/acs".into()), ..request() },
        AuthnRequest { acs: Some(PORTAL.into()), ..request() },
        AuthnRequest { destination: Some("https://other.example.com/saml/sso".into()), ..request() },
    ] {
        assert_eq!(refusal(ask_for(&world, request.clone(), Some(&browser))), "sign-in-request-invalid", "{request:?}");
    }
    let right = AuthnRequest { destination: Some("https://login.example.com/saml/sso".into()), acs: None, ..request() };
    assert!(posted(ask_for(&world, right, Some(&browser))).1.contains("<saml:Assertion "));
    let two = format!("{ACS} https://wiki.example.com/acs2");
    put(&world, "default", "wiki", ENTITY, &two, &[]).unwrap();
    let by_index = AuthnRequest { acs: None, acs_by_index: true, ..request() };
    assert_eq!(refusal(ask_for(&world, by_index, Some(&browser))), "sign-in-request-invalid");
    let long = StartSaml {
        wish: SamlWish::Request(Box::new(request())),
        relay_state: Some("x".repeat(1025)),
        browser: None,
        client: client(),
    };
    assert_eq!(refusal(start(&world.control, long)), "sign-in-request-invalid");
    let taken = put(&world, "default", "crm", ENTITY, "https://crm.example.com/acs", &[]).unwrap_err();
    assert_eq!(taken.code, "saml-entity-id-taken");
}

#[tokio::test]
async fn who_must_not_open_the_application_gets_no_assertion() {
    let world = world().await;
    let browser = anna(&world).await;
    let portal = AuthnRequest { issuer: "urn:portal".into(), acs: None, ..request() };
    assert_eq!(refusal(ask_for(&world, portal.clone(), Some(&browser))), "not-assigned");
    // Their sign-in counts all the same: the browser is given what it keeps of it.
    let ask = asked(ask_for(&world, portal, None));
    let step = world.password(&ask.flow).await;
    assert!(matches!(&step, Step::Done(done) if done.browser.is_some()), "{step:?}");
    assert_eq!(refusal(step), "not-assigned");
    assert_eq!(world.logged(), ["success", "not-assigned", "success", "not-assigned"]);
    world.set_policy(r#""grant": "block""#);
    assert_eq!(refusal(ask_for(&world, request(), Some(&browser))), "policy-blocked");
    let tenant = identity::default_tenant(&world.control.snapshot()).unwrap();
    let disable = SetUser { enabled: Some(false), ..SetUser::default() };
    users::set(&world.control, &Actor::Control, &tenant, "anna", disable).unwrap();
    let ask = asked(ask_for(&world, request(), Some(&browser)));
    assert_eq!(problem(world.password(&ask.flow).await), "sign-in-wrong");
}

#[tokio::test]
async fn how_users_prove_who_they_are_is_asked_for_or_refused_in_the_standards_words() {
    let world = world().await;
    let status = |step: Step| {
        let (post, xml) = posted(step);
        assert!(post.action == ACS && !xml.contains("<saml:Assertion ") && xml.contains("status:Responder"), "{xml}");
        verify(&world, &xml);
        between(&xml, "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Responder\"><samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:", "\"").to_owned()
    };
    let passive = AuthnRequest { passive: true, ..request() };
    assert_eq!(status(ask_for(&world, passive.clone(), None)), "NoPassive");
    let browser = anna(&world).await;
    assert!(posted(ask_for(&world, passive.clone(), Some(&browser))).1.contains("<saml:Assertion "));
    let forced = AuthnRequest { force: true, ..request() };
    assert_eq!(status(ask_for(&world, AuthnRequest { force: true, ..passive }, Some(&browser))), "NoPassive");
    let ask = asked(ask_for(&world, forced, Some(&browser)));
    assert_eq!(ask.factor, Factor::Password);
    let classes = |classes: &[&str]| {
        let classes = classes.iter().map(|class| (*class).to_owned()).collect();
        let contexts = Some(RequestedContexts { comparison: Comparison::Exact, classes });
        AuthnRequest { contexts, ..request() }
    };
    assert_eq!(status(ask_for(&world, classes(&["urn:x"]), Some(&browser))), "NoAuthnContext");
    let strong = asked(ask_for(&world, classes(&["https://refeds.org/profile/mfa"]), Some(&browser)));
    assert!(matches!(strong.factor, Factor::Enrol(_)), "{strong:?}");
    let persistent = Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".to_owned());
    let other = AuthnRequest { name_id_format: persistent, ..request() };
    assert_eq!(status(ask_for(&world, other, Some(&browser))), "InvalidNameIDPolicy");
    let unsupported = AuthnRequest { unsupported: true, ..request() };
    assert_eq!(status(ask_for(&world, unsupported, Some(&browser))), "RequestUnsupported");
}

#[tokio::test]
async fn what_is_asked_for_waives_no_policy() {
    let world = world().await;
    let browser = anna(&world).await;
    let classes = vec!["urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport".to_owned()];
    let weak = || {
        let contexts = Some(RequestedContexts { comparison: Comparison::Exact, classes: classes.clone() });
        AuthnRequest { contexts, ..request() }
    };
    assert!(posted(ask_for(&world, weak(), Some(&browser))).1.contains("<saml:Assertion "));
    world.set_policy(r#""grant": {"require": {"all": ["mfa"]}}"#);
    let ask = asked(ask_for(&world, weak(), Some(&browser)));
    assert!(matches!(ask.factor, Factor::Enrol(_)), "{ask:?}");
    let passive = AuthnRequest { passive: true, ..weak() };
    assert!(posted(ask_for(&world, passive, Some(&browser))).1.contains("NoPassive"));
}

#[tokio::test]
async fn names_cannot_write_xml_of_their_own() {
    let world = world().await;
    let browser = anna(&world).await;
    let hostile = r#"prefix(login, "admin@example.com<!-- -->&]]></saml:NameID>")"#;
    let attributes = r#"'urn:oid:1.2'="<x a='1'>"; methods=methods; empty=mail"#;
    put(&world, "default", "wiki", ENTITY, ACS, &[("sso_saml_nameid", hostile), ("sso_saml_attributes", attributes)])
        .unwrap();
    let (_, xml) = posted(ask_for(&world, request(), Some(&browser)));
    let name = "unspecified\">admin@example.com&lt;!-- --&gt;&amp;]]&gt;&lt;/saml:NameID&gt;anna</saml:NameID>";
    assert!(xml.contains(name) && !xml.contains("<!--"), "{xml}");
    assert!(xml.contains("<saml:AttributeValue>&lt;x a='1'&gt;</saml:AttributeValue>"), "{xml}");
    assert!(xml.contains("<saml:Attribute Name=\"methods\" NameFormat=\"urn:oasis:names:tc:SAML:2.0:attrname-format:basic\"><saml:AttributeValue>pwd<"), "{xml}");
    assert!(
        xml.contains("Name=\"urn:oid:1.2\" NameFormat=\"urn:oasis:names:tc:SAML:2.0:attrname-format:uri\""),
        "{xml}"
    );
    assert!(!xml.contains("Name=\"empty\""), "what is empty is not said");
    put(&world, "default", "wiki", ENTITY, ACS, &[("sso_saml_nameid", "mail")]).unwrap();
    assert_eq!(refusal(ask_for(&world, request(), Some(&browser))), "saml-name-missing");
    put(&world, "default", "wiki", ENTITY, ACS, &[("sso_saml_nameid_format", "transient")]).unwrap();
    let (_, xml) = posted(ask_for(&world, request(), Some(&browser)));
    assert!(xml.contains("nameid-format:transient\">_") && !xml.contains("anna"), "{xml}");
    // Who was asked for meanwhile is not who is told: the settings of now count.
    let ask = asked(ask_for(&world, request(), None));
    put(&world, "default", "wiki", ENTITY, "https://wiki.example.com/other", &[]).unwrap();
    assert_eq!(refusal(world.password(&ask.flow).await), "sign-in-request-invalid");
}

#[tokio::test]
async fn metadata_shows_both_keys_while_one_replaces_the_other() {
    let world = world().await;
    let metadata = || async { saml::metadata(&world.control).await.xml.unwrap() };
    let first = metadata().await;
    verify(&world, &first);
    assert_eq!(first, metadata().await, "signed once");
    assert!(first.contains("entityID=\"https://login.example.com/saml/metadata\""), "{first}");
    assert_eq!(first.matches("<md:KeyDescriptor ").count(), 1);
    let rotate =
        |activate| saml::rotate(&world.control, &Actor::Control, postern_model::admin::RotateSaml { activate });
    assert_eq!(rotate(true).await.unwrap_err().code, "saml-key-missing");
    let both = rotate(false).await.unwrap().keys;
    assert_eq!(rotate(false).await.unwrap_err().code, "saml-key-waits");
    let during = metadata().await;
    verify(&world, &during);
    assert_eq!(during.matches("<md:KeyDescriptor ").count(), 2);
    let after = rotate(true).await.unwrap().keys;
    assert_eq!((after.len(), &after[0].sha256), (1, &both[1].sha256));
    assert_ne!(both[0].sha256, both[1].sha256);
    verify(&world, &metadata().await);
}
