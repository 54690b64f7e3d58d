//! What must hold for any bytes at all. The fuzz targets and the corpus replay call these; none may panic.

pub(crate) mod heads;

use std::rc::Rc;

use postern_translate::limits::{DECODED_BYTES, HTML_BYTES_MAX};
use postern_translate::{Broken, ContentInfo, Kinds, Links, Progress, Translator};

/// A body of the type that the first byte chooses: the same however it is cut, and untouched where nothing leads inside.
pub(crate) fn text(data: &[u8]) {
    let Some((&choice, body)) = data.split_first() else { return };
    let content_type = TYPES[usize::from(choice) % TYPES.len()];
    same_in_pieces(content_type, body);
    let untouched = translated(content_type, "", body, body.len(), Rc::new(Nothing));
    if !is_shortened(body) {
        assert_eq!(untouched, Ok(Some(body.to_vec())), "nothing leads inside");
    }
}

/// What stands in a `srcset`.
pub(crate) fn srcset(data: &[u8]) {
    let value: Vec<u8> = data.iter().map(|byte| if matches!(byte, b'"' | b'&') { b'x' } else { *byte }).collect();
    let body = [b"<img srcset=\"", &value[..], b"\">"].concat();
    same_in_pieces("text/html", &body);
    let untouched = translated("text/html", "", &body, body.len(), Rc::new(Nothing));
    assert_eq!(untouched, Ok(Some(body)), "nothing leads inside");
}

/// A body in the coding that the first byte chooses: broken, or translated; and never much at a time.
pub(crate) fn coding(data: &[u8]) {
    let Some((&choice, body)) = data.split_first() else { return };
    let name = CODINGS[usize::from(choice) % CODINGS.len()];
    let whole = translated("text/html", name, body, body.len(), Rc::new(Published));
    let pieces = translated("text/html", name, body, 1, Rc::new(Published));
    assert_eq!(whole.is_err(), pieces.is_err(), "cut every byte");
}

fn same_in_pieces(content_type: &str, body: &[u8]) {
    let whole = translated(content_type, "", body, body.len(), Rc::new(Published));
    for piece in [1, 2, 3, 7, 64] {
        let pieces = translated(content_type, "", body, piece, Rc::new(Published));
        assert_eq!(pieces, whole, "cut every {piece} bytes");
    }
}

/// Hashes are taken out of pages whatever leads where.
fn is_shortened(body: &[u8]) -> bool {
    body.windows(9).any(|window| window.eq_ignore_ascii_case(b"integrity"))
}

fn translated(
    content_type: &str,
    content_encoding: &str,
    body: &[u8],
    piece: usize,
    links: Rc<dyn Links>,
) -> Result<Option<Vec<u8>>, Broken> {
    let info = ContentInfo { content_type, content_encoding };
    let kinds = Kinds { html: true, css: true, json: true, js: true };
    let Some(mut translator) = Translator::new(&info, kinds, links)? else { return Ok(None) };
    let (mut out, mut step) = (Vec::new(), Vec::new());
    for mut piece in body.chunks(piece.max(1)) {
        loop {
            let progress = translator.push(&mut piece, &mut step)?;
            assert!(step.len() <= STEP_BYTES_MAX, "{} bytes in one step", step.len());
            out.append(&mut step);
            if progress == Progress::Hungry {
                break;
            }
        }
        assert!(piece.is_empty(), "something was not taken");
    }
    translator.finish(&mut out)?;
    Ok(Some(out))
}

/// Nothing is published.
struct Nothing;

impl Links for Nothing {
    fn outwards(&self, _: &str) -> Option<String> {
        None
    }
}

/// One application is.
struct Published;

impl Links for Published {
    fn outwards(&self, url: &str) -> Option<String> {
        let rest = url.strip_prefix("http://in/")?;
        Some(format!("http://outside/{rest}"))
    }
}

const TYPES: [&str; 6] = [
    "text/html",
    "text/html; charset=gbk",
    "text/css",
    "text/css; charset=shift_jis",
    "application/json",
    "text/javascript",
];
const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];
/// What the parser held until then, and a step of nothing but links.
const STEP_BYTES_MAX: usize = 2 * HTML_BYTES_MAX + 4 * DECODED_BYTES;
