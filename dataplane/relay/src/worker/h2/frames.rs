//! What the h2 library does not tell: which frames pass. Only their headers are looked at (RFC 9113 §4.1).

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) bytes: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
}

/// The frames in one direction of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that are there.
    have: usize,
    /// Bytes of payload, or of the preface, that are still to come.
    left: usize,
}

impl Frames {
    /// What a client sends: the preface, then frames.
    pub(super) fn after_preface() -> Self {
        Self { left: PREFACE_BYTES, ..Self::new() }
    }

    pub(super) fn new() -> Self {
        Self { header: [0; HEADER_BYTES], have: 0, left: 0 }
    }

    /// Calls `seen` for every frame whose header is complete with these bytes.
    pub(super) fn pass(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Frame)) {
        loop {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let taken = (HEADER_BYTES - self.have).min(bytes.len());
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEADER_BYTES {
                self.have = 0;
                let [a, b, c, kind, flags, ..] = self.header;
                let length = u32::from_be_bytes([0, a, b, c]);
                self.left = length as usize;
                seen(Frame { bytes: length, kind, flags });
            }
        }
    }

    /// Whether a frame has begun that is not complete.
    pub(super) fn is_inside(&self) -> bool {
        self.have > 0 || self.left > 0
    }
}

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Of SETTINGS and PING.
pub(super) const ACK: u8 = 1;
/// Of DATA and HEADERS.
pub(super) const END_STREAM: u8 = 1;
/// Of HEADERS and CONTINUATION.
pub(super) const END_HEADERS: u8 = 4;

const HEADER_BYTES: usize = 9;
const PREFACE_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_seen_however_they_are_cut() {
        let mut wire = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        wire.extend_from_slice(&[0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0]);
        wire.extend_from_slice(&[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0]);
        wire.extend_from_slice(&[0, 1, 0, DATA, END_STREAM, 0, 0, 0, 1]);
        wire.extend_from_slice(&[7; 256]);
        wire.extend_from_slice(&[0, 0, 8, PING, 0, 0, 0]);
        let wanted = [(6, SETTINGS, 0), (0, SETTINGS, ACK), (256, DATA, END_STREAM)];
        let wanted = wanted.map(|(bytes, kind, flags)| Frame { bytes, kind, flags });
        for piece in 1..wire.len() {
            let mut frames = Frames::after_preface();
            let mut seen = Vec::new();
            for bytes in wire.chunks(piece) {
                frames.pass(bytes, |frame| seen.push(frame));
            }
            assert_eq!(seen, wanted, "in pieces of {piece}");
            assert!(frames.is_inside());
        }
    }
}
