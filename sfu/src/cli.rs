//! The `reverie` command line.

mod certificate;
mod mint;
mod model;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use reverie_config::{Config, Process};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::stages::Stages;
use crate::{Running, Server, StartError, server, telemetry};

/// Exit code for a configuration that cannot be used (`EX_USAGE` of sysexits.h).
const BAD_CONFIG: u8 = 64;

/// How long threads of the runtime may outlive the server.
const LAST_MOMENT: std::time::Duration = std::time::Duration::from_secs(1);

/// A WHIP/WHEP media server with a live stage between camera and viewers.
///
/// Every key of the configuration can be given in a TOML file and as a variable, e.g.
/// REVERIE__HTTP__LISTEN=127.0.0.1:8080. `reverie config print` shows what is in force.
#[derive(Debug, Parser)]
#[command(name = "reverie", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Do,
}

#[derive(Debug, Subcommand)]
enum Do {
    /// Run the server until SIGTERM or Ctrl-C.
    Serve(Serve),
    /// Look at the configuration without running anything.
    #[command(subcommand)]
    Config(Look),
    /// Make a token that lets somebody publish or watch; printed alone on standard output.
    #[command(subcommand)]
    Token(mint::Mint),
    /// Look at the models that are there, and fetch more.
    #[command(subcommand)]
    Model(model::Do),
    /// Make a certificate for HTTPS.
    #[command(subcommand)]
    Tls(certificate::Make),
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    source: Source,
    /// Print one line of JSON with the bound addresses on standard output once everything is ready.
    #[arg(long)]
    print_ready: bool,
}

#[derive(Debug, Subcommand)]
enum Look {
    /// Say whether it can be used; what is wrong with key and origin, exit code 64.
    Check(Source),
    /// Print what is in force, secrets masked.
    Print(Source),
}

#[derive(Debug, Args)]
struct Source {
    /// TOML file; without it the defaults and the variables count.
    #[arg(long, value_name = "FILE", env = "REVERIE_CONFIG")]
    config: Option<PathBuf>,
}

/// Runs the command of this process.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Do::Serve(serve) => run(&serve),
        Do::Config(Look::Check(source)) => {
            with_config(source.config.as_deref(), |config| check(&config))
        }
        Do::Config(Look::Print(source)) => with_config(source.config.as_deref(), |config| {
            say(config.render().trim_end())
        }),
        Do::Token(wanted) => mint::run(&wanted),
        Do::Model(wanted) => model::run(&wanted),
        Do::Tls(wanted) => certificate::run(&wanted),
    }
}

fn with_config(path: Option<&Path>, then: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match reverie_config::load(path, &Process) {
        Ok(config) => then(config),
        Err(errors) => {
            complain(&format!("the configuration cannot be used:\n{errors}"));
            ExitCode::from(BAD_CONFIG)
        }
    }
}

/// What only this build and this machine know: log filters, stages, and the files of HTTPS.
fn check(config: &Config) -> ExitCode {
    let filter = telemetry::filter(&config.log).err().map(|e| e.to_string());
    let stage = server::check_pipeline(config, &Stages::default())
        .err()
        .map(|e| e.to_string());
    let tls = server::check_tls(config).err().map(|e| e.to_string());
    let params = server::check_params(config).err().map(|e| e.to_string());
    let revoked = server::check_revoked(config).err().map(|e| e.to_string());
    let problems: Vec<_> = [filter, stage, params, tls, revoked]
        .into_iter()
        .flatten()
        .collect();
    if problems.is_empty() {
        return say("the configuration can be used");
    }
    complain(&format!(
        "the configuration cannot be used:\n{}",
        problems.join("\n")
    ));
    ExitCode::from(BAD_CONFIG)
}

fn run(serve: &Serve) -> ExitCode {
    with_config(serve.source.config.as_deref(), |config| {
        if let Err(error) = telemetry::start(&config.log) {
            complain(&error.to_string());
            return ExitCode::from(BAD_CONFIG);
        }
        let runtime = match tokio::runtime::Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => {
                complain(&format!("cannot start the runtime: {error}"));
                return ExitCode::FAILURE;
            }
        };
        let code = runtime.block_on(serve_until_signal(config, serve.print_ready));
        // A thread that hangs must not keep the process.
        runtime.shutdown_timeout(LAST_MOMENT);
        code
    })
}

async fn serve_until_signal(config: Config, print_ready: bool) -> ExitCode {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) else {
        complain("cannot listen for signals");
        return ExitCode::FAILURE;
    };
    let running = match Server::start(config).await {
        Ok(running) => running,
        Err(error) => {
            complain(&error.to_string());
            let misconfigured = matches!(
                error,
                StartError::UnknownPipeline { .. }
                    | StartError::Params { .. }
                    | StartError::Tls(_)
                    | StartError::Revoked(_)
            );
            return if misconfigured {
                ExitCode::from(BAD_CONFIG)
            } else {
                ExitCode::FAILURE
            };
        }
    };
    announce(&running, print_ready);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => running.reload().await,
        }
    }
    tracing::info!("stopping");
    running.stop().await;
    ExitCode::SUCCESS
}

fn announce(running: &Running, print_ready: bool) {
    tracing::info!(http = %running.http, metrics = %running.metrics, media = ?running.media, "ready: {}", running.url());
    if print_ready {
        let ready = json!({ "ready": true, "http": running.http, "url": running.url(), "metrics": running.metrics, "media": running.media });
        say(&ready.to_string());
    }
}

fn say(line: &str) -> ExitCode {
    let written = writeln!(std::io::stdout(), "{line}");
    if written.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn complain(line: &str) {
    // There is nowhere else to say it.
    let _ = writeln!(std::io::stderr(), "reverie: {line}");
}
