//! Content codings (RFC 9110 §8.4), both ways. Each call's output is bounded, whatever its input expands to.

use std::io::{self, Write};

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, CompressorWriter};
use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compression, Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation as _};

use crate::limits::{
    BROTLI_LEVEL, BROTLI_WINDOW_LOG, DECODED_BYTES, DECODED_FREE_BYTES, DECODED_RATIO_MAX, GZIP_LEVEL, ZSTD_LEVEL,
    ZSTD_WINDOW_LOG_MAX,
};

/// A content coding that can be taken off and put on again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// `gzip`, `x-gzip`.
    Gzip,
    /// `deflate`: zlib's format, and the raw one that some servers mean.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

/// A body that is not what its head says. Nothing of it can be saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Not in the coding that it is said to be in.
    #[error("the body is not valid {0}")]
    Invalid(&'static str),
    /// It ended in the middle.
    #[error("the body ends in the middle of its {0}")]
    Truncated(&'static str),
    /// It expands to more than any honest body.
    #[error("the body expands to more than an honest one would as {0}")]
    Expands(&'static str),
    /// This host has no memory for it.
    #[error("there is no memory for {0}")]
    Memory(&'static str),
}

impl Coding {
    /// Every name that a request may offer.
    pub const NAMES: &'static [&'static str] = &["gzip", "x-gzip", "deflate", "br", "zstd", "identity"];

    /// By `Content-Encoding`; `None` for those that are not known, and for several.
    #[must_use]
    pub fn parse(content_encoding: &str) -> Option<Self> {
        let name = content_encoding.trim();
        let known = [
            ("", Self::Identity),
            ("identity", Self::Identity),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
        ];
        known.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, coding)| *coding)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// Takes a coding off.
pub(crate) struct Decoder {
    coding: Coding,
    state: Decoding,
    /// The coded stream is complete.
    ended: bool,
    read: u64,
    written: u64,
}

enum Decoding {
    /// Nothing has come yet.
    New,
    Zlib(Decompress),
    Brotli(Box<BrotliDecoder>),
    Zstd(ZstdDecoder<'static>),
}

type BrotliDecoder = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// How far one call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) read: usize,
    pub(crate) written: usize,
}

impl Decoder {
    /// For a body in `coding`, which is not identity.
    pub(crate) fn new(coding: Coding) -> Self {
        Self { coding, state: Decoding::New, ended: false, read: 0, written: 0 }
    }

    /// Decodes into `output`. There may be more whenever all of `output` was written.
    pub(crate) fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Decoded, Broken> {
        let invalid = Broken::Invalid(self.coding.name());
        let Some(first) = input.first() else {
            return if self.ended { Ok(Decoded { read: 0, written: 0 }) } else { self.step(&[], output) };
        };
        if self.ended {
            // Only gzip has members that follow each other (RFC 1952 §2.2), and zstd frames (RFC 8878 §3.1).
            match self.coding {
                Coding::Gzip if *first == GZIP_MAGIC => self.state = Decoding::New,
                Coding::Zstd => {}
                Coding::Gzip | Coding::Identity | Coding::Deflate | Coding::Brotli => return Err(invalid),
            }
            self.ended = false;
        }
        if matches!(self.state, Decoding::New) {
            self.state = Decoding::begin(self.coding, *first)?;
        }
        let decoded = self.step(input, output)?;
        if decoded.read == 0 && decoded.written == 0 && !self.ended {
            return Err(invalid);
        }
        Ok(decoded)
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Decoded, Broken> {
        let name = self.coding.name();
        let (decoded, ended) = match &mut self.state {
            Decoding::New => (Decoded { read: 0, written: 0 }, false),
            Decoding::Zlib(state) => inflate(state, input, output).ok_or(Broken::Invalid(name))?,
            Decoding::Brotli(state) => unbrotli(state, input, output).ok_or(Broken::Invalid(name))?,
            Decoding::Zstd(state) => {
                let status = state.run_on_buffers(input, output).map_err(|_| Broken::Invalid(name))?;
                let decoded = Decoded { read: status.bytes_read, written: status.bytes_written };
                (decoded, status.remaining == 0)
            }
        };
        self.ended |= ended;
        self.read += decoded.read as u64;
        self.written += decoded.written as u64;
        if self.written > DECODED_FREE_BYTES && self.written / DECODED_RATIO_MAX > self.read {
            return Err(Broken::Expands(name));
        }
        Ok(decoded)
    }

    /// At the body's end. A body of no bytes is none, whatever its head says of codings.
    pub(crate) fn finish(&self) -> Result<(), Broken> {
        if self.ended || self.read == 0 { Ok(()) } else { Err(Broken::Truncated(self.coding.name())) }
    }
}

impl Decoding {
    fn begin(coding: Coding, first: u8) -> Result<Self, Broken> {
        Ok(match coding {
            Coding::Identity => Self::New,
            Coding::Gzip => Self::Zlib(Decompress::new_gzip(WINDOW_BITS)),
            // No compressor writes a raw stream that begins so: a stored block with bits set in its padding.
            Coding::Deflate => Self::Zlib(Decompress::new(first & 0x0f == ZLIB_METHOD)),
            Coding::Brotli => {
                let alloc = StandardAlloc::default;
                Self::Brotli(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
            }
            Coding::Zstd => Self::Zstd(zstd_decoder().map_err(|_| Broken::Memory("zstd"))?),
        })
    }
}

fn zstd_decoder() -> io::Result<ZstdDecoder<'static>> {
    let mut decoder = ZstdDecoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
    Ok(decoder)
}

fn inflate(state: &mut Decompress, input: &[u8], output: &mut [u8]) -> Option<(Decoded, bool)> {
    let (read, written) = (state.total_in(), state.total_out());
    let status = state.decompress(input, output, FlushDecompress::None).ok()?;
    let read = usize::try_from(state.total_in() - read).ok()?;
    let written = usize::try_from(state.total_out() - written).ok()?;
    Some((Decoded { read, written }, status == Status::StreamEnd))
}

fn unbrotli(state: &mut BrotliDecoder, input: &[u8], output: &mut [u8]) -> Option<(Decoded, bool)> {
    let (mut input_left, mut read) = (input.len(), 0);
    let (mut output_left, mut written, mut total) = (output.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut input_left,
        &mut read,
        input,
        &mut output_left,
        &mut written,
        output,
        &mut total,
        state,
    );
    let ended = match result {
        BrotliResult::ResultSuccess => true,
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => false,
        BrotliResult::ResultFailure => return None,
    };
    Some((Decoded { read, written }, ended))
}

const GZIP_MAGIC: u8 = 0x1f;
const ZLIB_METHOD: u8 = 8;
const WINDOW_BITS: u8 = 15;

/// Puts a coding on. What it has written waits in its own buffer until it is taken.
pub(crate) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zlib(ZlibEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// None for identity, which needs none.
    pub(crate) fn new(coding: Coding) -> Result<Option<Self>, Broken> {
        let level = Compression::new(GZIP_LEVEL);
        Ok(Some(match coding {
            Coding::Identity => return Ok(None),
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), level)),
            Coding::Deflate => Self::Zlib(ZlibEncoder::new(Vec::new(), level)),
            Coding::Brotli => Self::Brotli(Box::new(CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER_BYTES,
                BROTLI_LEVEL,
                BROTLI_WINDOW_LOG,
            ))),
            Coding::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL);
                Self::Zstd(encoder.map_err(|_| Broken::Memory("zstd"))?)
            }
        }))
    }

    pub(crate) fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        self.writer().write_all(data).map_err(|_| Broken::Memory("the coding"))?;
        self.take(out);
        Ok(())
    }

    /// Everything so far can be decoded by whoever gets `out`.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        self.writer().flush().map_err(|_| Broken::Memory("the coding"))?;
        self.take(out);
        Ok(())
    }

    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<(), Broken> {
        let finished = match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zlib(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok((*encoder).into_inner()),
            Self::Zstd(encoder) => encoder.finish(),
        };
        out.append(&mut finished.map_err(|_| Broken::Memory("the coding"))?);
        Ok(())
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(encoder) => encoder,
            Self::Zlib(encoder) => encoder,
            Self::Brotli(encoder) => &mut **encoder,
            Self::Zstd(encoder) => encoder,
        }
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        let written = match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zlib(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        };
        out.append(written);
    }
}

