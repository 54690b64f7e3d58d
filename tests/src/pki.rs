//! A small hierarchy of a test's own, by openssl: a root, an intermediate, and leaves of that; and a responder that speaks for it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::certificate::Certificate;

/// Root and intermediate, in PEM files of a folder.
pub struct Pki {
    folder: PathBuf,
}

impl Pki {
    pub fn new(folder: &Path) -> Result<Pki> {
        let folder = folder.join("pki");
        std::fs::create_dir_all(&folder)?;
        let pki = Pki { folder };
        let authority = "keyUsage=critical,keyCertSign,cRLSign,digitalSignature";
        pki.openssl(&[
            &["req", "-x509"],
            &KEY[..],
            &["-days", "30", "-subj", "/CN=Test Root", "-addext", "basicConstraints=critical,CA:TRUE"],
            &["-addext", authority, "-keyout", "root.key", "-out", "root.pem"],
        ])?;
        let extensions = format!("basicConstraints=critical,CA:TRUE\n{authority}\n");
        pki.issue("intermediate", "Test Intermediate", "root", 20, &extensions)?;
        Ok(pki)
    }

    /// What clients have to trust.
    pub fn root(&self) -> PathBuf {
        self.path("root.pem")
    }

    pub fn intermediate(&self) -> PathBuf {
        self.path("intermediate.pem")
    }

    /// A leaf of the intermediate, alone in its file. `responder` is where its status can be asked for.
    pub fn leaf(&self, name: &str, host: &str, days: u32, responder: Option<&str>) -> Result<Certificate> {
        let mut extensions =
            format!("subjectAltName=DNS:{host}\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n");
        if let Some(responder) = responder {
            extensions.push_str(&format!("authorityInfoAccess=OCSP;URI:{responder}\n"));
        }
        self.issue(name, host, "intermediate", days, &extensions)
    }

    /// These certificates after each other in one file.
    pub fn bundle(&self, name: &str, certificates: &[&Path]) -> Result<PathBuf> {
        let mut text = String::new();
        for certificate in certificates {
            text.push_str(&std::fs::read_to_string(certificate)?);
        }
        let path = self.path(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// A leaf with the intermediate and its key as a PKCS#12 file.
    pub fn pkcs12(&self, leaf: &Certificate, password: &str) -> Result<PathBuf> {
        let path = leaf.certificate.with_extension("p12");
        let (certificate, key) = (text(&leaf.certificate)?, text(&leaf.key)?);
        let password = format!("pass:{password}");
        self.openssl(&[
            &["pkcs12", "-export", "-in", certificate, "-inkey", key, "-certfile", "intermediate.pem"],
            &["-passout", &password, "-out", text(&path)?],
        ])?;
        Ok(path)
    }

    /// What the responder would say of this leaf, good for a day, in a file.
    pub fn ocsp_response(&self, leaf: &Certificate) -> Result<PathBuf> {
        let index = self.index(leaf, false)?;
        let (request, response) =
            (leaf.certificate.with_extension("request"), leaf.certificate.with_extension("response"));
        let asked = ["-cert", text(&leaf.certificate)?, "-no_nonce", "-reqout", text(&request)?];
        self.openssl(&[&["ocsp", "-issuer", "intermediate.pem"], &asked[..]])?;
        let answered = ["-reqin", text(&request)?, "-respout", text(&response)?];
        self.openssl(&[&["ocsp", "-index", text(&index)?], &RESPONDER[..], &answered[..]])?;
        Ok(response)
    }

    /// A responder that knows this leaf, at this port of every address.
    pub fn respond(&self, leaf: &Certificate, port: u16) -> Result<Responder> {
        self.start_responder(&self.index(leaf, false)?, port)
    }

    /// The same, to which the leaf is revoked.
    pub fn respond_revoked(&self, leaf: &Certificate, port: u16) -> Result<Responder> {
        self.start_responder(&self.index(leaf, true)?, port)
    }

    fn start_responder(&self, index: &Path, port: u16) -> Result<Responder> {
        let mut command = self.command();
        command.args(["ocsp", "-index", text(index)?]).args(RESPONDER).args(["-port", &port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Responder(command.spawn().context("openssl ocsp")?))
    }

    /// What openssl's responder knows a certificate by.
    fn index(&self, leaf: &Certificate, is_revoked: bool) -> Result<PathBuf> {
        let said = self.openssl(&[&["x509", "-noout", "-serial", "-in", text(&leaf.certificate)?]])?;
        let serial = said.trim().strip_prefix("serial=").context("openssl says no serial number")?;
        let path = leaf.certificate.with_extension("index");
        let status = if is_revoked { "R\t350101000000Z\t250101000000Z,keyCompromise" } else { "V\t350101000000Z\t" };
        std::fs::write(&path, format!("{status}\t{serial}\tunknown\t/CN=leaf\n"))?;
        Ok(path)
    }

    fn issue(&self, name: &str, subject: &str, issuer: &str, days: u32, extensions: &str) -> Result<Certificate> {
        let file = |extension: &str| format!("{name}.{extension}");
        std::fs::write(self.path(&file("extensions")), extensions)?;
        let subject = format!("/CN={subject}");
        self.openssl(&[
            &["req", "-new"],
            &KEY[..],
            &["-subj", &subject, "-keyout", &file("key"), "-out", &file("asked")],
        ])?;
        let (certificate, key) = (format!("{issuer}.pem"), format!("{issuer}.key"));
        self.openssl(&[
            &["x509", "-req", "-in", &file("asked"), "-CA", &certificate, "-CAkey", &key, "-CAcreateserial"],
            &["-days", &days.to_string(), "-extfile", &file("extensions"), "-out", &file("pem")],
        ])?;
        Ok(Certificate { certificate: self.path(&file("pem")), key: self.path(&file("key")) })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("openssl");
        command.current_dir(&self.folder);
        command
    }

    fn openssl(&self, arguments: &[&[&str]]) -> Result<String> {
        let output = self.command().args(arguments.concat()).stdin(Stdio::null()).output().context("openssl")?;
        if !output.status.success() {
            bail!("openssl {:?}: {}", arguments.concat(), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// A process that answers OCSP requests; it ends with this value.
pub struct Responder(Child);

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const RESPONDER: [&str; 8] =
    ["-CA", "intermediate.pem", "-rsigner", "intermediate.pem", "-rkey", "intermediate.key", "-ndays", "1"];
