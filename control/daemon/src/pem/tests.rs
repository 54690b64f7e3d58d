//! Certificates made for each test, and two that no library makes any more: the files in `testdata` are good until 2109.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

fn valid(hosts: &[&str], days: std::ops::Range<i64>) -> CertificateParams {
    let mut params = CertificateParams::new(hosts.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now + time::Duration::days(days.start);
    params.not_after = now + time::Duration::days(days.end);
    params.use_authority_key_identifier_extension = true;
    params
}

fn make(hosts: &[&str], days: std::ops::Range<i64>) -> (String, SecretText) {
    let key = KeyPair::generate().unwrap();
    (valid(hosts, days).self_signed(&key).unwrap().pem(), SecretText::new(key.serialize_pem()))
}

/// A root, two intermediates below each other, and a leaf.
struct Hierarchy {
    root: String,
    upper: String,
    lower: String,
    leaf: String,
    key: SecretText,
}

impl Hierarchy {
    fn new() -> Self {
        let root_key = KeyPair::generate().unwrap();
        let root_params = authority("Test Root");
        let root = root_params.self_signed(&root_key).unwrap().pem();
        let root_issuer = Issuer::new(root_params, root_key);
        let upper_key = KeyPair::generate().unwrap();
        let upper_params = authority("Test Upper");
        let upper = upper_params.signed_by(&upper_key, &root_issuer).unwrap().pem();
        let upper_issuer = Issuer::new(upper_params, upper_key);
        let lower_key = KeyPair::generate().unwrap();
        let lower_params = authority("Test Lower");
        let lower = lower_params.signed_by(&lower_key, &upper_issuer).unwrap().pem();
        let lower_issuer = Issuer::new(lower_params, lower_key);
        let key = KeyPair::generate().unwrap();
        let leaf = valid(&["a.example.com"], -1..30).signed_by(&key, &lower_issuer).unwrap().pem();
        Self { root, upper, lower, leaf, key: SecretText::new(key.serialize_pem()) }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = valid(&[], -1..100);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn check(chain: &str, key: &SecretText) -> Result<Given, Problem> {
    Given::check_with(chain, key, crate::clock::now_unix(), |_| false)
}

fn refused(chain: &str, key: &SecretText) -> String {
    check(chain, key).unwrap_err().detail
}

#[test]
fn a_good_pair_is_taken_with_its_names() {
    let (chain, key) = make(&["App.example.com", "*.example.org"], -1..30);
    let given = check(&chain, &key).unwrap();
    assert_eq!(given.hosts, ["*.example.org", "app.example.com"]);
    given.must_cover("app.example.com").unwrap();
    given.must_cover("x.example.org").unwrap();
    given.must_cover("*.example.org").unwrap();
    let text = given.must_cover("y.x.example.org").unwrap_err().detail;
    assert!(text.contains("does not cover y.x.example.org: it is for"), "{text}");
    assert!(!covers(&given.hosts, "*.app.example.com"));
    assert!(given.warnings.iter().any(|warning| warning.contains("self-signed")), "{:?}", given.warnings);
}

#[test]
fn what_clients_would_refuse_is_refused() {
    let (chain, key) = make(&["a.example.com"], -1..30);
    let (_, other) = make(&["a.example.com"], -1..30);
    assert!(refused(&chain, &other).contains("does not belong"));
    assert!(refused("hello", &key).contains("no certificate"));
    assert!(refused(&chain, &SecretText::new("hello".into())).contains("not an unencrypted PEM"));
    let (expired, key) = make(&["a.example.com"], -9..-2);
    assert!(refused(&expired, &key).contains("expired on"));
    let (nameless, key) = make(&[], -1..9);
    assert!(refused(&nameless, &key).contains("names no host"));
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_taken_with_a_warning() {
    let (future, key) = make(&["a.example.com"], 2..9);
    let given = check(&future, &key).unwrap();
    assert!(given.warnings.iter().any(|warning| warning.contains("not valid before")), "{:?}", given.warnings);
}

#[test]
fn encrypted_keys_are_named_as_such() {
    let (chain, _) = make(&["a.example.com"], -1..30);
    for text in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMAA=\n-----END EC PRIVATE KEY-----\n",
    ] {
        let said = refused(&chain, &SecretText::new(text.into()));
        assert!(said.contains("the key is encrypted"), "{said}");
    }
}

#[test]
fn a_chain_in_any_order_is_put_in_order_and_its_root_left_out() {
    let made = Hierarchy::new();
    let wanted = format!("{}{}{}", made.leaf, made.lower, made.upper);
    let wanted: Vec<_> = CertificateDer::pem_slice_iter(wanted.as_bytes()).collect::<Result<_, _>>().unwrap();
    let Hierarchy { root, upper, lower, leaf, key } = &made;
    for given in [
        format!("{leaf}{lower}{upper}{root}"),
        format!("{root}{upper}{lower}{leaf}"),
        format!("{upper}{leaf}{root}{lower}{leaf}"),
    ] {
        let given = check(&given, key).unwrap();
        let chain = CertificateDer::pem_slice_iter(given.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(chain, wanted);
        assert_eq!(given.warnings.len(), 1, "{:?}", given.warnings);
        assert!(given.warnings[0].contains("the root certificate of CN=Test Root"), "{:?}", given.warnings);
        assert!(given.warnings[0].contains("is left out"), "{:?}", given.warnings);
    }
}

#[test]
fn a_missing_intermediate_is_named() {
    let made = Hierarchy::new();
    let given = check(&format!("{}{}", made.upper, made.leaf), &made.key).unwrap();
    let said = given.warnings.join("\n");
    assert!(said.contains("CN=Test Lower is neither in the file"), "{said}");
    assert!(said.contains("CN=Test Upper is left out: it does not belong to the chain"), "{said}");
    // Where clients know the last one's issuer by themselves, nothing is missing.
    let whole = format!("{}{}{}", made.leaf, made.lower, made.upper);
    let known = Given::check_with(&whole, &made.key, crate::clock::now_unix(), |_| true).unwrap();
    assert_eq!(known.warnings, [""; 0]);
}

#[test]
fn an_issuer_of_the_right_name_with_another_key_is_no_issuer() {
    let (made, other) = (Hierarchy::new(), Hierarchy::new());
    let given = check(&format!("{}{}", made.leaf, other.lower), &made.key).unwrap();
    let said = given.warnings.join("\n");
    assert!(said.contains("CN=Test Lower is left out"), "{said}");
}

/// An authority below a root of its own, by name alone: none of its certificates says which key is meant.
fn nameless(name: &str, days: std::ops::Range<i64>) -> CertificateParams {
    let mut params = valid(&[], days);
    params.use_authority_key_identifier_extension = false;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

#[test]
fn an_issuer_is_known_by_its_signature() {
    let root_key = KeyPair::generate().unwrap();
    let root = Issuer::new(nameless("Root", -1..100), root_key);
    let (key, other_key, own) =
        (KeyPair::generate().unwrap(), KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let other = nameless("Lower", -1..90).signed_by(&other_key, &root).unwrap().pem();
    let expired = nameless("Lower", -9..-1).signed_by(&key, &root).unwrap().pem();
    let right = nameless("Lower", -1..50).signed_by(&key, &root).unwrap().pem();
    let lower = Issuer::new(nameless("Lower", -1..50), key);
    let mut leaf = valid(&["a.example.com"], -1..30);
    leaf.use_authority_key_identifier_extension = false;
    let leaf = leaf.signed_by(&own, &lower).unwrap().pem();
    let own = SecretText::new(own.serialize_pem());
    for given in [format!("{leaf}{other}{expired}{right}"), format!("{right}{expired}{other}{leaf}")] {
        let checked = check(&given, &own).unwrap();
        assert_eq!(certificates(&checked.chain_pem), certificates(&format!("{leaf}{right}")));
    }
    let checked = check(&format!("{leaf}{other}"), &own).unwrap();
    assert_eq!(certificates(&checked.chain_pem), certificates(&leaf), "a stranger's name is not enough");
    assert!(checked.warnings.iter().any(|warning| warning.contains("CN=Lower is neither in the file")));
    let said = refused(&format!("{leaf}{expired}"), &own);
    assert!(said.contains("CN=Lower expired on"), "{said}");
}

#[test]
fn a_way_that_is_over_is_left_for_one_that_is_not() {
    let (old_key, root_key, key, own) = (
        KeyPair::generate().unwrap(),
        KeyPair::generate().unwrap(),
        KeyPair::generate().unwrap(),
        KeyPair::generate().unwrap(),
    );
    let old_root = Issuer::new(authority("Old Root"), old_key);
    // The root's key has a certificate of its own, and one by an older root that is over.
    let mut cross = authority("Root");
    (cross.not_before, cross.not_after) = (valid(&[], -9..-1).not_before, valid(&[], -9..-1).not_after);
    let cross = cross.signed_by(&root_key, &old_root).unwrap().pem();
    let root_params = authority("Root");
    let root = root_params.self_signed(&root_key).unwrap().pem();
    let root_issuer = Issuer::new(root_params, root_key);
    let lower_params = authority("Lower");
    let lower = lower_params.signed_by(&key, &root_issuer).unwrap().pem();
    let lower_issuer = Issuer::new(lower_params, key);
    let leaf = valid(&["a.example.com"], -1..30).signed_by(&own, &lower_issuer).unwrap().pem();
    let checked = check(&format!("{leaf}{lower}{cross}{root}"), &SecretText::new(own.serialize_pem())).unwrap();
    assert_eq!(certificates(&checked.chain_pem), certificates(&format!("{leaf}{lower}")));
}

#[test]
fn weak_signatures_and_keys_are_refused() {
    let sha1 = include_str!("testdata/sha1.pem");
    let said = refused(sha1, &SecretText::new(sha1.into()));
    assert!(said.contains("signed by SHA-1"), "{said}");
    let short = include_str!("testdata/short-issuer.pem");
    let said = refused(short, &SecretText::new(short.into()));
    assert!(said.contains("the RSA key of CN=Short CA has 1024 bits"), "{said}");
}

#[test]
fn a_certificate_says_who_issued_it() {
    let made = Hierarchy::new();
    let facts = facts::Facts::of(&made.leaf);
    assert_eq!(facts.issuer, "CN=Test Lower");
    assert!(!facts.serial.is_empty() && facts.serial.split(':').all(|byte| byte.len() == 2), "{}", facts.serial);
    assert_eq!(facts.sha256, leaf_sha256(&made.leaf));
    assert!(facts.not_before_unix < crate::clock::now_unix());
    assert_eq!(facts::Facts::of("no PEM").sha256, "");
    let all = all_sha256(&format!("{}{}", made.root, made.leaf));
    assert_eq!(all, [leaf_sha256(&made.root), leaf_sha256(&made.leaf)]);
}
