//! A device in software, for tests: it makes a key and signs with it, as honest or not as a test wants.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use minicbor::Encoder;
use serde_json::json;

use super::*;

pub(in crate::sign_in) enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

/// Everything that a test may want otherwise.
pub(in crate::sign_in) struct Device {
    pub(in crate::sign_in) pair: Pair,
    pub(in crate::sign_in) credential: Vec<u8>,
    pub(in crate::sign_in) counter: u32,
    pub(in crate::sign_in) flags: u8,
    pub(in crate::sign_in) origin: String,
    pub(in crate::sign_in) rp_id: String,
    pub(in crate::sign_in) cross_origin: bool,
}

impl Device {
    pub(in crate::sign_in) fn new(pair: Pair, party: &RelyingParty) -> Self {
        let credential = vec![9; 32];
        let flags = USER_PRESENT | USER_VERIFIED;
        let (origin, rp_id) = (party.origin.clone(), party.id.clone());
        Self { pair, credential, counter: 1, flags, origin, rp_id, cross_origin: false }
    }

    pub(in crate::sign_in) fn es256(party: &RelyingParty) -> Self {
        Self::new(Pair::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()), party)
    }

    pub(in crate::sign_in) fn ed25519(party: &RelyingParty) -> Self {
        Self::new(Pair::EdDsa(Ed25519KeyPair::generate().unwrap()), party)
    }

    pub(in crate::sign_in) fn rs256(party: &RelyingParty) -> Self {
        Self::new(Pair::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()), party)
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        let said =
            json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": self.cross_origin});
        said.to_string().into_bytes()
    }

    fn authenticator_data(&self, flags: u8) -> Vec<u8> {
        let mut data = digest::digest(&digest::SHA256, self.rp_id.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn cose(&self) -> Vec<u8> {
        let mut out = Encoder::new(Vec::new());
        match &self.pair {
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref();
                out.map(5).unwrap().i8(1).unwrap().i8(2).unwrap().i8(3).unwrap().i8(-7).unwrap();
                out.i8(-1).unwrap().i8(1).unwrap().i8(-2).unwrap().bytes(&point[1..33]).unwrap();
                out.i8(-3).unwrap().bytes(&point[33..]).unwrap();
            }
            Pair::EdDsa(pair) => {
                out.map(4).unwrap().i8(1).unwrap().i8(1).unwrap().i8(3).unwrap().i8(-8).unwrap();
                out.i8(-1).unwrap().i8(6).unwrap().i8(-2).unwrap().bytes(pair.public_key().as_ref()).unwrap();
            }
            Pair::Rs256(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                out.map(4).unwrap().i8(1).unwrap().i8(3).unwrap().i8(3).unwrap().i16(-257).unwrap();
                out.i8(-1).unwrap().bytes(n.big_endian_without_leading_zero()).unwrap();
                out.i8(-2).unwrap().bytes(e.big_endian_without_leading_zero()).unwrap();
            }
        }
        out.into_writer()
    }

    pub(in crate::sign_in) fn create(&self, challenge: &str) -> KeyCreated {
        let mut data = self.authenticator_data(self.flags | ATTESTED_CREDENTIAL);
        data.extend([0; AAGUID_BYTES]);
        data.extend(u16::try_from(self.credential.len()).unwrap().to_be_bytes());
        data.extend(&self.credential);
        data.extend(self.cose());
        let mut out = Encoder::new(Vec::new());
        out.map(3).unwrap().str("fmt").unwrap().str("none").unwrap().str("attStmt").unwrap().map(0).unwrap();
        out.str("authData").unwrap().bytes(&data).unwrap();
        KeyCreated {
            client_data: URL_SAFE_NO_PAD.encode(self.client_data("webauthn.create", challenge)),
            attestation: URL_SAFE_NO_PAD.encode(out.into_writer()),
            name: "blue".into(),
        }
    }

    pub(in crate::sign_in) fn assert(&self, challenge: &str) -> KeyAssertion {
        self.assert_as("webauthn.get", challenge)
    }

    pub(in crate::sign_in) fn assert_as(&self, kind: &str, challenge: &str) -> KeyAssertion {
        let (data, client_data) = (self.authenticator_data(self.flags), self.client_data(kind, challenge));
        let signed = [&data, digest::digest(&digest::SHA256, &client_data).as_ref()].concat();
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Es256(pair) => pair.sign(&random, &signed).unwrap().as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.sign(&signed).as_ref().to_vec(),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, &signed, &mut signature).unwrap();
                signature
            }
        };
        KeyAssertion {
            credential: URL_SAFE_NO_PAD.encode(&self.credential),
            client_data: URL_SAFE_NO_PAD.encode(client_data),
            authenticator_data: URL_SAFE_NO_PAD.encode(data),
            signature: URL_SAFE_NO_PAD.encode(signature),
        }
    }
}
