//! `postern user …`.

use std::time::SystemTime;

use anyhow::Result;
use postern_model::admin::{
    Changed, CreateUser, LinkUser, SetPassword, SetUser, USERS_LIMIT_MAX, UserChanged, UserDetail, UsersPage, path,
};
use postern_model::directory::{User, Via};

use super::Context;
use super::assign::assignment_line;
use crate::args::{LinkArgs, UserCommand, UserCreateArgs, UserListArgs, UserSetArgs};
use crate::client::segment;
use crate::output::{Output, details};
use crate::password;
use crate::time_text::{relative, relative_ms, utc};

pub(super) fn run(context: &Context, command: UserCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        UserCommand::Create(args) => create(context, args),
        UserCommand::List(args) => list(context, args),
        UserCommand::Show { name } => {
            let user: UserDetail = client.get(&path::user(&tenant, &segment(&name)))?;
            output.show(&user, show)
        }
        UserCommand::Set(args) => {
            let target = path::user(&tenant, &segment(&args.name));
            done(*output, &client.patch(&target, &change(args))?, "is changed")
        }
        UserCommand::Disable { name } => {
            let asked = SetUser { enabled: Some(false), ..SetUser::default() };
            done(*output, &client.patch(&path::user(&tenant, &segment(&name)), &asked)?, "is disabled")
        }
        UserCommand::Enable { name } => {
            let asked = SetUser { enabled: Some(true), ..SetUser::default() };
            done(*output, &client.patch(&path::user(&tenant, &segment(&name)), &asked)?, "is enabled")
        }
        UserCommand::Password { name, source } => {
            let password = match password::given(&source)? {
                Some(password) => password,
                None => password::asked(&name)?,
            };
            let target = path::password(&tenant, &segment(&name));
            done(*output, &client.put(&target, &SetPassword { password })?, "has a new password")
        }
        UserCommand::Factor(command) => super::factor::run(context, command),
        UserCommand::Link { name, whose } => link(context, &name, whose, false),
        UserCommand::Unlink { name, whose } => link(context, &name, whose, true),
        UserCommand::Delete { name } => {
            let changed: Changed = client.delete(&path::user(&tenant, &segment(&name)))?;
            output.changed(&changed, &format!("user {name} deleted"), &changed.warnings)
        }
    }
}

fn link(context: &Context, name: &str, whose: LinkArgs, remove: bool) -> Result<()> {
    let Context { client, output } = context;
    let LinkArgs { idp, sub } = whose;
    let line = format!("user {name} is {} {sub:?} of {idp}", if remove { "no longer" } else { "from now on" });
    let asked = LinkUser { provider: idp, subject: sub, remove };
    let changed: Changed = client.post(&path::user_link(&client.tenant(), &segment(name)), &asked)?;
    output.changed(&changed, &line, &changed.warnings)
}

fn create(context: &Context, args: UserCreateArgs) -> Result<()> {
    let Context { client, output } = context;
    let password = match password::given(&args.source)? {
        None if args.password => Some(password::asked(args.login.as_str())?),
        given => given,
    };
    let without = password.is_none();
    let asked = CreateUser {
        login: args.login,
        display_name: args.display_name.unwrap_or_default(),
        mail: args.mail,
        attributes: args.attributes.into_iter().collect(),
        guest: args.guest,
        expires_unix: args.expires.and_then(|expires| expires.unix(SystemTime::now())),
        password,
    };
    let made: UserChanged = client.post(&path::users(&client.tenant()), &asked)?;
    let hint = if without { ", without a password" } else { "" };
    output.changed(&made, &format!("user {} ({}) made{hint}", made.user.login, made.user.id), &made.warnings)
}

