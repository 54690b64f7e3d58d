//! What is signed as X.509 has it: what certificates, and answers about them, have in common.

use rustls::crypto::aws_lc_rs::default_provider;

use crate::der::{BIT_STRING, Element, Reader, SEQUENCE, bits};

/// Something, and a signature of it.
pub(crate) struct Signed<'a> {
    pub(crate) data: Element<'a>,
    algorithm: &'a [u8],
    signature: &'a [u8],
    pub(crate) rest: Reader<'a>,
}

impl<'a> Signed<'a> {
    pub(crate) fn read(content: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(content);
        let data = reader.element().filter(|data| data.tag == SEQUENCE)?;
        let algorithm = reader.expect(SEQUENCE)?;
        let signature = bits(reader.expect(BIT_STRING)?)?;
        Some(Self { data, algorithm, signature, rest: reader })
    }

    /// By the key of a SubjectPublicKeyInfo.
    pub(crate) fn is_signed_by(&self, public_key: &[u8]) -> bool {
        let Some((kind, key)) = subject_public_key(public_key) else { return false };
        let all = default_provider().signature_verification_algorithms.all;
        let mut fitting = all.iter().filter(|algorithm| {
            algorithm.signature_alg_id().as_ref() == self.algorithm && algorithm.public_key_alg_id().as_ref() == kind
        });
        fitting.any(|algorithm| algorithm.verify_signature(key, self.data.whole, self.signature).is_ok())
    }
}

/// Algorithm (the content of its SEQUENCE) and key of a SubjectPublicKeyInfo.
pub(crate) fn subject_public_key(whole: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut content = Reader::new(Reader::new(whole).expect(SEQUENCE)?);
    let algorithm = content.expect(SEQUENCE)?;
    Some((algorithm, bits(content.expect(BIT_STRING)?)?))
}
