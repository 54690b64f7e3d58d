//! `sso=form`: where the form is, what its fields are called, and how success is told.

use crate::settings::SettingInvalid;

/// The settings `sso_form_…`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FormSettings {
    /// `sso_form_url`: where the form is sent to, a path of the internal URL's host.
    pub url: Option<Box<str>>,
    /// `sso_form_page`: the page with the form. It is read first, for hidden fields and cookies.
    pub page: Option<Box<str>>,
    /// `sso_form_user_field`: the name of the field for the user name. Default `username`.
    pub user_field: Option<Box<str>>,
    /// `sso_form_password_field`: the name of the field for the password. Default `password`.
    pub password_field: Option<Box<str>>,
    /// `sso_form_extra`: what is sent beside them, as a form is sent: `action=login&remember=1`.
    pub extra: Option<Box<str>>,
    /// `sso_form_success`: how success is told.
    pub success: Option<FormSuccess>,
    /// `sso_form_browser_cookies`: cookies that scripts of the application's pages read, `csrftoken,_xsrf`: browsers get them,
    /// too. All others stay in the connector. Default none.
    pub browser_cookies: Vec<Box<str>>,
}

/// How an application says that a sign-in went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormSuccess {
    /// `status:302`.
    Status(u16),
    /// `location:/home`: a redirect to a path that begins so.
    Location(Box<str>),
    /// `cookie:session`: it sets this cookie.
    Cookie(Box<str>),
}

/// A form that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormTarget {
    /// Path and query it is sent to.
    pub url: Box<str>,
    /// Path and query of the page that is read first.
    pub page: Option<Box<str>>,
    /// The field for the user name.
    pub user_field: Box<str>,
    /// The field for the password.
    pub password_field: Box<str>,
    /// What else is sent, encoded already.
    pub extra: Box<str>,
    /// How success is told.
    pub success: FormSuccess,
    /// Cookies that browsers get, too.
    pub browser_cookies: Vec<Box<str>>,
}

impl FormSettings {
    /// Sets one; false when it is none of these.
    ///
    /// # Errors
    /// A value that it cannot have.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool, SettingInvalid> {
        let Some(known) = SSO_FORM.iter().copied().find(|known| *known == name) else { return Ok(false) };
        let unfit = |expected| SettingInvalid::value(known, value, expected);
        match known {
            URL => self.url = Some(path(value).ok_or_else(|| unfit(A_PATH))?),
            PAGE => self.page = Some(path(value).ok_or_else(|| unfit(A_PATH))?),
            USER_FIELD => self.user_field = Some(field(value).ok_or_else(|| unfit(A_FIELD))?),
            PASSWORD_FIELD => self.password_field = Some(field(value).ok_or_else(|| unfit(A_FIELD))?),
            EXTRA => {
                self.extra =
                    Some(encoded(value).ok_or_else(|| unfit("must be name=value&name=value, encoded as forms are"))?)
            }
            BROWSER_COOKIES => {
                let names = value.split(',').map(|name| cookie_name(name.trim())).collect::<Option<Vec<_>>>();
                let names = names.filter(|names| names.len() <= BROWSER_COOKIES_MAX);
                self.browser_cookies =
                    names.ok_or_else(|| unfit("must be names of up to 8 cookies, with commas between them"))?;
            }
            _ => {
                self.success = Some(value.parse().map_err(|()| {
                    unfit("must be status:302, location:/PATH or cookie:NAME: what the application answers to a good sign-in only")
                })?);
            }
        }
        Ok(true)
    }

    /// The form.
    ///
    /// # Errors
    /// What is missing.
    pub fn target(&self) -> Result<FormTarget, &'static str> {
        let or = |given: &Option<Box<str>>, default: &str| given.clone().unwrap_or_else(|| default.into());
        let form = FormTarget {
            url: self.url.clone().ok_or("needs sso_form_url, the path that the sign-in form is sent to")?,
            page: self.page.clone(),
            user_field: or(&self.user_field, "username"),
            password_field: or(&self.password_field, "password"),
            extra: or(&self.extra, ""),
            success: self
                .success
                .clone()
                .ok_or("needs sso_form_success: how the application tells that a sign-in was good")?,
            browser_cookies: self.browser_cookies.clone(),
        };
        if form.user_field == form.password_field {
            return Err("needs two different names in sso_form_user_field and sso_form_password_field");
        }
        Ok(form)
    }
}

impl std::str::FromStr for FormSuccess {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(':').ok_or(())? {
            ("status", status) => {
                let parsed = status.parse().ok().filter(|status| (200..400).contains(status) && *status != 304);
                parsed.map(Self::Status).ok_or(())
            }
            ("location", location) => path(location).map(Self::Location).ok_or(()),
            ("cookie", name) => cookie_name(name).map(Self::Cookie).ok_or(()),
            _ => Err(()),
        }
    }
}

