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
        self.verdict(public_key) == Some(true)
    }

    /// The same; `None` where the algorithm is none of those that can be verified.
    pub(crate) fn verdict(&self, public_key: &[u8]) -> Option<bool> {
        let (kind, key) = subject_public_key(public_key)?;
        let all = default_provider().signature_verification_algorithms.all;
        let fitting = all.iter().filter(|algorithm| {
            algorithm.signature_alg_id().as_ref() == self.algorithm && algorithm.public_key_alg_id().as_ref() == kind
        });
        let verified =
            fitting.map(|algorithm| algorithm.verify_signature(key, self.data.whole, self.signature).is_ok());
        verified.reduce(|any, is_ok| any || is_ok)
    }
}

/// Algorithm (the content of its SEQUENCE) and key of a SubjectPublicKeyInfo.
pub(crate) fn subject_public_key(whole: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut content = Reader::new(Reader::new(whole).expect(SEQUENCE)?);
    let algorithm = content.expect(SEQUENCE)?;
    Some((algorithm, bits(content.expect(BIT_STRING)?)?))
}
