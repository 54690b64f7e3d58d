//! The page with the sign-in form: which fields it wants beside user name and password, and what is sent then.

use html5gum::{DefaultEmitter, HtmlString, StartTag, Token, Tokenizer};
use postern_model::sso::FormTarget;
use postern_model::vault::Login;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

/// Names and values of hidden fields, in their order.
pub(super) type Hidden = Vec<(Vec<u8>, Vec<u8>)>;

/// The hidden fields of the first form that has a field for the password; none when there is no such form.
pub(super) fn hidden(page: &[u8], form: &FormTarget) -> Option<Hidden> {
    let mut emitter = DefaultEmitter::<()>::default();
    // What stands in a script or a comment is no form.
    emitter.naively_switch_states(true);
    let mut fields = Hidden::new();
    let (mut in_form, mut found) = (false, false);
    for token in Tokenizer::new_with_emitter(page, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) if &*tag.name == b"form" && !in_form => {
                in_form = true;
                fields.clear();
            }
            Token::StartTag(tag) if &*tag.name == b"input" && in_form => {
                found |= value(&tag, "name") == Some(form.password_field.as_bytes());
                if let Some(field) = hidden_field(&tag).filter(|_| fields.len() < FIELDS_MAX) {
                    fields.push(field);
                }
            }
            Token::EndTag(tag) if &*tag.name == b"form" => {
                if found {
                    break;
                }
                in_form = false;
            }
            Token::StartTag(_)
            | Token::EndTag(_)
            | Token::String(_)
            | Token::Comment(_)
            | Token::Doctype(_)
            | Token::Error(_) => {}
        }
    }
    found.then_some(fields)
}

fn hidden_field(tag: &StartTag<()>) -> Option<(Vec<u8>, Vec<u8>)> {
    let is_hidden = value(tag, "type").is_some_and(|kind| kind.eq_ignore_ascii_case(b"hidden"));
    let name = value(tag, "name").filter(|name| !name.is_empty())?;
    let sent = is_hidden && value(tag, "disabled").is_none();
    sent.then(|| (name.to_vec(), value(tag, "value").unwrap_or_default().to_vec()))
}

fn value<'t>(tag: &'t StartTag<()>, name: &str) -> Option<&'t [u8]> {
    tag.attributes.get(&HtmlString::from(name.as_bytes().to_vec())).map(|value| value.as_slice())
}

/// What is posted (`application/x-www-form-urlencoded`). What the settings and the vault say goes before what the page says.
pub(super) fn content(form: &FormTarget, hidden: &Hidden, login: &Login) -> Zeroizing<String> {
    let bytes = hidden.iter().map(|(name, value)| name.len() + value.len() + 1).sum::<usize>();
    // Room for all of it, each byte as three: a text that grows leaves copies behind.
    let own = form.user_field.len() + form.password_field.len() + login.user().len() + login.password().len();
    let mut content = Zeroizing::new(String::with_capacity(3 * (bytes + own) + form.extra.len() + 16));
    let mut add = |name: &[u8], value: &[u8]| {
        if !content.is_empty() {
            content.push('&');
        }
        content.extend(byte_serialize(name));
        content.push('=');
        content.extend(byte_serialize(value));
    };
    let given = |name: &[u8]| {
        let own = [form.user_field.as_bytes(), form.password_field.as_bytes()].contains(&name);
        own || url::form_urlencoded::parse(form.extra.as_bytes()).any(|(extra, _)| extra.as_bytes() == name)
    };
    hidden.iter().filter(|(name, _)| !given(name)).for_each(|(name, value)| add(name, value));
    add(form.user_field.as_bytes(), login.user().as_bytes());
    add(form.password_field.as_bytes(), login.password().as_bytes());
    if !form.extra.is_empty() {
        content.push('&');
        content.push_str(&form.extra);
    }
    content
}

/// Hidden fields of one form.
const FIELDS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::secret::SecretText;
    use postern_model::sso::FormSettings;

    fn form(extra: &str) -> FormTarget {
        let mut settings = FormSettings::default();
        for (name, value) in [("sso_form_url", "/in"), ("sso_form_success", "status:302")] {
            settings.set(name, value).unwrap();
        }
        if !extra.is_empty() {
            settings.set("sso_form_extra", extra).unwrap();
        }
        settings.target().unwrap()
    }

    fn texts(page: &str) -> Option<Vec<String>> {
        let fields = hidden(page.as_bytes(), &form(""))?;
        let text = |(name, value): &(Vec<u8>, Vec<u8>)| {
            format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
        };
        Some(fields.iter().map(text).collect())
    }

    #[test]
    fn the_hidden_fields_of_the_form_with_the_password_are_taken() {
        let page = r#"<!doctype html><form action=/search><input type=hidden name=q value=no></form>
            <!-- <form><input name=password><input type=hidden name=comment value=no></form> -->
            <script>let x = "<form><input name=password><input type=hidden name=script value=no></form>";</script>
            <FORM method=post><INPUT TYPE=Hidden NAME="csrf" VALUE="a&amp;b&#x2f;&quot;">
            <input type='hidden' name='next'><input type="hidden" name="off" value="1" disabled><input type=hidden value=x>
            <input name=username><input type=password name=password><input type=checkbox name=remember value=1>
            <input type=hidden name=last value="ä"></form>
            <form><input name=password><input type=hidden name=late value=no></form>"#;
        assert_eq!(texts(page).unwrap(), ["csrf=a&b/\"", "next=", "last=ä"]);
    }

    #[test]
    fn a_page_without_the_form_is_none() {
        for page in [
            "",
            "<form><input name=user></form>",
            "<input name=password>",
            "<form></form><input name=password>",
            "\0<form",
        ] {
            assert_eq!(texts(page), None, "{page}");
        }
        assert_eq!(texts("<form><input name=password>"), Some(Vec::new()), "one that the page leaves open");
        let many = "<input type=hidden name=x value=y>".repeat(1_000);
        assert_eq!(texts(&format!("<form>{many}<input name=password></form>")).unwrap().len(), FIELDS_MAX);
    }

    #[test]
    fn a_page_cannot_say_who_signs_in() {
        let login = Login::new(SecretText::new("anna b".into()), SecretText::new("p&=ü+%".into())).unwrap();
        let hidden = vec![
            (b"csrf".to_vec(), b"a&b".to_vec()),
            (b"username".to_vec(), b"root".to_vec()),
            (b"password".to_vec(), b"x".to_vec()),
            (b"action".to_vec(), b"delete".to_vec()),
        ];
        let content = content(&form("action=login"), &hidden, &login);
        assert_eq!(*content, "csrf=a%26b&username=anna+b&password=p%26%3D%C3%BC%2B%25&action=login");
    }
}
