//! Rebuilds the eBPF objects in `ebpf/prebuilt` from their sources, or checks that they come from them. Building the
//! programs needs no BPF toolchain; only this does, and it says or does what is missing.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    packages::{self, Needs, Package},
    shell,
};

/// With `check`, compares instead of writing: the sources' hash always, the objects' bytes when this machine's
/// toolchain is the recorded one.
pub(crate) fn run(check: bool) -> Result<()> {
    let sources = sources_hash()?;
    if check {
        let recorded = Manifest::read()?;
        ensure!(
            recorded.sources == sources,
            "ebpf/prebuilt was not built from these sources: run `cargo xtask ebpf` and commit ebpf/prebuilt"
        );
        for (program, hash) in &recorded.objects {
            ensure!(
                *hash == sha256(&fs::read(prebuilt(&object_file(program)))?)?,
                "ebpf/prebuilt/{} is not what its manifest records: run `cargo xtask ebpf`",
                object_file(program)
            );
        }
    }
    let toolchain = match Toolchain::ensure() {
        Err(error) if check && !shell::is_ci() => {
            eprintln!("   only hashes were compared, the objects were not rebuilt: {error:#}");
            return Ok(());
        }
        toolchain => toolchain?,
    };
    let folder = toolchain.build()?;
    let hash_of = |program: &&str| Ok(((*program).to_owned(), sha256(&fs::read(folder.join(program))?)?));
    let objects = PROGRAMS.iter().map(hash_of).collect::<Result<_>>()?;
    let built = Manifest { sources, objects, toolchain: toolchain.record()? };
    if check { compare(&built) } else { publish(&built, &folder) }
}

fn compare(built: &Manifest) -> Result<()> {
    let recorded = Manifest::read()?;
    if built.toolchain != recorded.toolchain {
        eprintln!("   built with another toolchain than the recorded one, so bytes are not compared:");
        eprintln!("   recorded {:?}\n   here     {:?}", recorded.toolchain, built.toolchain);
        return Ok(());
    }
    for (built, recorded) in built.objects.iter().zip(&recorded.objects) {
        ensure!(
            built == recorded,
            "the recorded toolchain builds another object than ebpf/prebuilt/{}: run `cargo xtask ebpf` and commit it",
            object_file(&recorded.0)
        );
        eprintln!("   rebuilt byte for byte: {} {}", object_file(&built.0), built.1);
    }
    Ok(())
}

fn publish(built: &Manifest, folder: &Path) -> Result<()> {
    fs::create_dir_all(prebuilt(""))?;
    for (program, hash) in &built.objects {
        let bytes = fs::copy(folder.join(program), prebuilt(&object_file(program)))?;
        eprintln!("   ebpf/prebuilt/{}: {bytes} bytes, {hash}", object_file(program));
    }
    fs::write(prebuilt(MANIFEST), built.text()?)?;
    Ok(())
}

fn object_file(program: &str) -> String {
    format!("{program}.bpf.o")
}

/// A compiler that has the sources of `core`, as BPF has no prebuilt one.
enum Toolchain {
    /// Debian's packages `rustc-web` and `rust-web-src`.
    System,
    /// rustup's nightly with the component rust-src.
    Nightly,
}

impl Toolchain {
    /// Finds one, or installs Debian's when root.
    fn ensure() -> Result<Self> {
        let nightly = nightly_has_sources();
        if nightly && !packages::missing(&[COMPILER]).is_empty() {
            ensure_linker(&[])?;
            return Ok(Self::Nightly);
        }
        packages::ensure(&[COMPILER]).with_context(|| OTHERWISE.to_owned())?;
        ensure_linker(&[LLVM])?;
        Ok(Self::System)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = match self {
            Self::System => Command::new(format!("/usr/bin/{program}")),
            Self::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", program]);
                command
            }
        };
        // The toolchain that runs this program must not leak into that one.
        for variable in
            ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER"]
        {
            command.env_remove(variable);
        }
        if matches!(self, Self::System) {
            command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }

