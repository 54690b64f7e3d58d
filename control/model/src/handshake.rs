//! The half of a certificate verifier that is the same whoever answers: the handshake must be signed by the certificate's
//! owner. Whether that certificate is the right one is asked of a [`Judge`].

use std::fmt::Debug;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Decides whether a chain of certificates belongs to who is expected.
pub trait Judge: Debug + Send + Sync {
    /// Accepts `leaf`, sent together with `intermediates`, for `server_name` at `now`.
    ///
    /// # Errors
    /// Why not.
    fn judge(
        &self,
        provider: &Arc<CryptoProvider>,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error>;
}

/// A verifier for rustls.
#[derive(Debug)]
pub struct HandshakeVerifier<J> {
    /// Who decides about the chain.
    pub judge: J,
    /// What signatures are verified by.
    pub provider: Arc<CryptoProvider>,
}

/// Takes any certificate, as long as whoever answers is its owner.
#[derive(Debug, Clone, Copy)]
pub struct Anybody;

impl Judge for Anybody {
    fn judge(
        &self,
        _provider: &Arc<CryptoProvider>,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _now: UnixTime,
    ) -> Result<(), rustls::Error> {
        Ok(())
    }
}

impl<J: Judge> ServerCertVerifier for HandshakeVerifier<J> {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge.judge(&self.provider, leaf, intermediates, server_name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
