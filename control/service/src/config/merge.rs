//! Environment and file become words of the command line: those that no flag displaces, each checked on its own first.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Id};

use super::Sources;
use super::file::{Entry, File, Scalar, Value};
use crate::failure::Failure;
use crate::suggest;

/// The command line with everything that environment and file add, still to be parsed for good.
pub(super) fn merged_argv(command: &Command, sources: Sources<'_>) -> Result<Vec<OsString>, Failure> {
    let mut command = command.clone();
    command.build();
    // What is missing may come from elsewhere, and what is wrong the real parser says better: only `--help` ends it here.
    let looked_at = command.clone().ignore_errors(true);
    let Ok(given) = looked_at.try_get_matches_from(sources.argv) else {
        return Ok(sources.argv.to_vec());
    };
    let mut merge = Merge::new(&command, &given);
    merge.add_environment(sources.environment)?;
    if let Some(path) = config_path(&given, sources.environment) {
        merge.add_file(&File::read(&path)?)?;
    }
    Ok(merge.into_argv(sources.argv))
}

fn config_path(given: &ArgMatches, environment: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let flag = given.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    flag.or_else(|| environment("POSTERN_CONFIG").map(PathBuf::from))
}

struct Merge<'a> {
    command: &'a Command,
    /// The words to add, by argument; an argument settled by a stronger source is present, perhaps with no words.
    settled: HashMap<Id, Vec<OsString>>,
    order: Vec<Id>,
}

impl<'a> Merge<'a> {
    fn new(command: &'a Command, given: &ArgMatches) -> Self {
        let mut merge = Self { command, settled: HashMap::new(), order: Vec::new() };
        for arg in command.get_arguments() {
            // Help and version carry no value and are not asked for: parsing would have ended there.
            let source = given
                .try_contains_id(arg.get_id().as_str())
                .ok()
                .and_then(|_| given.value_source(arg.get_id().as_str()));
            if source == Some(ValueSource::CommandLine) {
                merge.settle(arg, Vec::new());
            }
        }
        merge
    }

    fn add_environment(&mut self, environment: &dyn Fn(&str) -> Option<OsString>) -> Result<(), Failure> {
        for arg in settable(self.command) {
            if self.is_settled(arg) {
                continue;
            }
            let Some((name, value)) = variable(self.command, arg, environment)? else {
                continue;
            };
            let words =
                self.words_of_variable(arg, &value).map_err(|what| Failure::usage(format!("{name}: {what}")))?;
            self.settle(arg, words);
        }
        Ok(())
    }

    fn add_file(&mut self, file: &File) -> Result<(), Failure> {
        let before: Vec<Id> = self.settled.keys().cloned().collect();
        for entry in &file.entries {
            let Some(arg) = settable(self.command).find(|arg| arg.get_long() == Some(&entry.key)) else {
                return Err(file.refuse(entry.line, &self.unknown_key(&entry.key)));
            };
            let words = self.words_of_entry(arg, entry).map_err(|(line, what)| file.refuse(line, &what))?;
            if !before.contains(arg.get_id()) {
                self.insert(arg.get_id(), words);
            }
        }
        Ok(())
    }

    fn is_settled(&self, arg: &Arg) -> bool {
        self.settled.contains_key(arg.get_id())
    }

    /// Fixes an argument, and with it those that cannot stand beside it: a weaker source no longer reaches them.
    fn settle(&mut self, arg: &Arg, words: Vec<OsString>) {
        self.insert(arg.get_id(), words);
        for other in settable(self.command) {
            if excludes(self.command, arg, other) && !self.settled.contains_key(other.get_id()) {
                self.insert(other.get_id(), Vec::new());
            }
        }
    }

    fn insert(&mut self, id: &Id, words: Vec<OsString>) {
        self.settled.insert(id.clone(), words);
        self.order.push(id.clone());
    }

    fn words_of_variable(&self, arg: &Arg, value: &OsStr) -> Result<Vec<OsString>, String> {
        if takes_value(arg) {
            let word = word(arg, value);
            self.check(&word, &value.to_string_lossy())
                .map_err(|what| format!("`{}`: {what}", value.to_string_lossy()))?;
            return Ok(vec![word]);
        }
        match value.to_str() {
            Some("true" | "1") => Ok(vec![switch(arg)]),
            Some("false" | "0" | "") => Ok(Vec::new()),
            Some(_) | None => Err(format!("`{}`: must be true or false", value.to_string_lossy())),
        }
    }