    /// The folder with the built objects. Builds in a folder of its own, whose workspace holds both crates: names of symbols depend on where a crate
    /// stands relative to its workspace, and would carry the absolute path of one outside.
    fn build(&self) -> Result<PathBuf> {
        let stage = stage()?;
        let target = shell::target_dir().join("ebpf/target");
        let linker = packages::cargo_program(LINKER).with_context(|| format!("{LINKER} is missing"))?;
        let folder = linker.parent().unwrap_or(Path::new("/"));
        let path = env::join_paths(
            [folder.to_owned()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
        )?;
        let mut cargo = self.command("cargo");
        cargo
            .args(["build", "--release", "-Z", "build-std=core", "--target", TARGET])
            .current_dir(&stage)
            .env("PATH", path)
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTFLAGS", rustflags(&stage))
            .stdin(Stdio::null());
        shell::run(&mut cargo)?;
        Ok(target.join(TARGET).join("release"))
    }

    fn record(&self) -> Result<Vec<(String, String)>> {
        let about = shell::output(self.command("rustc").arg("-vV"))?;
        let llvm = about.lines().find_map(|line| line.strip_prefix("LLVM version: ")).unwrap_or("unknown");
        let linker = packages::cargo_program(LINKER).with_context(|| format!("{LINKER} is missing"))?;
        let one_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        Ok(vec![
            ("rustc".to_owned(), one_line(about.clone())),
            ("llvm".to_owned(), llvm.to_owned()),
            ("cargo".to_owned(), one_line(shell::output(self.command("cargo").arg("-V"))?)),
            ("linker".to_owned(), one_line(shell::output(Command::new(linker).arg("--version"))?)),
        ])
    }
}

fn nightly_has_sources() -> bool {
    let sysroot = shell::output(Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]));
    sysroot.is_ok_and(|sysroot| Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir())
}

/// bpf-linker of the recorded version, in cargo's own folder so that it is compiled once per machine.
fn ensure_linker(needs: &[&[Package]]) -> Result<()> {
    if let Some(linker) = packages::cargo_program(LINKER) {
        let version = shell::output(Command::new(linker).arg("--version"))?;
        if version.trim().ends_with(LINKER_VERSION) {
            return Ok(());
        }
    }
    packages::ensure(needs)?;
    eprintln!("   compiling {LINKER} {LINKER_VERSION}, once: some minutes");
    let mut install = shell::cargo();
    install.args(["install", "--quiet", "--locked", "--force", LINKER, "--version", LINKER_VERSION]);
    if !needs.is_empty() {
        install.args(["--no-default-features", "--features", "llvm-22"]).env("LLVM_PREFIX", LLVM_PREFIX);
    }
    shell::run(install.current_dir("/").env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS"))
}

/// Sources of another path give the same bytes: every path that could reach the object is replaced.
fn rustflags(stage: &Path) -> String {
    let home = env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    let cargo_home = env::var("CARGO_HOME").unwrap_or_else(|_| format!("{home}/.cargo"));
    format!(
        "-C linker={LINKER} -C link-arg=--btf -C debuginfo=2 --remap-path-prefix={home}=~ \
         --remap-path-prefix={cargo_home}=~/.cargo --remap-path-prefix={}=.",
        stage.display()
    )
}

fn stage() -> Result<PathBuf> {
    let stage = shell::target_dir().join("ebpf/stage");
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    for file in sources()? {
        let to = match file.strip_prefix("ebpf/programs") {
            Ok(inside) => stage.join(inside),
            Err(_) => stage.join(file.strip_prefix("ebpf")?),
        };
        fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        fs::copy(shell::root().join(&file), to)?;
    }
    let manifest = fs::read_to_string(stage.join("Cargo.toml"))?;
    let inside = manifest.replace("path = \"../common\"", "path = \"common\"");
    ensure!(inside != manifest, "ebpf/programs/Cargo.toml does not name ../common");
    fs::write(stage.join("Cargo.toml"), inside)?;
    fs::write(stage.join("common/Cargo.toml"), COMMON)?;
    Ok(stage)
}

/// What the object is made of, relative to the root, in a fixed order.
fn sources() -> Result<Vec<PathBuf>> {
    let mut files = vec![PathBuf::from("ebpf/programs/Cargo.toml"), PathBuf::from("ebpf/programs/Cargo.lock")];
    for folder in ["ebpf/common/src", "ebpf/programs/src"] {
        for entry in fs::read_dir(shell::root().join(folder))? {
            files.push(Path::new(folder).join(entry?.file_name()));
        }
    }
    files.sort();
    Ok(files)
}

/// The hash of `sha256sum`'s own listing, so that it can be had by hand.
fn sources_hash() -> Result<String> {
    let mut command = Command::new("sha256sum");
    let listing = shell::output(command.args(sources()?).current_dir(shell::root()))?;
    sha256(listing.as_bytes())
}

fn sha256(bytes: &[u8]) -> Result<String> {
    let mut file = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, bytes)?;
    let line = shell::output(Command::new("sha256sum").arg(file.path()))?;
    let hash = line.split_whitespace().next().context("sha256sum printed nothing")?;
    Ok(hash.to_owned())
}

