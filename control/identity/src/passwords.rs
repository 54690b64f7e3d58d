//! Where users enter the passwords that they are signed on to applications with (`vault_by=users`). What is typed is sealed here, to
//! the key of the application's connectors: control is asked what for, and gets nothing that it could open.

use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use postern_model::identity::{ClientInfo, Refused};
use postern_model::ids::AppId;
use postern_model::portal::{
    OwnSealing, PASSWORDS_PATH, PasswordAction, PasswordAnswer, PasswordRequest, PutOwn, path,
};
use postern_model::secret::SecretText;
use postern_model::vault::{Login, LoginInvalid};

use crate::control::{Control, Unanswered};
use crate::portal::{nobody, see_other};
use crate::request::{Fields, client, is_own_form};
use crate::server::Page;
use crate::sign_in::{bad_request, foreign_form, step, unanswered};
use crate::{cookies, pages};

/// The application that a path is about, by its id and by nothing else.
pub(crate) fn app_of(path: &str) -> Option<AppId> {
    path.strip_prefix(PASSWORDS_PATH)?.parse().ok()
}

/// Answers a request for its page.
pub(crate) async fn answer(control: &Control, head: &Parts, app: AppId, body: &[u8]) -> Response<Page> {
    let headers = &head.headers;
    let asked = match &head.method {
        &Method::GET | &Method::HEAD => Asked::Shown,
        &Method::POST if !is_own_form(headers) => return pages::refused(&foreign_form()),
        &Method::POST => match Fields::parse(body).and_then(asked) {
            Some(asked) => asked,
            None => return bad_request(),
        },
        _ => return pages::empty(StatusCode::METHOD_NOT_ALLOWED), // there is nothing to do with other methods
    };
    let Some(client) = client(headers) else { return bad_request() };
    let visit = Visit { control, headers, app, client };
    let answer = match asked {
        Asked::Shown => visit.ask(PasswordAction::Show {}).await,
        Asked::Removed => visit.ask(PasswordAction::Remove {}).await,
        Asked::Entered(entered) => visit.enter(entered).await,
    };
    visit.page(answer)
}

/// What a form asks for.
enum Asked {
    Shown,
    Entered(Entered),
    Removed,
}

/// What was typed.
struct Entered {
    name: SecretText,
    password: SecretText,
}

/// One request for one application's page.
struct Visit<'a> {
    control: &'a Control,
    headers: &'a HeaderMap,
    app: AppId,
    client: ClientInfo,
}

fn asked(mut fields: Fields) -> Option<Asked> {
    let entered =
        Entered { name: SecretText::new(fields.take("name")), password: SecretText::new(fields.take("password")) };
    match fields.get("action") {
        "save" => Some(Asked::Entered(entered)),
        "remove" => Some(Asked::Removed),
        _ => None,
    }
}

impl Visit<'_> {
    /// Whose it is control learns by the browser's cookie alone.
    async fn ask(&self, action: PasswordAction) -> Result<PasswordAnswer, Unanswered> {
        let Some(browser) = cookies::browser(self.headers) else { return Ok(PasswordAnswer::Nobody {}) };
        let request = PasswordRequest { browser, app: self.app, action, client: self.client.clone() };
        self.control.ask(path::PASSWORD, &request).await
    }

    /// Sealed before anybody else has it; what control refuses or asks for first is answered instead.
    async fn enter(&self, entered: Entered) -> Result<PasswordAnswer, Unanswered> {
        let answer = self.ask(PasswordAction::Seal {}).await?;
        let PasswordAnswer::Sealing(sealing) = &answer else { return Ok(answer) };
        match sealed(sealing, entered) {
            Ok(put) => self.ask(PasswordAction::Put(Box::new(put))).await,
            Err(refused) => Ok(PasswordAnswer::Refused(refused)),
        }
    }

    fn page(&self, answer: Result<PasswordAnswer, Unanswered>) -> Response<Page> {
        let address = format!("{PASSWORDS_PATH}{}", self.app);
        match answer {
            Ok(PasswordAnswer::Nobody {}) => nobody(""),
            Ok(PasswordAnswer::Absent {}) => pages::not_found(),
            Ok(PasswordAnswer::Step(next)) => step(Ok(*next), |location| Some(pages::goes_on(location))),
            Ok(PasswordAnswer::Refused(refused)) => pages::portal::refused(&address, &refused),
            Ok(PasswordAnswer::Done {}) => see_other(&address),
            Ok(PasswordAnswer::Page(page)) => pages::portal::password(&page),
            // Only who enters one asks for that.
            Ok(PasswordAnswer::Sealing(_)) => bad_request(),
            Err(error) => unanswered(&error),
        }
    }
}

