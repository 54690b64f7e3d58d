//! Responses made by hand, signed by keys of the test's own.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SerialNumber, SigningKey,
};

use super::*;
use crate::der::BIT_STRING;

const NOW: u64 = 1_800_000_000;
const DAY_S: u64 = 86_400;
const GOOD_STATUS: &[u8] = &[0x80, 0];

/// An authority with its key, a certificate of it, and one of a responder.
struct World {
    issuer: Issuer<'static, KeyPair>,
    issuer_der: Vec<u8>,
    leaf_der: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params("Test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer_der = params.self_signed(&key).unwrap().der().to_vec();
        let issuer = Issuer::new(params, key);
        let mut leaf = self::params("leaf");
        leaf.serial_number = Some(SerialNumber::from(vec![0x11, 0x22, 0x33]));
        // authorityInfoAccess: id-ad-ocsp, http://ocsp.test/
        let location = write(0x86, &[b"http://ocsp.test/"]);
        let method = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
        let access = write(SEQUENCE, &[&write(SEQUENCE, &[&method, &location])]);
        leaf.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access)];
        let leaf_key = KeyPair::generate().unwrap();
        let leaf_der = leaf.signed_by(&leaf_key, &issuer).unwrap().der().to_vec();
        Self { issuer, issuer_der, leaf_der }
    }

    /// A certificate of the authority that may sign responses, or may not.
    fn responder(&self, usage: ExtendedKeyUsagePurpose) -> (KeyPair, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = params("responder");
        params.extended_key_usages = vec![usage];
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        (key, der)
    }

    fn read(&self, response: &[u8]) -> Result<Said, Unusable> {
        read(response, &parsed(&self.leaf_der), &parsed(&self.issuer_der), NOW)
    }

    /// What the authority says of its certificate unless a test changes it.
    fn good(&self) -> Statement<'static> {
        let issuer = parsed(&self.issuer_der);
        let key = subject_public_key(issuer.public_key().raw).unwrap().1;
        let hash = |bytes: &[u8]| digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec();
        Statement {
            algorithm: SHA1.to_vec(),
            name_hash: hash(issuer.subject().as_raw()),
            key_hash: hash(key),
            serial: &[0x11, 0x22, 0x33],
            status: GOOD_STATUS,
            from: NOW - DAY_S,
            until: Some(NOW + DAY_S),
            behind: [Vec::new(), Vec::new(), Vec::new(), Vec::new()],
        }
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn parsed(der: &[u8]) -> X509Certificate<'_> {
    x509_parser::parse_x509_certificate(der).unwrap().1
}

fn generalized(unix: u64) -> Vec<u8> {
    let at = time::OffsetDateTime::from_unix_timestamp(i64::try_from(unix).unwrap()).unwrap();
    let (date, time) = (at.date(), at.time());
    let text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    write(TIME, &[text.as_bytes()])
}

/// What a response says, before it is signed.
struct Statement<'a> {
    algorithm: Vec<u8>,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    serial: &'a [u8],
    status: &'a [u8],
    from: u64,
    until: Option<u64>,
    /// What follows the CertID's parts, the statement's, the signed data's, and those of the whole.
    behind: [Vec<u8>; 4],
}

impl Statement<'_> {
    fn signed_by(&self, key: &KeyPair, certificate: Option<&[u8]>) -> Vec<u8> {
        let hash = |hash: &[u8]| write(OCTET_STRING, &[hash]);
        let (name, key_hash) = (hash(&self.name_hash), hash(&self.key_hash));
        let [behind_id, behind_single, behind_data, behind_basic] = &self.behind;
        let serial = write(INTEGER, &[self.serial]);
        let id = write(SEQUENCE, &[&self.algorithm, &name, &key_hash, &serial, behind_id]);
        let until = self.until.map(|until| write(EXPLICIT[0], &[&generalized(until)])).unwrap_or_default();
        let single = write(SEQUENCE, &[&id, self.status, &generalized(self.from), &until, behind_single]);
        let responder = write(0xa2, &[&key_hash]);
        let (produced, all) = (generalized(self.from), write(SEQUENCE, &[&single]));
        let data = write(SEQUENCE, &[&responder, &produced, &all, behind_data]);
        // ecdsa-with-SHA256
        let algorithm = write(SEQUENCE, &[&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]]);
        let signature = write(BIT_STRING, &[&[0], &key.sign(&data).unwrap()]);
        let certificates = certificate.map(|der| write(EXPLICIT[0], &[&write(SEQUENCE, &[der])])).unwrap_or_default();
        let basic = write(SEQUENCE, &[&data, &algorithm, &signature, &certificates, behind_basic]);
        // id-pkix-ocsp-basic
        let kind = [0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
        let bytes = write(SEQUENCE, &[&kind, &write(OCTET_STRING, &[&basic])]);
        write(SEQUENCE, &[&write(ENUMERATED, &[&[0]]), &write(EXPLICIT[0], &[&bytes])])
    }
}

