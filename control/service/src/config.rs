//! Settings from four places, the earlier one winning: flag, environment (`POSTERN_LISTEN`, or `POSTERN_LISTEN_FILE` naming a
//! file with the value), the file of `--config` (TOML, keys named as the flags), the default.
//!
//! It works on any clap parser: what environment and file say is checked value by value, so that a mistake is reported
//! with its variable or its file and line, and then put before the command line's own words.

mod file;
mod merge;

use std::ffi::OsString;

use clap::Parser;

use crate::failure::Failure;

/// Where a program's settings come from, apart from the file that they may name.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The command line, the program's name first.
    pub argv: &'a [OsString],
    /// Looks an environment variable up.
    pub environment: &'a dyn Fn(&str) -> Option<OsString>,
}

/// Parses this process's settings. A [`Failure`] in usage ends with 2; `--help` and `--version` are a failure with status 0, so that `main`
/// returns in one way only.
pub fn parse<A: Parser>() -> Result<A, Failure> {
    let argv: Vec<OsString> = std::env::args_os().collect();
    parse_from(Sources { argv: &argv, environment: &|name| std::env::var_os(name) })
}

/// As [`parse`], from given sources: for reloads with a remembered command line, and for tests.
pub fn parse_from<A: Parser>(sources: Sources<'_>) -> Result<A, Failure> {
    let command = with_sources_explained(A::command());
    let argv = merge::merged_argv(&command, sources)?;
    let matches = command.try_get_matches_from(argv).map_err(|error| clap_failure(&error))?;
    A::from_arg_matches(&matches).map_err(|error| clap_failure(&error))
}

/// Every daemon's help ends with where else its options may stand.
fn with_sources_explained(command: clap::Command) -> clap::Command {
    let own = command.get_after_help().map(|own| format!("{own}\n\n")).unwrap_or_default();
    command.after_help(own + SOURCES_EXPLAINED)
}

const SOURCES_EXPLAINED: &str = "Every option can also be given in the environment (POSTERN_ and the flag's name, or \
    with _FILE appended the path of a file that holds the value) or in the file of --config. A flag wins over the \
    environment, that over the file.";

