//! The whole way of one body: decoded, translated, encoded again.

use std::rc::Rc;

use crate::Links;
use crate::coding::{Broken, Coding, Decoder, Encoder, buffer};
use crate::content::{Content, ContentInfo, Kinds, Type};
use crate::limits::DECODED_BYTES;

/// One body. Call [`Translator::push`] with each piece until it is [`Progress::Hungry`], sending on what came out in between;
/// then [`Translator::finish`] once. After an error nothing more comes: what went out is not the whole body.
pub struct Translator {
    coding: Option<Recoding>,
    content: Content,
}

/// A coding that is taken off and put on again.
struct Recoding {
    decoder: Decoder,
    encoder: Encoder,
    decoded: Vec<u8>,
    translated: Vec<u8>,
    /// Something was written that was not flushed yet.
    unflushed: bool,
    /// Something came at all.
    begun: bool,
}

/// What a call of [`Translator::push`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All of the input is taken.
    Hungry,
    /// There is more in it, or in what was taken: send what came out, and call again.
    More,
}

impl Translator {
    /// `None` for a body that is to be left alone: of another kind, in a coding or charset that cannot be handled.
    ///
    /// # Errors
    /// No memory for a coding.
    pub fn new(info: &ContentInfo<'_>, kinds: Kinds, links: Rc<dyn Links>) -> Result<Option<Self>, Broken> {
        let Some(coding) = Self::coding_of(info, kinds) else { return Ok(None) };
        let Some(kind) = Type::of(info.content_type) else { return Ok(None) };
        let Some(content) = Content::new(kind, kinds, info.content_type, links) else { return Ok(None) };
        let coding = Encoder::new(coding)?.map(|encoder| Recoding {
            decoder: Decoder::new(coding),
            encoder,
            decoded: buffer(),
            translated: Vec::new(),
            unflushed: false,
            begun: false,
        });
        Ok(Some(Self { coding, content }))
    }

    /// Whether a body with such a head is translated, so far as the head tells.
    #[must_use]
    pub fn takes(info: &ContentInfo<'_>, kinds: Kinds) -> bool {
        Self::coding_of(info, kinds).is_some() && Content::fits(info.content_type)
    }

    fn coding_of(info: &ContentInfo<'_>, kinds: Kinds) -> Option<Coding> {
        Type::of(info.content_type).filter(|kind| kind.is_in(kinds))?;
        Coding::parse(info.content_encoding)
    }

    /// Takes input from the front of `input`, at most [`DECODED_BYTES`] decoded, and adds what that becomes to `out`. When it
    /// is hungry, everything it has is out but what belongs to an unfinished tag or URL.
    ///
    /// # Errors
    /// The body is not in the coding that its head says, or expands beyond measure.
    pub fn push(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Progress, Broken> {
        let Some(coding) = &mut self.coding else {
            let (piece, rest) = input.split_at(input.len().min(DECODED_BYTES));
            *input = rest;
            self.content.push(piece, out);
            return Ok(if input.is_empty() { Progress::Hungry } else { Progress::More });
        };
        let step = coding.decoder.run(input, &mut coding.decoded)?;
        *input = &input[step.read..];
        coding.begun |= step.read > 0;
        self.content.push(&coding.decoded[..step.written], &mut coding.translated);
        coding.write(out)?;
        if !input.is_empty() || step.written == coding.decoded.len() {
            return Ok(Progress::More);
        }
        coding.flush(out)?;
        Ok(Progress::Hungry)
    }

    /// The body's end.
    ///
    /// # Errors
    /// It ended in the middle of its coding.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        let Some(mut coding) = self.coding.take() else {
            self.content.finish(out);
            return Ok(());
        };
        coding.decoder.finish()?;
        if !coding.begun {
            return Ok(());
        }
        self.content.finish(&mut coding.translated);
        coding.write(out)?;
        coding.encoder.finish(out)
    }
}

impl Recoding {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        if self.translated.is_empty() {
            return Ok(());
        }
        self.encoder.write(&self.translated, out)?;
        self.unflushed = true;
        self.translated.clear();
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        if std::mem::take(&mut self.unflushed) { self.encoder.flush(out) } else { Ok(()) }
    }
}
