//! The whole way, in pieces of every length.

mod browsers;
mod html;
mod pieces;
mod throughput;

use std::rc::Rc;

use proptest::prelude::*;

use crate::{Broken, ContentInfo, Kinds, Links, Progress, Translator};

const ALL: Kinds = Kinds { html: true, css: true, json: true, js: true };

/// `http://in[…]` is published as `https://out.example[…]`, and the path `/base` as `/shop`.
struct Published;

impl Links for Published {
    fn outwards(&self, url: &str) -> Option<String> {
        if let Some(rest) = url.strip_prefix("/base") {
            return rest.starts_with('/').then(|| format!("/shop{rest}"));
        }
        let rest = url.strip_prefix("http://in").or_else(|| url.strip_prefix("//in"))?;
        (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then(|| format!("https://out.example{rest}"))
    }
}

fn info<'a>(content_type: &'a str, content_encoding: &'a str) -> ContentInfo<'a> {
    ContentInfo { content_type, content_encoding }
}

fn translator(info: &ContentInfo<'_>, kinds: Kinds) -> Option<Translator> {
    Translator::new(info, kinds, Rc::new(Published)).unwrap()
}

/// What becomes of `body` that comes in pieces of `piece` bytes.
fn translated(info: &ContentInfo<'_>, body: &[u8], piece: usize) -> Result<Vec<u8>, Broken> {
    let (mut translator, mut out) = (translator(info, ALL).expect("it is one to translate"), Vec::new());
    for mut piece in body.chunks(piece) {
        while translator.push(&mut piece, &mut out)? == Progress::More {}
        assert!(piece.is_empty());
    }
    translator.finish(&mut out)?;
    Ok(out)
}

fn html(body: &str) -> String {
    let out = translated(&info("text/html; charset=utf-8", ""), body.as_bytes(), body.len().max(1)).unwrap();
    String::from_utf8(out).unwrap()
}

/// Texts of `known` pieces, with bytes that are none of them between.
pub(crate) fn mixed(known: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        10 => prop::sample::select(known).prop_map(|known| known.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..5),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}
