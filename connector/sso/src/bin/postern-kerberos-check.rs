//! Tries constrained delegation from where a connector runs, and says what the KDC says.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use postern_sso::kerberos::{Delegation, leave, prepare};
use postern_sso::{
    Authority as _, FailureKind, KerberosFailure, Negotiation, Proof, Reply, SignOn as _, Tickets, Wanted,
};

/// Tries Kerberos constrained delegation: a token for a user to a service, as the connector would fetch it.
#[derive(Debug, Parser)]
#[command(name = "postern-kerberos-check", version, after_help = EXAMPLES)]
struct Args {
    /// The connector's keytab
    #[arg(long, value_name = "FILE")]
    keytab: PathBuf,
    /// Whose key of it
    #[arg(long, value_name = "SPN@REALM")]
    kerberos_principal: String,
    /// In whose name
    #[arg(long, value_name = "USER@REALM")]
    user: String,
    /// To which service
    #[arg(long, value_name = "SPN[@REALM]")]
    service: String,
    /// Print the token as a header field, read the service's answer (WWW-Authenticate, base64) from standard input, check it
    #[arg(long)]
    exchange: bool,
    /// Ask for so many tokens at once, as a busy connector does, every fourth of a fresh ticket; say how long it took; ask
    /// once more and end in the midst of it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    requests: Option<u16>,
}

const EXAMPLES: &str = "Example:
  postern-kerberos-check --keytab /etc/postern/connector.keytab --kerberos-principal HTTP/connector.example.com@EXAMPLE.COM \\
    --user anna@EXAMPLE.COM --service HTTP/app.example.com@EXAMPLE.COM";

fn main() {
    let args = Args::parse();
    let file = std::env::temp_dir().join(format!("postern-kerberos-check-{}.conf", std::process::id()));
    let done = prepare(&file).map_err(|error| error.to_string()).and_then(|()| {
        let wanted = Wanted { user: Arc::from(&*args.user), service: Arc::from(&*args.service) };
        run(&args, &wanted).map_err(|failure| failure.to_string())
    });
    // It lies in a folder that is emptied anyway.
    let _ = std::fs::remove_file(&file);
    leave(match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("postern-kerberos-check: {error}");
            1
        }
    })
}

fn run(args: &Args, wanted: &Wanted) -> Result<(), KerberosFailure> {
    let delegation = Delegation::new(&args.keytab, &args.kerberos_principal)?;
    delegation.sign_in()?;
    eprintln!("the keytab is good for {}", args.kerberos_principal);
    let (ticket, lifetime) = delegation.fetch(wanted)?;
    eprintln!("{} gets a ticket to {}, good for {} s", wanted.user, wanted.service, lifetime.as_secs());
    if let Some(requests) = args.requests {
        return many(delegation, wanted, requests);
    }
    if args.exchange {
        let (token, proof) = delegation.present(&ticket, wanted)?;
        println!("Authorization: Negotiate {}", STANDARD.encode(token));
        check(proof)?;
        println!("the service has proved who it is");
    }
    Ok(())
}

/// Goes the whole way of a connector's requests.
fn many(delegation: Delegation, wanted: &Wanted, requests: u16) -> Result<(), KerberosFailure> {
    let threads = |error: std::io::Error| KerberosFailure::without_code(FailureKind::Other, error.to_string());
    let tickets = Tickets::start(delegation).map_err(threads)?;
    let begun = Instant::now();
    let ask = |number: u16, sender: Sender<_>| {
        // The receiver waits for as many as are asked for.
        let reply = Reply::to(move |answer| drop(sender.send(answer)));
        tickets.negotiate(wanted.clone(), number % 4 == 3, reply);
    };
    let (sender, answers) = channel::<Result<Negotiation, KerberosFailure>>();
    ask(0, sender.clone());
    let first = answers.recv().map_err(|_| KerberosFailure::without_code(FailureKind::Other, "no answer came"))??;
    (1..requests).for_each(|number| ask(number, sender.clone()));
    drop(sender);
    let (mut tokens, mut held) = (HashSet::from([first.token]), 0);
    for answer in answers {
        let Negotiation { token, from_held, .. } = answer?;
        held += usize::from(from_held);
        tokens.insert(token);
    }
    if tokens.len() != usize::from(requests) {
        let words = format!("{requests} were asked for, and {} tokens came", tokens.len());
        return Err(KerberosFailure::without_code(FailureKind::Other, words));
    }
    let ms = begun.elapsed().as_millis();
    eprintln!("{requests} tokens in {ms} ms, all different, {held} of them of a ticket that was held");
    // As a connector that is told to stop: its threads are within the library.
    let (sender, _unread) = channel();
    (0..requests).for_each(|number| ask(number, sender.clone()));
    Ok(())
}

fn check(proof: Box<dyn Proof>) -> Result<(), KerberosFailure> {
    // A pipe holds lines back.
    let _ = std::io::stdout().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    let answer = read.ok().and_then(|_| STANDARD.decode(answer.trim()).ok()).unwrap_or_default();
    proof.check(&answer)
}