/// An absolute path of one host, perhaps with a query: nothing that leads elsewhere.
fn path(text: &str) -> Option<Box<str>> {
    let visible = |b: u8| b.is_ascii_graphic() && !b"\\#\"<>".contains(&b);
    let fits =
        text.len() <= PATH_BYTES_MAX && text.starts_with('/') && !text.starts_with("//") && text.bytes().all(visible);
    fits.then(|| text.into())
}

fn cookie_name(name: &str) -> Option<Box<str>> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(token);
    fits.then(|| name.into())
}

fn field(text: &str) -> Option<Box<str>> {
    let fits = (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
    fits.then(|| text.into())
}

fn encoded(text: &str) -> Option<Box<str>> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"*-._+%".contains(&b);
    let pair = |pair: &str| {
        pair.split_once('=')
            .is_some_and(|(name, value)| !name.is_empty() && name.bytes().all(allowed) && value.bytes().all(allowed))
    };
    let fits = text.len() <= EXTRA_BYTES_MAX && text.split('&').all(pair);
    fits.then(|| text.into())
}

/// Every name.
pub const SSO_FORM: [&str; 7] = [URL, PAGE, USER_FIELD, PASSWORD_FIELD, EXTRA, SUCCESS, BROWSER_COOKIES];
const URL: &str = "sso_form_url";
const PAGE: &str = "sso_form_page";
const USER_FIELD: &str = "sso_form_user_field";
const PASSWORD_FIELD: &str = "sso_form_password_field";
const EXTRA: &str = "sso_form_extra";
const SUCCESS: &str = "sso_form_success";
const BROWSER_COOKIES: &str = "sso_form_browser_cookies";
const A_PATH: &str = "must be a path of the application such as /login, from the root of its host";
const A_FIELD: &str = "must be a field's name, as the form has it";
const PATH_BYTES_MAX: usize = 1_024;
const NAME_BYTES_MAX: usize = 128;
const BROWSER_COOKIES_MAX: usize = 8;
const EXTRA_BYTES_MAX: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<FormSettings, SettingInvalid> {
        let mut settings = FormSettings::default();
        pairs.iter().try_for_each(|(name, value)| settings.set(name, value).map(|known| assert!(known, "{name}")))?;
        Ok(settings)
    }

    #[test]
    fn a_form_needs_where_and_how_success_is_told() {
        let target = |pairs: &[(&str, &str)]| settings(pairs).unwrap().target();
        assert!(target(&[]).unwrap_err().contains("sso_form_url"));
        assert!(target(&[(URL, "/login")]).unwrap_err().contains("sso_form_success"));
        let form = target(&[(URL, "/login?next=/"), (SUCCESS, "location:/home")]).unwrap();
        assert_eq!((&*form.user_field, &*form.password_field, form.page), ("username", "password", None));
        let same = [(URL, "/login"), (SUCCESS, "cookie:s"), (USER_FIELD, "x"), (PASSWORD_FIELD, "x")];
        assert!(target(&same).unwrap_err().contains("two different"));
        assert_eq!(settings(&[]).unwrap().set("sso_forms", "x"), Ok(false));
    }

    #[test]
    fn what_leads_elsewhere_or_ends_a_line_is_refused() {
        for (name, value) in [
            (URL, "https://evil/"),
            (URL, "//evil/"),
            (URL, "login"),
            (URL, "/a\r\nX: 1"),
            (URL, "/a b"),
            (PAGE, "/\\evil"),
            (USER_FIELD, ""),
            (PASSWORD_FIELD, "a\n"),
            (EXTRA, "a"),
            (EXTRA, "a=b c"),
            (EXTRA, "a=b\r\n"),
            (SUCCESS, "status:500"),
            (SUCCESS, "status:304"),
            (SUCCESS, "location:http://x/"),
            (SUCCESS, "cookie:a b"),
            (SUCCESS, "yes"),
            (BROWSER_COOKIES, ""),
            (BROWSER_COOKIES, "a,b c"),
            (BROWSER_COOKIES, "a,b;c"),
            (BROWSER_COOKIES, "1,2,3,4,5,6,7,8,9"),
        ] {
            assert!(settings(&[(name, value)]).is_err(), "{name}={value:?}");
        }
        assert_eq!(settings(&[(BROWSER_COOKIES, "a, b")]).unwrap().browser_cookies, ["a".into(), "b".into()]);
        assert!(settings(&[(EXTRA, "a=b&c=%20+d")]).is_ok());
    }
}
