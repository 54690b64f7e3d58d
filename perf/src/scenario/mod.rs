//! The scenarios: what is asked of the sides, and what is counted.

mod contest;
mod flood;
mod handshake;
mod idle;
mod open_loop;
mod session;
mod throughput;
mod translation;
mod wan;

use anyhow::Result;

use crate::lab::Lab;
use crate::outcome::Outcome;

/// One by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// 64 keep-alive connections, 100-byte answers
    #[value(name = "h1-small")]
    H1Small,
    /// 2 keep-alive connections, 100-byte answers
    #[value(name = "h1-2conns")]
    H1TwoConnections,
    /// HTTP/2: 8 connections with 32 streams each, 100-byte answers
    #[value(name = "h2-small")]
    H2Small,
    /// 16 connections, 64 KiB answers
    #[value(name = "64k")]
    Body64k,
    /// 4 connections, 10 MiB answers
    #[value(name = "big")]
    Big,
    /// As h1-small, by people who signed in, beside anybody; and with 1,000 policies beside 10
    #[value(name = "session")]
    Session,
    /// As h1-small, beside an application whose heads are not translated
    #[value(name = "translation")]
    Translation,
    /// A connection for each request, with full and with resumed handshakes
    #[value(name = "handshake")]
    Handshake,
    /// Memory per idle connection: resident, and requested heap
    #[value(name = "idle")]
    Idle,
    /// Open loop at half of each side's peak
    #[value(name = "open-50")]
    Open50,
    /// Open loop at 80 % of each side's peak
    #[value(name = "open-80")]
    Open80,
    /// 40 ms between connector and relay
    #[value(name = "wan")]
    Wan,
    /// One source floods with handshakes, without and with a limit per source
    #[value(name = "flood")]
    Flood,
}

impl Scenario {
    pub fn name(self) -> &'static str {
        match self {
            Scenario::H1Small => "h1-small",
            Scenario::H1TwoConnections => "h1-2conns",
            Scenario::H2Small => "h2-small",
            Scenario::Body64k => "64k",
            Scenario::Big => "big",
            Scenario::Session => "session",
            Scenario::Translation => "translation",
            Scenario::Handshake => "handshake",
            Scenario::Idle => "idle",
            Scenario::Open50 => "open-50",
            Scenario::Open80 => "open-80",
            Scenario::Wan => "wan",
            Scenario::Flood => "flood",
        }
    }

    pub fn run(self, lab: &mut Lab) -> Result<Vec<Outcome>> {
        match self {
            Scenario::H1Small => throughput::H1_SMALL.run(lab),
            Scenario::H1TwoConnections => throughput::H1_TWO_CONNECTIONS.run(lab),
            Scenario::H2Small => throughput::H2_SMALL.run(lab),
            Scenario::Body64k => throughput::BODY_64K.run(lab),
            Scenario::Big => throughput::BIG.run(lab),
            Scenario::Session => session::run(lab),
            Scenario::Translation => translation::run(lab),
            Scenario::Handshake => handshake::run(lab),
            Scenario::Idle => idle::run(lab),
            Scenario::Open50 => open_loop::run(lab, 0.5),
            Scenario::Open80 => open_loop::run(lab, 0.8),
            Scenario::Wan => wan::run(lab),
            Scenario::Flood => flood::run(lab),
        }
    }
}
