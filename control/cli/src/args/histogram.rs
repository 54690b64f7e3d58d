//! `postern histogram`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use postern_model::question::Stage;
use postern_service::duration;

#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  postern histogram
  postern histogram app/wiki
  postern histogram app/wiki --stage backend
  postern histogram app/wiki --for 10s
  postern histogram app/wiki --watch --every 1s
  postern histogram app/wiki --export wiki.hgrm

Stages of a request, in their order:
  tls         the client's TLS handshake, counted with the first request of its connection
  queue       from the head's last byte to the first stage that looks at it
  policy      route, authorise, throttle
  tunnel      relay to connector and back, without the backend
  backend     from the connector's side: connect, send, and wait for the answer's head
  first_byte  from the request head's last byte to the answer's first byte
  total       from the request head's last byte to the answer's last byte

Relays count from their start; --for and --watch show what comes in from now on.")]
pub(crate) struct HistogramArgs {
    /// Of this application; all of the tenant's together unless given
    #[arg(value_name = "app/NAME")]
    pub(crate) app: Option<AppScope>,
    /// The stage that is plotted and exported
    #[arg(long, value_enum, default_value_t = StageArg::Total, value_name = "STAGE")]
    pub(crate) stage: StageArg,
    /// Wait so long and show only what came in meanwhile
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) period: Option<Duration>,
    /// Show again and again what came in since the last time
    #[arg(long, conflicts_with = "period")]
    pub(crate) watch: bool,
    /// How often, with --watch
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "2s", requires = "watch")]
    pub(crate) every: Duration,
    /// How many times, with --watch
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), requires = "watch")]
    pub(crate) count: Option<u32>,
    /// Write the stage's percentile distribution in ms, as HdrHistogram's plotters read it
    #[arg(long, value_name = "FILE.hgrm", conflicts_with = "watch")]
    pub(crate) export: Option<PathBuf>,
}

/// `app/NAME`.
#[derive(Debug, Clone)]
pub(crate) struct AppScope(pub(crate) String);

impl FromStr for AppScope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_prefix("app/").filter(|name| !name.is_empty());
        name.map(|name| Self(name.to_owned())).ok_or("write app/NAME")
    }
}

/// A stage by name.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
#[value(rename_all = "snake_case")]
pub(crate) enum StageArg {
    Tls,
    Queue,
    Policy,
    Tunnel,
    Backend,
    FirstByte,
    Total,
}

impl From<StageArg> for Stage {
    fn from(stage: StageArg) -> Self {
        match stage {
            StageArg::Tls => Self::Tls,
            StageArg::Queue => Self::Queue,
            StageArg::Policy => Self::Policy,
            StageArg::Tunnel => Self::Tunnel,
            StageArg::Backend => Self::Backend,
            StageArg::FirstByte => Self::FirstByte,
            StageArg::Total => Self::Total,
        }
    }
}