/// Clap's own text is complete: several lines with usage and suggestions.
fn clap_failure(error: &clap::Error) -> Failure {
    let status = u8::try_from(error.exit_code()).unwrap_or(crate::failure::EXIT_USAGE);
    let colours = if error.use_stderr() { crate::logging::colours() } else { crate::logging::stdout_colours() };
    let text = error.render();
    Failure::verbatim(if colours { text.ansi().to_string() } else { text.to_string() }, status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::net::SocketAddr;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    #[derive(Parser, Debug)]
    #[command(name = "postern-test", after_help = "Examples: none")]
    struct Args {
        #[command(flatten)]
        service: crate::ServiceArgs,
        #[arg(long)]
        state_dir: PathBuf,
        #[arg(long, value_delimiter = ',')]
        listen: Vec<SocketAddr>,
        #[arg(long)]
        relay: Vec<String>,
        #[arg(long, default_value_t = 1)]
        workers: u32,
        #[arg(long, value_enum, default_value_t = Io::Auto)]
        io: Io,
        #[arg(long)]
        verbose: bool,
        #[arg(long, conflicts_with = "trust_anchor")]
        control: Option<String>,
        #[arg(long)]
        trust_anchor: Option<PathBuf>,
        #[arg(long)]
        token_file: Option<PathBuf>,
    }

    #[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq)]
    enum Io {
        Auto,
        Uring,
        Epoll,
    }

    struct World {
        folder: tempfile::TempDir,
        environment: HashMap<String, OsString>,
    }

    impl World {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap(), environment: HashMap::new() }
        }

        fn file(&self, text: &str) -> PathBuf {
            let path = self.folder.path().join("postern.toml");
            std::fs::write(&path, text).unwrap();
            path
        }

        fn set(mut self, name: &str, value: impl Into<OsString>) -> Self {
            self.environment.insert(name.to_owned(), value.into());
            self
        }

        fn parse(&self, words: &[&str]) -> Result<Args, Failure> {
            let argv: Vec<OsString> =
                std::iter::once("postern-test").chain(words.iter().copied()).map(Into::into).collect();
            parse_from(Sources { argv: &argv, environment: &|name| self.environment.get(name).cloned() })
        }

        /// Parses with a configuration file and gives the error without the folder's name.
        fn refusal(&self, text: &str) -> String {
            let path = self.file(text);
            let failure = self.parse(&["--config", path.to_str().unwrap(), "--state-dir", "/s"]).unwrap_err();
            assert_eq!(failure.exit_status(), crate::failure::EXIT_USAGE);
            failure.to_string().replace(&format!("{}/", self.folder.path().display()), "")
        }
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn flag_over_environment_over_file_over_default() {
        let world = World::new();
        let path = world.file("state-dir = '/file'\nworkers = 2\nio = 'epoll'\ngrace-period = 5\n");
        let config = path.to_str().unwrap();
        let args = world.parse(&["--config", config]).unwrap();
        assert_eq!((args.state_dir.as_path(), args.workers, args.io), (Path::new("/file"), 2, Io::Epoll));
        assert_eq!(args.service.grace_period, Duration::from_secs(5));
        assert!(args.listen.is_empty());

        let world = world.set("POSTERN_WORKERS", "3").set("POSTERN_STATE_DIR", "/env");
        let args = world.parse(&["--config", config]).unwrap();
        assert_eq!((args.state_dir.as_path(), args.workers), (Path::new("/env"), 3));

        let args = world.parse(&["--config", config, "--workers", "4"]).unwrap();
        assert_eq!((args.state_dir.as_path(), args.workers), (Path::new("/env"), 4));
        assert_eq!(World::new().parse(&["--state-dir", "/s"]).unwrap().workers, 1);
    }

    #[test]
    fn the_environment_names_the_file_too() {
        let world = World::new();
        let path = world.file("state-dir = '/file'");
        let world = world.set("POSTERN_CONFIG", path);
        assert_eq!(world.parse(&[]).unwrap().state_dir, Path::new("/file"));
    }

    #[test]
    fn lists_and_switches() {
        let world = World::new();
        let path = world.file("state-dir = '/s'\nlisten = ['127.0.0.1:1', '[::1]:2']\nrelay = 'a:1'\nverbose = true\n");
        let config = path.to_str().unwrap();
        let args = world.parse(&["--config", config]).unwrap();
        assert_eq!(args.listen, addresses(&["127.0.0.1:1", "[::1]:2"]));
        assert_eq!(args.relay, ["a:1"]);
        assert!(args.verbose);

        let args = world.parse(&["--config", config, "--relay", "b:1", "--relay", "c:1"]).unwrap();
        assert_eq!(args.relay, ["b:1", "c:1"], "a flag replaces the file's list");

        let world = world.set("POSTERN_LISTEN", "127.0.0.1:3,127.0.0.1:4").set("POSTERN_VERBOSE", "false");
        let args = world.parse(&["--config", config]).unwrap();
        assert_eq!(args.listen, addresses(&["127.0.0.1:3", "127.0.0.1:4"]));
        assert!(!args.verbose, "false in the environment wins over true in the file");
    }

    #[test]
    fn a_variable_can_name_a_file_with_the_value() {
        let world = World::new();
        let path = world.file("/from/file\n");
        let world = world.set("POSTERN_STATE_DIR_FILE", path).set("POSTERN_TOKEN_FILE", "/run/token");
        let args = world.parse(&[]).unwrap();
        assert_eq!(args.state_dir, Path::new("/from/file"));
        assert_eq!(args.token_file.as_deref(), Some(Path::new("/run/token")), "a flag of its own is not a _FILE");

        let world = World::new().set("POSTERN_STATE_DIR_FILE", "/missing/file");
        let refused = world.parse(&[]).unwrap_err().to_string();
        assert!(refused.starts_with("POSTERN_STATE_DIR_FILE: cannot read /missing/file: "), "{refused}");
    }

    #[test]
    fn mistakes_in_the_file_name_file_line_and_cure() {
        let world = World::new();
        for (text, expected) in [
            ("workers = 1\n\nlisen = ['127.0.0.1:1']\n", "postern.toml:3: unknown key `lisen`; did you mean `listen`?"),
            ("state_dir = '/s'\n", "postern.toml:1: unknown key `state_dir`; did you mean `state-dir`?"),
            ("\nconfig = 'x'\n", "postern.toml:2: unknown key `config`"),
            ("[listen]\nport = 1\n", "postern.toml:1: `listen` must be text or a list, not a table"),
            ("workers = 1\n[relay.a]\nx = 1\n", "postern.toml:2: `relay` must be text or a list, not a table"),
            ("workers = 'many'\n", "postern.toml:1: `workers` = `many`: invalid digit found in string"),
            ("workers = [1, 2]\n", "postern.toml:1: `workers` must be a single value, not a list"),
            ("verbose = 'yes'\n", "postern.toml:1: `verbose` must be true or false, not text"),
            ("state-dir = true\n", "postern.toml:1: `state-dir` must be text or a number, not true or false"),
            (
                "listen = [\n'127.0.0.1:1',\n'nonsense']\n",
                "postern.toml:3: `listen` = `nonsense`: invalid socket address syntax",
            ),
            (
                "io = 'epol'\n",
                "postern.toml:1: `io` = `epol`: must be one of auto, uring, epoll; did you mean `epoll`?",
            ),
            (
                "grace-period = 'soon'\n",
                "postern.toml:1: `grace-period` = `soon`: `soon` is not a duration; write for example 30, 500ms, 30s, 5m, 1h30m or 7d",
            ),
        ] {
            assert_eq!(world.refusal(text), expected);
        }
        let syntax = world.refusal("workers = 1\nlisten = = 2\n");
        assert!(syntax.starts_with("postern.toml:2: "), "{syntax}");
        let unknown = world.refusal("colour = 1\n");
        assert!(unknown.starts_with("postern.toml:1: unknown key `colour`; known keys: "), "{unknown}");
        assert!(unknown.contains("state-dir"), "{unknown}");
    }

    #[test]
    fn mistakes_in_the_environment_name_the_variable() {
        for (name, value, expected) in [
            ("POSTERN_WORKERS", "x", "POSTERN_WORKERS: `x`: invalid digit found in string"),
            ("POSTERN_VERBOSE", "maybe", "POSTERN_VERBOSE: `maybe`: must be true or false"),
        ] {
            let failure = World::new().set(name, value).parse(&["--state-dir", "/s"]).unwrap_err();
            assert_eq!(failure.to_string(), expected);
            assert_eq!(failure.exit_status(), crate::failure::EXIT_USAGE);
        }
    }

    #[test]
    fn a_flag_displaces_what_it_conflicts_with() {
        let world = World::new();
        let path = world.file("state-dir = '/s'\ntrust-anchor = '/ca.pem'\n");
        let args = world.parse(&["--config", path.to_str().unwrap(), "--control", "unix:/x"]).unwrap();
        assert_eq!(args.trust_anchor, None);
        assert_eq!(args.control.as_deref(), Some("unix:/x"));
    }

    #[derive(Parser, Debug)]
    #[command(group = clap::ArgGroup::new("one").required(true).args(["red", "blue"]))]
    struct Needy {
        #[arg(long)]
        config: Option<PathBuf>,
        #[arg(long, required_unless_present = "anchor")]
        control: Option<String>,
        #[arg(long, conflicts_with = "control")]
        anchor: Option<String>,
        #[arg(long, value_delimiter = ',', required = true)]
        listen: Vec<SocketAddr>,
        #[arg(long)]
        red: Option<u32>,
        #[arg(long)]
        blue: Option<u32>,
    }

    #[test]
    fn what_is_required_may_come_from_the_file() {
        let world = World::new();
        let path = world.file("control = 'unix:/x'\nlisten = ['127.0.0.1:1']\nred = 1\n");
        let parse = |words: &[&str]| {
            let argv: Vec<OsString> = ["needy", "--config"]
                .iter()
                .map(OsString::from)
                .chain([path.clone().into()])
                .chain(words.iter().map(OsString::from))
                .collect();
            parse_from::<Needy>(Sources { argv: &argv, environment: &|_| None })
        };
        let args = parse(&[]).unwrap();
        assert_eq!((args.control.as_deref(), args.red), (Some("unix:/x"), Some(1)));
        assert_eq!((args.listen, args.config), (addresses(&["127.0.0.1:1"]), Some(path.clone())));
        let args = parse(&["--anchor", "a", "--blue", "2"]).unwrap();
        assert_eq!((args.control, args.anchor.as_deref()), (None, Some("a")));
        assert_eq!((args.red, args.blue), (None, Some(2)));
        world.file("listen = ['127.0.0.1:1']\nred = 1\n");
        let missing = parse(&[]).unwrap_err().to_string();
        assert!(missing.contains("--control"), "{missing}");
    }

    #[test]
    fn usage_is_two_and_help_is_none() {
        let world = World::new();
        for (words, status) in
            [(&["--nonsense"][..], 2), (&[], 2), (&["--workers", "x", "--state-dir", "/s"], 2), (&["--help"], 0)]
        {
            assert_eq!(world.parse(words).unwrap_err().exit_status(), status, "{words:?}");
        }
        let missing = world.parse(&["--config", "/missing.toml", "--state-dir", "/s"]).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read the configuration file /missing.toml: "), "{missing}");
        assert_eq!(missing.exit_status(), 2);
        let help = world.parse(&["--help"]).unwrap_err().to_string();
        assert!(help.contains("Examples: none\n\nEvery option"), "{help}");
    }
}