#[test]
fn a_good_response_is_taken_with_its_times() {
    let world = World::new();
    let response = world.good().signed_by(world.issuer.key(), None);
    let Said::Good(staple) = world.read(&response).unwrap() else { panic!("it is good") };
    assert_eq!((staple.from_unix, staple.until_unix), (NOW - DAY_S, NOW + DAY_S));
    assert_eq!(STANDARD.decode(staple.response).unwrap(), response);
    let (key, certificate) = world.responder(ExtendedKeyUsagePurpose::OcspSigning);
    assert!(world.read(&world.good().signed_by(&key, Some(&certificate))).is_ok(), "a responder of the issuer's");
}

#[test]
fn what_others_signed_does_not_count() {
    let world = World::new();
    let stranger = KeyPair::generate().unwrap();
    assert_eq!(world.read(&world.good().signed_by(&stranger, None)), Err(Unusable::Untrusted));
    let (key, certificate) = world.responder(ExtendedKeyUsagePurpose::ServerAuth);
    let by_server = world.good().signed_by(&key, Some(&certificate));
    assert_eq!(world.read(&by_server), Err(Unusable::Untrusted), "it is for servers");
    let (key, certificate) = World::new().responder(ExtendedKeyUsagePurpose::OcspSigning);
    let by_other = world.good().signed_by(&key, Some(&certificate));
    assert_eq!(world.read(&by_other), Err(Unusable::Untrusted), "another authority's");
    let mut changed = world.good().signed_by(world.issuer.key(), None);
    let at = changed.windows(3).position(|window| window == [0x11, 0x22, 0x33]).unwrap();
    changed[at] = 0x12;
    assert_eq!(world.read(&changed), Err(Unusable::Untrusted), "changed on the way");
}

#[test]
fn a_responders_certificate_counts_in_its_time_alone() {
    let world = World::new();
    let at = |unix: u64| time::OffsetDateTime::from_unix_timestamp(i64::try_from(unix).unwrap()).unwrap();
    for (from, until, counts) in [
        (NOW - DAY_S, NOW + DAY_S, true),
        (NOW, NOW, true),
        (NOW - 2 * DAY_S, NOW - 1, false),
        (NOW + 1, NOW + DAY_S, false),
    ] {
        let mut params = params("responder");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        (params.not_before, params.not_after) = (at(from), at(until));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &world.issuer).unwrap();
        let said = world.read(&world.good().signed_by(&key, Some(certificate.der())));
        match said {
            Ok(_) => assert!(counts, "{from} to {until}"),
            Err(unusable) => assert_eq!((unusable, counts), (Unusable::Untrusted, false), "{from} to {until}"),
        }
    }
}

#[test]
fn what_says_nothing_good_is_refused() {
    let world = World::new();
    let read = |said: Statement<'_>| world.read(&said.signed_by(world.issuer.key(), None)).unwrap_err();
    let revoked = [vec![0xa1, 17], generalized(NOW)].concat();
    let response = Statement { status: &revoked, ..world.good() }.signed_by(world.issuer.key(), None);
    assert_eq!(world.read(&response), Ok(Said::Revoked { from_unix: NOW - DAY_S }));
    let late = Statement { status: &revoked, until: Some(NOW), ..world.good() };
    assert_eq!(read(late), Unusable::Untimely, "what was said once does not count for good");
    assert_eq!(read(Statement { status: &[0x82, 0], ..world.good() }), Unusable::Unknown);
    assert_eq!(read(Statement { serial: &[9], ..world.good() }), Unusable::OtherCertificate);
    assert_eq!(read(Statement { until: None, ..world.good() }), Unusable::Endless);
    assert_eq!(read(Statement { until: Some(NOW), ..world.good() }), Unusable::Untimely);
    assert_eq!(read(Statement { from: NOW + 3600, ..world.good() }), Unusable::Untimely);
    let refusal = write(SEQUENCE, &[&write(ENUMERATED, &[&[6]])]);
    assert_eq!(world.read(&refusal), Err(Unusable::Refused(6)));
}