    /// The words for one line of the file, or the line and what is wrong with it.
    fn words_of_entry(&self, arg: &Arg, entry: &Entry) -> Result<Vec<OsString>, (usize, String)> {
        let repeats = matches!(arg.get_action(), ArgAction::Append) || arg.get_value_delimiter().is_some();
        let scalars: &[Scalar] = match (&entry.value, takes_value(arg)) {
            (Value::Switch(on), false) => {
                return Ok(if *on { vec![switch(arg)] } else { Vec::new() });
            }
            (Value::Switch(on), true) if accepts_switch(arg) => {
                return Ok(vec![word(arg, on.to_string().as_ref())]);
            }
            (Value::One(scalar), true) => std::slice::from_ref(scalar),
            (Value::List(scalars), true) if repeats => scalars,
            (found, takes_value) => {
                return Err((
                    entry.line,
                    format!("`{}` must be {}, not {}", entry.key, expected(takes_value, repeats, found), found.kind()),
                ));
            }
        };
        let mut words = Vec::with_capacity(scalars.len());
        for scalar in scalars {
            let word = word(arg, scalar.text.as_ref());
            self.check(&word, &scalar.text)
                .map_err(|what| (scalar.line, format!("`{}` = `{}`: {what}", entry.key, scalar.text)))?;
            words.push(word);
        }
        Ok(words)
    }

    /// Parses one word alone; the error is the value parser's own, without clap's frame.
    fn check(&self, word: &OsStr, text: &str) -> Result<(), String> {
        let Err(error) = self.command.clone().try_get_matches_from([OsStr::new("check"), word]) else {
            return Ok(());
        };
        // One word alone lacks what the command needs besides; values are checked before that.
        if error.kind() == ErrorKind::MissingRequiredArgument {
            return Ok(());
        }
        if let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue) {
            let hint = suggest::nearest(text, valid.iter().map(String::as_str));
            let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            return Err(format!("must be one of {}{hint}", valid.join(", ")));
        }
        Err(std::error::Error::source(&error).map_or_else(|| "invalid value".to_owned(), ToString::to_string))
    }

    fn unknown_key(&self, key: &str) -> String {
        let known: Vec<&str> = settable(self.command).filter_map(Arg::get_long).collect();
        match suggest::nearest(key, known.iter().copied()) {
            Some(name) => format!("unknown key `{key}`; did you mean `{name}`?"),
            None if key == "config" => "unknown key `config`".to_owned(),
            None => format!("unknown key `{key}`; known keys: {}", known.join(", ")),
        }
    }

    /// Added words go straight after the program's name: what the command line says itself keeps its order.
    fn into_argv(mut self, argv: &[OsString]) -> Vec<OsString> {
        let added: Vec<OsString> =
            self.order.iter().flat_map(|id| self.settled.remove(id).unwrap_or_default()).collect();
        let (program, rest) = argv.split_at(argv.len().min(1));
        program.iter().cloned().chain(added).chain(rest.iter().cloned()).collect()
    }
}

/// The arguments that environment and file may set.
fn settable(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        let asks_only = matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        );
        !asks_only && !arg.is_hide_set() && arg.get_long().is_some_and(|long| long != "config")
    })
}

/// The variable that sets an argument: its own, or the one with `_FILE` that names a file with the value.
fn variable(
    command: &Command,
    arg: &Arg,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<(String, OsString)>, Failure> {
    let long = arg.get_long().unwrap_or_default();
    let name = format!("POSTERN_{}", long.to_uppercase().replace('-', "_"));
    if let Some(value) = environment(&name) {
        return Ok(Some((name, value)));
    }
    let file_is_a_flag = command.get_arguments().any(|other| other.get_long() == Some(&format!("{long}-file")));
    let name = format!("{name}_FILE");
    let Some(path) = environment(&name).filter(|_| !file_is_a_flag) else {
        return Ok(None);
    };
    let path = Path::new(&path);
    let value = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{name}: cannot read {}: {error}", path.display())))?;
    Ok(Some((name, value.trim_end_matches(['\r', '\n']).into())))
}

fn excludes(command: &Command, arg: &Arg, other: &Arg) -> bool {
    let conflicts = |a: &Arg, b: &Arg| command.get_arg_conflicts_with(a).iter().any(|arg| arg.get_id() == b.get_id());
    let in_one_group = command.get_groups().any(|group| {
        let members: Vec<&Id> = group.get_args().collect();
        !group.clone().is_multiple() && members.contains(&arg.get_id()) && members.contains(&other.get_id())
    });
    arg.get_id() != other.get_id() && (in_one_group || conflicts(arg, other) || conflicts(other, arg))
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn accepts_switch(arg: &Arg) -> bool {
    arg.get_possible_values().iter().any(|value| value.matches("true", false))
}

fn expected(takes_value: bool, repeats: bool, found: &Value) -> &'static str {
    match (takes_value, repeats) {
        (false, _) => "true or false",
        (true, true) => "text or a list",
        (true, false) if matches!(found, Value::List(_)) => "a single value",
        (true, false) => "text or a number",
    }
}

/// `--name=value`: the form that takes any value, also one with a leading dash.
fn word(arg: &Arg, value: &OsStr) -> OsString {
    let mut word = switch(arg);
    word.push("=");
    word.push(value);
    word
}

fn switch(arg: &Arg) -> OsString {
    format!("--{}", arg.get_long().unwrap_or_default()).into()
}
