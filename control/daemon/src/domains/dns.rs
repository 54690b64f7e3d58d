//! TXT records, from a resolver. Over TCP, where nobody who merely guesses can put in an answer of his own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The texts at a name; none where there is no such name. `servers`: who is asked, one after the other; without one those that the
/// host asks (resolv.conf).
pub(crate) async fn texts(servers: &[SocketAddr], name: &str) -> Result<Vec<String>, String> {
    let servers = if servers.is_empty() { of_host() } else { servers.to_vec() };
    let mut failed = Vec::new();
    for server in &servers {
        match tokio::time::timeout(ANSWER_TIME_MAX, ask(*server, name)).await {
            Ok(Ok(texts)) => return Ok(texts),
            Ok(Err(error)) => failed.push(format!("{server}: {error}")),
            Err(_) => failed.push(format!("{server}: no answer within {} s", ANSWER_TIME_MAX.as_secs())),
        }
    }
    Err(failed.join("; "))
}

/// `IP` or `IP:PORT`, for the command line.
pub(crate) fn server(text: &str) -> Result<SocketAddr, String> {
    let with_port = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    text.parse::<SocketAddr>()
        .or_else(|_| with_port())
        .map_err(|_| "an address such as 192.0.2.53 or [2001:db8::53]:53".into())
}

async fn ask(server: SocketAddr, name: &str) -> Result<Vec<String>, String> {
    let mut id = [0; 2];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| "there is no randomness")?;
    let id = u16::from_be_bytes(id);
    let question = question(id, name)?;
    let length = u16::try_from(question.len()).map_err(|error| error.to_string())?;
    let exchanged = async {
        let mut stream = TcpStream::connect(server).await?;
        // RFC 1035 §4.2.2; both parts at once (RFC 7766 §8).
        stream.write_all(&[length.to_be_bytes().as_slice(), question.as_slice()].concat()).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    read(id, name, &exchanged.await.map_err(|error| error.to_string())?)
}

fn question(id: u16, name: &str) -> Result<Vec<u8>, String> {
    let name = Name::new(name).map_err(|error| error.to_string())?;
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(name, QTYPE::TYPE(TYPE::TXT), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().map_err(|error| error.to_string())
}

fn read(id: u16, name: &str, answer: &[u8]) -> Result<Vec<String>, String> {
    let packet = Packet::parse(answer).map_err(|error| format!("its answer is not understood: {error}"))?;
    let is_asked =
        packet.questions.first().is_some_and(|question| question.qname.to_string().eq_ignore_ascii_case(name));
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) || !is_asked {
        return Err("it answers something else".into());
    }
    if packet.rcode() == RCODE::NameError {
        return Ok(Vec::new());
    }
    if packet.rcode() != RCODE::NoError {
        return Err(format!("it answers {:?}", packet.rcode()));
    }
    // What an alias (CNAME) leads to is among the answers, too.
    let texts = packet.answers.into_iter().filter_map(|record| {
        let RData::TXT(text) = record.rdata else { return None };
        String::try_from(text).ok()
    });
    Ok(texts.take(TEXTS_MAX).collect())
}

/// Whom the host asks; one of its own, as resolv.conf(5) has it, where nothing is said.
fn of_host() -> Vec<SocketAddr> {
    let servers = named(&std::fs::read_to_string(RESOLV_CONF).unwrap_or_default());
    if servers.is_empty() { vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT)] } else { servers }
}

fn named(resolv_conf: &str) -> Vec<SocketAddr> {
    let lines = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let ip = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        Some(SocketAddr::new(ip.parse().ok()?, PORT))
    });
    lines.take(SERVERS_MAX).collect()
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
const PORT: u16 = 53;
/// As the C library has it.
const SERVERS_MAX: usize = 3;
const TEXTS_MAX: usize = 100;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::TXT;

    const NAME: &str = "_postern-challenge.example.com";

    fn answer(id: u16, name: &str, rcode: RCODE, texts: &[&'static str]) -> Vec<u8> {
        let mut packet = Packet::new_reply(id);
        *packet.rcode_mut() = rcode;
        packet.questions.push(Question::new(
            Name::new(name).unwrap(),
            QTYPE::TYPE(TYPE::TXT),
            QCLASS::CLASS(CLASS::IN),
            false,
        ));
        for text in texts {
            let text = RData::TXT(TXT::new().with_string(text).unwrap());
            packet.answers.push(ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, 60, text));
        }
        packet.build_bytes_vec().unwrap()
    }

    #[test]
    fn the_answer_to_this_question_counts_and_no_other() {
        let texts = ["postern-verification=abc", "v=spf1 -all"];
        assert_eq!(read(7, NAME, &answer(7, NAME, RCODE::NoError, &texts)).unwrap(), texts);
        assert!(read(7, NAME, &answer(7, NAME, RCODE::NameError, &[])).unwrap().is_empty());
        let refused = read(7, NAME, &answer(7, NAME, RCODE::ServerFailure, &[])).unwrap_err();
        assert!(refused.contains("ServerFailure"), "{refused}");
        assert!(read(8, NAME, &answer(7, NAME, RCODE::NoError, &texts)).is_err(), "another number");
        assert!(read(7, NAME, &answer(7, "other.example.com", RCODE::NoError, &texts)).is_err(), "another name");
        assert!(read(7, NAME, &question(7, NAME).unwrap()).is_err(), "a question");
        for cut in 0..12 {
            assert!(read(7, NAME, &answer(7, NAME, RCODE::NoError, &texts)[..cut]).is_err());
        }
    }

    #[test]
    fn servers_are_those_of_the_host() {
        let file = "# nameserver 192.0.2.9\nsearch example.com\nnameserver 192.0.2.1\n nameserver\t2001:db8::1\nnameserver x\n";
        let named: Vec<String> = named(file).iter().map(ToString::to_string).collect();
        assert_eq!(named, ["192.0.2.1:53", "[2001:db8::1]:53"]);
        assert_eq!(server("192.0.2.1").unwrap().to_string(), "192.0.2.1:53");
        assert_eq!(server("127.0.0.1:5353").unwrap().port(), 5353);
        assert!(server("dns.example.com").is_err());
    }

    #[tokio::test]
    async fn who_does_not_answer_is_named() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = texts(&[closed], NAME).await.unwrap_err();
        assert!(error.starts_with(&closed.to_string()), "{error}");
    }
}
