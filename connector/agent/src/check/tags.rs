//! The elements of a page, as browsers see them begin.

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

/// Every tag that begins an element. What stands in a script or a comment is none.
pub(super) fn start_tags(page: &[u8]) -> impl Iterator<Item = StartTag<()>> {
    let mut emitter = DefaultEmitter::<()>::default();
    emitter.naively_switch_states(true);
    Tokenizer::new_with_emitter(page, emitter).filter_map(|token| {
        let Ok(token) = token;
        let Token::StartTag(tag) = token else { return None };
        Some(tag)
    })
}
