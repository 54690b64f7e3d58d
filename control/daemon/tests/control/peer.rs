//! The other ends that tests play: a relay on the link, a connector that enrols through it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use postern_model::enrol::{self, EnrolRequest, EnrolResponse, Enrolled, Proof, Token, token_mac};
use postern_model::frame::{self, Frames};
use postern_model::ids::Epoch;
use postern_model::link::{Hello, TO_CONTROL_BYTES_MAX, TO_RELAY_BYTES_MAX, ToControl, ToRelay, Welcome};
use rcgen::{CertificateParams, KeyPair};

/// A relay on its link.
pub(crate) struct Relay<S> {
    stream: S,
    frames: Frames,
}

impl Relay<UnixStream> {
    /// Comes to control's socket and upgrades, without saying hello.
    pub(crate) fn connect(socket: &Path) -> Self {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request =
            "POST /v1/link HTTP/1.1\r\nHost: control\r\nConnection: upgrade\r\nUpgrade: postern-link/1\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Self::over(stream)
    }
}

impl<S: Read + Write> Relay<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, frames: Frames::new(TO_RELAY_BYTES_MAX) }
    }

    pub(crate) fn send(&mut self, message: &ToControl) {
        let bytes = frame::encode(message, TO_CONTROL_BYTES_MAX).unwrap();
        self.stream.write_all(&bytes).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next message that is not a ping; `None` when control closed the link.
    pub(crate) fn next(&mut self) -> Option<ToRelay> {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            assert!(Instant::now() < deadline, "nothing but pings comes");
            match self.frames.next_message().unwrap() {
                Some(ToRelay::Ping { n }) => self.send(&ToControl::Pong { n }),
                Some(message) => return Some(message),
                None => {
                    let mut buffer = [0; 65_536];
                    let read = self.stream.read(&mut buffer).unwrap_or(0);
                    if read == 0 {
                        return None;
                    }
                    self.frames.push(&buffer[..read]);
                }
            }
        }
    }

    pub(crate) fn hello(&mut self, name: &str, key: &KeyPair, last_version: u64) {
        self.send(&ToControl::Hello(hello(name, key, last_version)));
    }

    /// Comes back with a state that control told it in `epoch`.
    pub(crate) fn hello_again(&mut self, name: &str, key: &KeyPair, last_version: u64, epoch: Option<Epoch>) {
        self.send(&ToControl::Hello(Hello { epoch, ..hello(name, key, last_version) }));
    }

    pub(crate) fn welcomed(&mut self) -> Welcome {
        match self.next() {
            Some(ToRelay::Welcome(welcome)) => welcome,
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// Forwards a connector's request, as a relay does.
    pub(crate) fn enrol(&mut self, request: &EnrolRequest) -> EnrolResponse {
        self.enrol_text(&serde_json::to_string(request).unwrap())
    }

    pub(crate) fn enrol_text(&mut self, body: &str) -> EnrolResponse {
        self.send(&ToControl::EnrolRequest { id: 7, body: body.into() });
        loop {
            match self.next() {
                Some(ToRelay::EnrolReply { id: 7, body }) => return serde_json::from_str(&body).unwrap(),
                Some(_) => {}
                None => panic!("the link ended"),
            }
        }
    }
}

pub(crate) fn hello(name: &str, key: &KeyPair, last_version: u64) -> Hello {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Hello {
        protocol: 1,
        software: "test-relay/1".into(),
        relay_name: name.into(),
        csr_pem: csr(key),
        last_version,
        epoch: None,
        generation: 1,
        workers: 1,
        time_unix_ms: u64::try_from(now.as_millis()).unwrap(),
        sessions: false,
    }
}

pub(crate) fn csr(key: &KeyPair) -> String {
    CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
}

pub(crate) fn token_request(token: &Token, key: &KeyPair) -> EnrolRequest {
    let csr_pem = csr(key);
    let mac = token_mac(token.secret.expose(), &csr_pem);
    EnrolRequest { protocol: 1, csr_pem, software: "test".into(), proof: Proof::Token { id: token.id.clone(), mac } }
}

/// A renewal: the certificate shown, the key it was made for, and the key to certify.
pub(crate) fn renewal(certificate_pem: &str, current: &KeyPair, new: &KeyPair) -> EnrolRequest {
    let csr_pem = csr(new);
    let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &current.serialize_der()).unwrap();
    let signature = signer.sign(&SystemRandom::new(), &enrol::renewal_bytes(&csr_pem)).unwrap();
    let proof = Proof::Certificate { pem: certificate_pem.into(), signature: hex::encode(signature) };
    EnrolRequest { protocol: 1, csr_pem, software: "test".into(), proof }
}

pub(crate) fn enrolled(response: EnrolResponse) -> Enrolled {
    match response {
        EnrolResponse::Ok(enrolled) => enrolled,
        EnrolResponse::Error(error) => panic!("refused: {error:?}"),
    }
}

pub(crate) fn refusal(response: EnrolResponse) -> String {
    match response {
        EnrolResponse::Ok(enrolled) => panic!("enrolled: {enrolled:?}"),
        EnrolResponse::Error(error) => error.code,
    }
}