const BROTLI_BUFFER_BYTES: usize = 4 << 10;
/// A buffer for [`Decoder::run`].
pub(crate) fn buffer() -> Vec<u8> {
    vec![0; DECODED_BYTES]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

    fn encoded(coding: Coding, data: &[u8]) -> Vec<u8> {
        let (mut encoder, mut out) = (Encoder::new(coding).unwrap().unwrap(), Vec::new());
        for piece in data.chunks(1000) {
            encoder.write(piece, &mut out).unwrap();
        }
        encoder.flush(&mut out).unwrap();
        encoder.finish(&mut out).unwrap();
        out
    }

    fn decoded(coding: Coding, data: &[u8], piece: usize) -> Result<Vec<u8>, Broken> {
        let (mut decoder, mut buffer, mut out) = (Decoder::new(coding), vec![0; 700], Vec::new());
        for mut input in data.chunks(piece) {
            loop {
                let step = decoder.run(input, &mut buffer)?;
                input = &input[step.read..];
                out.extend_from_slice(&buffer[..step.written]);
                if input.is_empty() && step.written < buffer.len() {
                    break;
                }
            }
        }
        decoder.finish().map(|()| out)
    }

    fn text() -> Vec<u8> {
        (0..5000u32).flat_map(|n| format!("{} ", n * n % 977).into_bytes()).collect()
    }

    #[test]
    fn what_goes_in_comes_out_in_any_pieces() {
        for coding in CODINGS {
            let coded = encoded(coding, &text());
            for piece in [1, 2, 7, 1000, coded.len()] {
                assert_eq!(decoded(coding, &coded, piece), Ok(text()), "{coding:?} {piece}");
            }
            assert_eq!(decoded(coding, b"", 1), Ok(Vec::new()), "{coding:?}");
        }
    }

    #[test]
    fn what_is_cut_or_broken_is_an_error() {
        for coding in CODINGS {
            let coded = encoded(coding, &text());
            for length in [1, 2, coded.len() / 2, coded.len() - 1] {
                assert_eq!(
                    decoded(coding, &coded[..length], 64),
                    Err(Broken::Truncated(coding.name())),
                    "{coding:?} {length}"
                );
            }
            let trailing = [coded.clone(), b"x".to_vec()].concat();
            assert!(decoded(coding, &trailing, 64).is_err(), "{coding:?}");
            assert!(decoded(coding, b"<html>\xff\xff", 64).is_err(), "{coding:?}");
        }
    }

    #[test]
    fn raw_deflate_and_several_members_are_read() {
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), Compression::new(6));
        raw.write_all(&text()).unwrap();
        assert_eq!(decoded(Coding::Deflate, &raw.finish().unwrap(), 10), Ok(text()));
        for coding in [Coding::Gzip, Coding::Zstd] {
            let twice = [encoded(coding, b"one"), encoded(coding, b"two")].concat();
            for piece in [1, 1000] {
                assert_eq!(decoded(coding, &twice, piece), Ok(b"onetwo".to_vec()), "{coding:?}");
            }
        }
    }

    #[test]
    fn a_bomb_is_given_up() {
        // zstd repeats one byte for next to nothing.
        let coded = encoded(Coding::Zstd, &vec![0; 256 << 20]);
        assert!(coded.len() < 64 << 10, "{}", coded.len());
        assert_eq!(decoded(Coding::Zstd, &coded, 1000), Err(Broken::Expands("zstd")));
    }

    #[test]
    fn a_zstd_window_is_as_large_as_it_may_be_and_no_larger() {
        // A frame's head with this window (RFC 8878 §3.1.1.1.2), and a raw block of one byte.
        let frame = |window: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, window, 9, 0, 0, b'x'];
        assert_eq!(decoded(Coding::Zstd, &frame(0x68), 64), Ok(b"x".to_vec()), "8 MiB");
        for larger in [0x69, 0x70] {
            assert_eq!(decoded(Coding::Zstd, &frame(larger), 64), Err(Broken::Invalid("zstd")));
        }
    }

    #[test]
    fn several_codings_and_unknown_ones_are_not_taken() {
        assert_eq!(Coding::parse(" GZIP "), Some(Coding::Gzip));
        for unknown in ["gzip, br", "compress", "dcb", "aws-chunked"] {
            assert_eq!(Coding::parse(unknown), None, "{unknown}");
        }
    }
}