/// What the committed objects were made from and with.
#[derive(Debug)]
struct Manifest {
    sources: String,
    /// Program and hash, in the order of [`PROGRAMS`].
    objects: Vec<(String, String)>,
    toolchain: Vec<(String, String)>,
}

impl Manifest {
    fn read() -> Result<Self> {
        let path = prebuilt(MANIFEST);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let table: toml::Table = text.parse().with_context(|| format!("{} is no TOML", path.display()))?;
        let value = |table: &toml::Table, key: &str| -> Result<String> {
            let value = table.get(key).and_then(toml::Value::as_str);
            Ok(value.with_context(|| format!("{} has no {key}", path.display()))?.to_owned())
        };
        let values = |name: &str, keys: &[&str]| -> Result<Vec<(String, String)>> {
            let Some(toml::Value::Table(table)) = table.get(name) else {
                bail!("{} has no {name}", path.display());
            };
            keys.iter().map(|key| Ok(((*key).to_owned(), value(table, key)?))).collect()
        };
        Ok(Self {
            sources: value(&table, "sources_sha256")?,
            objects: values("objects_sha256", PROGRAMS)?,
            toolchain: values("toolchain", &["rustc", "llvm", "cargo", "linker"])?,
        })
    }

    fn text(&self) -> Result<String> {
        let mut text = "# Written by `cargo xtask ebpf`; `cargo xtask ebpf --check` compares.\n".to_owned();
        writeln!(text, "sources_sha256 = \"{}\"", self.sources)?;
        for (head, table) in [("objects_sha256", &self.objects), ("toolchain", &self.toolchain)] {
            writeln!(text, "\n[{head}]")?;
            for (name, value) in table {
                writeln!(text, "{name} = \"{value}\"")?;
            }
        }
        Ok(text)
    }
}

fn prebuilt(file: &str) -> PathBuf {
    shell::root().join("ebpf/prebuilt").join(file)
}

const PROGRAMS: &[&str] = &["steer", "guard"];
const MANIFEST: &str = "MANIFEST.toml";
const TARGET: &str = "bpfel-unknown-none";
const LINKER: &str = "bpf-linker";
const LINKER_VERSION: &str = "0.13.0";
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

const COMPILER: &[Package] = &[
    Package { needs: Needs::File("/usr/bin/rustc"), debian: "rustc-web" },
    Package { needs: Needs::File("/usr/bin/cargo"), debian: "cargo-web" },
    Package { needs: Needs::File("/usr/lib/rustlib/src/rust/library/core/src/lib.rs"), debian: "rust-web-src" },
];

/// Only to compile bpf-linker.
const LLVM: &[Package] = &[Package { needs: Needs::File("/usr/lib/llvm-22/bin/llvm-config"), debian: "llvm-22-dev" }];

const OTHERWISE: &str = "no compiler for BPF here. On Debian 12 install the packages named; elsewhere \
    `rustup toolchain install nightly --component rust-src && cargo install bpf-linker --version 0.13.0`";

/// `ebpf/common` inherits from the workspace of the programs that run outside the kernel; staged, it stands alone.
const COMMON: &str = "[package]\nname = \"postern-ebpf-common\"\nversion = \"0.0.0\"\nedition = \"2024\"\n";