/// What control keeps of it.
fn sealed(sealing: &OwnSealing, entered: Entered) -> Result<PutOwn, Refused> {
    let refuse = |code: &str, detail: String| Refused { code: code.into(), detail, retry_after_s: None };
    let unfit = |invalid| refuse("vault-login-invalid", in_words(invalid));
    let login = Login::new(entered.name, entered.password).map_err(unfit)?;
    if sealing.basic {
        login.check_basic().map_err(unfit)?;
    }
    let OwnSealing { purpose, key, .. } = sealing;
    let sealed = key.seal(&login, purpose);
    let sealed =
        sealed.ok_or_else(|| refuse("internal", "The password could not be sealed. It is not stored.".into()))?;
    Ok(PutOwn { origin: purpose.origin.clone(), key: key.fingerprint(), sealed })
}

fn in_words(invalid: LoginInvalid) -> String {
    match invalid {
        LoginInvalid::Colon => "The user name must not hold a colon.".into(),
        LoginInvalid::UserLength | LoginInvalid::PasswordLength | LoginInvalid::Control | LoginInvalid::Damaged => {
            let text = invalid.to_string();
            let (first, rest) = text.split_at(1);
            format!("{}{rest}.", first.to_uppercase())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::vault::{Credential, Purpose, SetBy, VaultKeyPair};

    fn of_form(form: &str) -> Option<Asked> {
        Fields::parse(form.as_bytes()).and_then(asked)
    }

    fn entered(name: &str, password: &str) -> Entered {
        Entered { name: SecretText::new(name.into()), password: SecretText::new(password.into()) }
    }

    fn sealing(pair: &VaultKeyPair, basic: bool) -> OwnSealing {
        let purpose = Purpose {
            app: "a1-7".parse().unwrap(),
            owner: "u1-3".parse().unwrap(),
            origin: "https://crm.internal".into(),
        };
        OwnSealing { purpose, key: pair.public, basic }
    }

    #[test]
    fn only_ids_name_applications() {
        assert_eq!(app_of("/passwords/a1-7"), "a1-7".parse().ok());
        for wrong in ["/passwords/", "/passwords", "/passwords/crm", "/passwords/a1-7/", "/passwords/../a1-7", "/a1-7"]
        {
            assert_eq!(app_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_form_enters_or_removes_and_names_nobody() {
        let Some(Asked::Entered(entered)) = of_form("action=save&name=ABERG&password=a%26+b&user=u1-9&app=a1-9") else {
            panic!("nothing is entered")
        };
        assert_eq!((entered.name.expose(), entered.password.expose()), ("ABERG", "a& b"));
        assert!(matches!(of_form("action=remove"), Some(Asked::Removed)));
        for wrong in ["", "action=", "action=show", "name=a&password=b", "action=save&password=a&password=b"] {
            assert!(of_form(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn control_gets_nothing_but_what_connectors_alone_open() {
        let pair = VaultKeyPair::generate().unwrap();
        let sealing = sealing(&pair, true);
        let put = sealed(&sealing, entered("ABERG", "hunter2 hunter2")).unwrap();
        let told = serde_json::to_string(&PasswordAction::Put(Box::new(put.clone()))).unwrap();
        assert!(!told.contains("ABERG") && !told.contains("hunter2"), "{told}");
        let credential = Credential {
            purpose: sealing.purpose.clone(),
            key: put.key,
            sealed: put.sealed,
            set_unix_ms: 1,
            by: SetBy::User,
        };
        let login = pair.secret.open(&credential, &sealing.purpose).unwrap();
        assert_eq!((login.user(), login.password()), ("ABERG", "hunter2 hunter2"));
    }

    #[test]
    fn what_cannot_be_a_login_is_refused_in_words() {
        let pair = VaultKeyPair::generate().unwrap();
        let refused = |basic, name: &str, password: &str| {
            sealed(&sealing(&pair, basic), entered(name, password)).map(drop).map_err(|refused| {
                assert_eq!(refused.code, "vault-login-invalid");
                assert!(!refused.detail.contains("sso="), "{}", refused.detail);
                refused.detail
            })
        };
        assert_eq!(refused(true, "a:b", "x").unwrap_err(), "The user name must not hold a colon.");
        assert_eq!(refused(false, "a:b", "x"), Ok(()));
        assert_eq!(refused(false, "", "x").unwrap_err(), "The user name must have 1 to 256 bytes.");
        assert_eq!(refused(false, "a", "").unwrap_err(), "The password must have 1 to 1024 bytes.");
        assert!(refused(false, "a", "x\r\ny").unwrap_err().contains("control characters"));
    }
}
