//! `reverie model`: what is in the folder of models, whether it can be used, and more of it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use reverie_config::Config;
#[cfg(feature = "torch")]
use reverie_diffusion::{folder::Folder, inspect::inspect};

use super::{Source, complain, say, with_config};
use crate::models::fetch::{self, Access, Bytes, Order, Outcome};
use crate::models::folder::{self, Model};
use crate::models::{Id, Problem};
use crate::tls;

#[derive(Debug, Subcommand)]
pub(super) enum Do {
    /// Show the models that are there: name, architecture, size, and what is missing.
    List(Place),
    /// Say whether a model's files fit together and what it can do; exit code 1 if it cannot be used.
    Check(Check),
    /// Fetch a model from a hub; run it again to go on where it was interrupted.
    Fetch(Fetch),
}

#[derive(Debug, Args)]
pub(super) struct Place {
    /// The folder of models, instead of `models.dir`.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

impl Place {
    /// Runs `then` with the folder of models and the configuration.
    fn with(&self, then: impl FnOnce(&Path, &Config) -> ExitCode) -> ExitCode {
        with_config(self.source.config.as_deref(), |config| {
            let models = self.dir.as_deref().unwrap_or(&config.models.dir);
            then(models, &config)
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The model's folder, or its name in the folder of models.
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Of a model in the layout of diffusers only what is needed is fetched: configurations, vocabularies, and the
/// safetensors of each part. Every file's checksum is verified, and the model appears in the folder of models only
/// when it is whole. A token is taken from HF_TOKEN.
#[derive(Debug, Args)]
pub(super) struct Fetch {
    /// The model's name on the hub, such as stabilityai/sd-turbo.
    #[arg(value_name = "ID")]
    id: Id,
    /// A branch, a tag or a commit.
    #[arg(long, value_name = "NAME", default_value = "main")]
    revision: String,
    /// Take this form of the weights, where a part has it.
    #[arg(long, value_name = "FORM")]
    variant: Option<Form>,
    /// Fetch only this file; may be given several times.
    #[arg(long, value_name = "PATH")]
    file: Vec<String>,
    /// Fetch it anew if it is there with other contents.
    #[arg(long)]
    replace: bool,
    /// The hub, instead of `models.fetch_endpoint`.
    #[arg(long, value_name = "URL", env = "HF_ENDPOINT")]
    endpoint: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// Half precision.
    Fp16,
}

/// Runs one of the commands.
pub(super) fn run(wanted: &Do) -> ExitCode {
    match wanted {
        Do::List(place) => place.with(|models, _| list(models)),
        Do::Check(check) => check.place.with(|models, _| report(models, &check.model)),
        Do::Fetch(wanted) => wanted.place.with(|models, config| {
            let endpoint = wanted.endpoint.as_ref();
            let endpoint = endpoint.unwrap_or(&config.models.fetch_endpoint);
            bring(&order(wanted, models, endpoint.clone()))
        }),
    }
}

fn list(models: &Path) -> ExitCode {
    match folder::list(models) {
        Ok(found) if found.is_empty() => {
            complain(&format!("{}: no model is there", models.display()));
            ExitCode::SUCCESS
        }
        Ok(found) => say(&table(&found)),
        Err(error) => {
            complain(&format!("{}: {error}", models.display()));
            ExitCode::FAILURE
        }
    }
}

fn table(models: &[Model]) -> String {
    let widest = |of: fn(&Model) -> &str| models.iter().map(|model| of(model).len()).max();
    let name = widest(|model| &model.name).unwrap_or_default();
    let kind = widest(|model| &model.architecture).unwrap_or_default();
    let line = |model: &Model| {
        let state = if model.missing.is_empty() {
            "complete".to_owned()
        } else {
            format!("missing: {}", model.missing.join(", "))
        };
        let size = Bytes(model.bytes).to_string();
        format!(
            "{:name$}  {:kind$}  {size:>9}  {state}",
            model.name, model.architecture
        )
    };
    models.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn report(models: &Path, model: &Path) -> ExitCode {
    let below = models.join(model);
    let path = if model.exists() { model } else { &below };
    let problems = match folder::one(path) {
        Err(error) => vec![format!("{}: {error}", path.display())],
        Ok(None) => vec![format!(
            "{}: no model is there: neither model_index.json nor config.json nor weights",
            path.display()
        )],
        Ok(Some(model)) => {
            let lost = |name: &String| format!("{}: is missing", path.join(name).display());
            let lost: Vec<_> = model.missing.iter().map(lost).collect();
            if lost.is_empty() {
                return inspected(path, model);
            }
            lost
        }
    };
    for problem in problems {
        complain(&problem);
    }
    ExitCode::FAILURE
}

/// Whether the files of a model fit together, key by key.
#[cfg(feature = "torch")]
fn inspected(path: &Path, model: Model) -> ExitCode {
    if model.architecture == folder::ADAPTER {
        // What it fits is known only together with a model.
        return say(&table(&[model]));
    }
    let found = inspect(&Folder::new(path));
    if found.is_whole() {
        return say(&found.to_string());
    }
    for fault in &found.faults {
        complain(&fault.to_string());
    }
    ExitCode::FAILURE
}

/// Without libtorch nothing is known of keys and shapes.
#[cfg(not(feature = "torch"))]
fn inspected(_path: &Path, model: Model) -> ExitCode {
    say(&table(&[model]))
}

fn bring(order: &Order) -> ExitCode {
    tls::use_everywhere();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let folder = order.id.folder(&order.models);
    match runtime.block_on(fetch::fetch(order, complain)) {
        Ok(Outcome::Unchanged) => say(&format!("{}: is complete already", folder.display())),
        Ok(Outcome::Fetched { bytes, unchecked }) => {
            if unchecked > 0 {
                complain(&format!("the hub told no checksum of {unchecked} files"));
            }
            say(&format!("{}: {}", folder.display(), Bytes(bytes)))
        }
        Err(problem) => failed(&problem),
    }
}

fn failed(problem: &Problem) -> ExitCode {
    complain(&problem.to_string());
    ExitCode::FAILURE
}

fn order(wanted: &Fetch, models: &Path, endpoint: String) -> Order {
    let token = env::var("HF_TOKEN").ok().filter(|token| !token.is_empty());
    Order {
        id: wanted.id.clone(),
        revision: wanted.revision.clone(),
        variant: match wanted.variant {
            Some(Form::Fp16) => fetch::Variant::Fp16,
            None => fetch::Variant::Full,
        },
        files: wanted.file.clone(),
        models: models.to_owned(),
        replace: wanted.replace,
        access: Access { endpoint, token },
    }
}