#[test]
fn a_statement_is_of_this_certificate_by_all_that_names_it() {
    let world = World::new();
    let read = |said: Statement<'_>| world.read(&said.signed_by(world.issuer.key(), None));
    let other = Err(Unusable::OtherCertificate);
    assert_eq!(read(Statement { name_hash: vec![7; 20], ..world.good() }), other, "another issuer's name");
    assert_eq!(read(Statement { key_hash: vec![7; 20], ..world.good() }), other, "another issuer's key");
    assert_eq!(read(Statement { serial: &[0x11, 0x22, 0x34], ..world.good() }), other, "another certificate of it");
    let algorithm = write(SEQUENCE, &[&write(OBJECT_ID, &[&[0x2b, 0x0e, 0x03, 0x02, 0x1b]])]);
    assert_eq!(read(Statement { algorithm, ..world.good() }), other, "hashed by nobody knows what");
    let issuer = parsed(&world.issuer_der);
    let key = subject_public_key(issuer.public_key().raw).unwrap().1;
    let hash = |bytes: &[u8]| digest(&SHA256, bytes).as_ref().to_vec();
    let algorithm = write(SEQUENCE, &[&write(OBJECT_ID, &[&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1]])]);
    let (name_hash, key_hash) = (hash(issuer.subject().as_raw()), hash(key));
    assert!(read(Statement { algorithm, name_hash, key_hash, ..world.good() }).is_ok(), "by SHA-256");
}

#[test]
fn nothing_follows_what_a_response_is_made_of() {
    let world = World::new();
    let null = vec![0x05, 0];
    for at in 0..4 {
        let mut said = world.good();
        said.behind[at] = null.clone();
        assert_eq!(world.read(&said.signed_by(world.issuer.key(), None)), Err(Unusable::Malformed), "{at}");
    }
    let mut response = world.good().signed_by(world.issuer.key(), None);
    response.extend(null);
    assert_eq!(world.read(&response), Err(Unusable::Malformed));
    let extensions = write(EXPLICIT[1], &[&write(SEQUENCE, &[])]);
    for at in [1, 2] {
        let mut said = world.good();
        said.behind[at].clone_from(&extensions);
        assert!(world.read(&said.signed_by(world.issuer.key(), None)).is_ok(), "extensions may stand there");
    }
}

#[test]
fn a_cut_response_is_none_and_nothing_panics() {
    let world = World::new();
    let whole = world.good().signed_by(world.issuer.key(), None);
    for end in 0..whole.len() {
        assert!(world.read(&whole[..end]).is_err());
    }
    for at in 0..whole.len() {
        for bit in [0x01, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            let _ = world.read(&changed);
        }
    }
}

#[test]
fn responders_are_found_and_asked() {
    let world = World::new();
    let (leaf, issuer) = (parsed(&world.leaf_der), parsed(&world.issuer_der));
    assert_eq!(responder(&leaf).as_deref(), Some("http://ocsp.test/"));
    assert_eq!(responder(&issuer), None);
    let asked = request(&leaf, &issuer).unwrap();
    let mut inner = Reader::new(&asked);
    for _ in 0..5 {
        inner = Reader::new(inner.expect(SEQUENCE).unwrap());
    }
    assert!(inner.expect(SEQUENCE).is_some());
    assert_eq!(inner.expect(OCTET_STRING).unwrap().len(), 20);
    assert_eq!(inner.expect(OCTET_STRING).unwrap().len(), 20);
    assert_eq!(inner.expect(INTEGER), Some([0x11, 0x22, 0x33].as_slice()));
}

#[test]
fn times_are_as_der_has_them() {
    assert_eq!(unix(b"20270115080000Z"), Some(NOW));
    for wrong in ["", "20270115080000", "20271315080000Z", "2027011508000Z", "20270115080000.5Z", "2027011508+000Z"] {
        assert_eq!(unix(wrong.as_bytes()), None, "{wrong}");
    }
}