/// Page by page, until there are as many as were asked for.
fn list(context: &Context, args: UserListArgs) -> Result<()> {
    let Context { client, output } = context;
    let mut all = UsersPage { items: Vec::new(), next: args.after };
    let filter = args.filter.as_deref().map(|text| format!("&filter={}", segment(text))).unwrap_or_default();
    loop {
        let left = args.limit - u32::try_from(all.items.len()).unwrap_or(args.limit);
        let after = all.next.as_ref().map(|login| format!("&after={}", segment(login.as_str()))).unwrap_or_default();
        let query = format!("?limit={}{after}{filter}", left.min(USERS_LIMIT_MAX));
        let page: UsersPage = client.get(&format!("{}{query}", path::users(&client.tenant())))?;
        all.items.extend(page.items);
        all.next = page.next;
        if all.next.is_none() || all.items.len() >= args.limit as usize {
            break;
        }
    }
    output.show(&all, |all| table(*output, &all.items))?;
    let more = all.next.map(|last| format!("there are more: see --limit, --filter, or --after {last}"));
    output.warn(&more.into_iter().collect::<Vec<_>>());
    Ok(())
}

fn change(args: UserSetArgs) -> SetUser {
    let attribute = |(name, value): (_, postern_model::directory::Line<_>)| {
        let value = (!value.as_str().is_empty()).then_some(value);
        (name, value)
    };
    SetUser {
        login: args.login,
        display_name: args.display_name,
        mail: args.mail.map(|change| change.0),
        attributes: args.attributes.into_iter().map(attribute).collect(),
        guest: if args.guest { Some(true) } else { args.member.then_some(false) },
        expires_unix: args.expires.map(|expires| expires.unix(SystemTime::now())),
        enabled: None,
    }
}

fn done(output: Output, changed: &UserChanged, what: &str) -> Result<()> {
    output.changed(changed, &format!("user {} {what}", changed.user.login), &changed.warnings)
}

fn table(output: Output, users: &[User]) -> String {
    let now = SystemTime::now();
    let table = output.table(["ID", "LOGIN", "NAME", "KIND", "ENABLED", "PASSWORD", "EXPIRES"]).rows(users, |user| {
        [
            user.id.to_string(),
            user.login.to_string(),
            user.display_name.to_string(),
            user.kind.as_str().into(),
            crate::output::yes_no(user.enabled),
            user.password_set_unix_ms.map(|set| relative_ms(set, now)).unwrap_or_default(),
            user.kind.expires_unix().map(|end| relative(end, now)).unwrap_or_default(),
        ]
    });
    table.render("no users; make one: postern user create LOGIN")
}

fn show(detail: &UserDetail) -> String {
    let (user, now) = (&detail.user, SystemTime::now());
    let attributes: Vec<String> = user.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let groups: Vec<String> =
        detail.groups.iter().map(|group| format!("{} ({})", group.name, via(group.via))).collect();
    let assignments: Vec<String> = detail
        .assignments
        .iter()
        .map(|assignment| format!("{}: {}", assignment.app, assignment_line(assignment)))
        .collect();
    let end = user.kind.expires_unix().map(|end| format!(", until {}", utc(end))).unwrap_or_default();
    let state = match (user.enabled, detail.active) {
        (true, true) => "enabled",
        (true, false) => "their time is over: groups and assignments count for nothing",
        (false, _) => "disabled: groups and assignments count for nothing",
    };
    details(&[
        ("id", user.id.to_string()),
        ("login", user.login.to_string()),
        ("name", user.display_name.to_string()),
        ("mail", user.mail.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("kind", format!("{}{end}", user.kind.as_str())),
        ("state", state.into()),
        ("password", user.password_set_unix_ms.map_or("none".into(), |set| format!("set {}", relative_ms(set, now)))),
        ("made", relative_ms(user.created_unix_ms, now)),
        ("follows", detail.source.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("attributes", attributes.join("\n")),
        ("groups", groups.join("\n")),
        ("assigned to", assignments.join("\n")),
    ])
}

/// How someone comes to be in a group.
pub(super) const fn via(via: Via) -> &'static str {
    match via {
        Via::Direct => "direct",
        Via::Rule => "by its rule",
        Via::Nested => "through a group in it",
    }
}
