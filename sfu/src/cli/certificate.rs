//! `reverie tls`: a self-signed certificate, to try pages from another machine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{complain, say};
use crate::tls::self_signed;

#[derive(Debug, Subcommand)]
pub(super) enum Make {
    /// Write a self-signed certificate (P-256, one year) for this machine's names and addresses.
    SelfSigned(SelfSigned),
}

#[derive(Debug, Args)]
pub(super) struct SelfSigned {
    /// The folder for cert.pem and key.pem, which must not be there yet.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Another name or address the machine is reached by; may be given several times.
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
}

/// Writes the files and prints whom the certificate is for.
pub(super) fn run(wanted: &Make) -> ExitCode {
    let Make::SelfSigned(wanted) = wanted;
    match self_signed(&wanted.out, &wanted.name) {
        Ok(made) => {
            let (cert, key) = (made.cert.display(), made.key.display());
            complain(&format!("wrote {cert} and {key}"));
            say(&made.names.join("\n"))
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
