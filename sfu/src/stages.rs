//! Which stages a channel may ask for, by name, and whether each can run here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use reverie_config::Config;
use reverie_diffusion::board::Board;
use reverie_diffusion::params::Params;
use reverie_diffusion::processors::{Live, Textures};
use reverie_transcoder::stage::{DebugInvert, Passthrough, Stage, StageError, StageFactory};

#[cfg(feature = "torch")]
mod diffusion;

/// What a stage is made of.
#[derive(Debug)]
pub struct Making<'a> {
    /// The server's configuration.
    pub config: &'a Config,
    /// The parameters it begins with.
    pub params: Params,
    /// Where it reports.
    pub board: Board,
}

/// Makes a fresh factory for each pipeline.
type Maker = dyn Fn(Making<'_>) -> StageFactory + Send + Sync;
/// Says why a stage cannot run on this machine.
type Check = dyn Fn(&Config, &Params) -> Result<(), String> + Send + Sync;

/// A stage that can be asked for.
#[derive(Clone)]
pub struct Entry {
    about: &'static str,
    needs: &'static str,
    min_vram_mb: Option<u32>,
    maker: Option<Arc<Maker>>,
    check: Arc<Check>,
}

impl Entry {
    /// A stage that runs everywhere. `maker` is called for every pipeline that is loaded; the factory it returns runs
    /// on the pipeline's own thread.
    pub fn new(
        about: &'static str,
        maker: impl Fn(Making<'_>) -> StageFactory + Send + Sync + 'static,
    ) -> Self {
        Self {
            about,
            needs: "nothing",
            min_vram_mb: None,
            maker: Some(Arc::new(maker)),
            check: Arc::new(|_, _| Ok(())),
        }
    }

    /// A stage that this build lacks.
    #[must_use]
    pub fn lacking(about: &'static str, reason: &'static str) -> Self {
        Self {
            about,
            needs: "nothing",
            min_vram_mb: None,
            maker: None,
            check: Arc::new(move |_, _| Err(reason.to_owned())),
        }
    }

    /// With what it needs, for people, and the least memory of a graphics card, if it uses one.
    #[must_use]
    pub fn needing(mut self, needs: &'static str, min_vram_mb: Option<u32>) -> Self {
        self.needs = needs;
        self.min_vram_mb = min_vram_mb;
        self
    }

    /// With a check that says why it cannot run; it may look at files.
    #[must_use]
    pub fn checked(
        mut self,
        check: impl Fn(&Config, &Params) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.check = Arc::new(check);
        self
    }
}

/// An entry as it is told.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Pipeline)]
pub struct Told {
    /// Its name.
    pub name: String,
    /// What it does.
    pub about: &'static str,
    /// What it needs, for people.
    pub needs: &'static str,
    /// The least memory of a graphics card in MB, if it uses one.
    pub min_vram_mb: Option<u32>,
    /// True if it can run.
    pub available: bool,
    /// Why it cannot.
    pub reason: Option<String>,
}

/// The stages of one server.
#[derive(Clone)]
pub struct Stages {
    entries: BTreeMap<String, Entry>,
}

impl Default for Stages {
    /// The stages of this build.
    fn default() -> Self {
        let mut stages = Self {
            entries: BTreeMap::new(),
        };
        stages.register(
            "passthrough",
            Entry::new("The picture as it is, decoded and encoded again.", |_| {
                boxed(|| Ok(Box::new(Passthrough) as Box<dyn Stage>))
            }),
        );
        stages.register(
            "debug-invert",
            Entry::new("The negative, to check a deployment by eye.", |_| {
                boxed(|| Ok(Box::new(DebugInvert) as Box<dyn Stage>))
            }),
        );
        stages.register(
            "processors",
            Entry::new(
                "The picture processors of the parameters, without a model.",
                |making| {
                    let textures = Textures::new(Some(making.config.models.dir.clone()));
                    Live::factory(textures, making.params, making.board)
                },
            ),
        );
        stages.register("streamdiffusion", streamdiffusion());
        stages
    }
}

#[cfg(feature = "torch")]
use diffusion::streamdiffusion;

#[cfg(not(feature = "torch"))]
fn streamdiffusion() -> Entry {
    Entry::lacking(
        STYLE,
        "this server was built without libtorch (cargo feature torch)",
    )
    .needing(NEEDS, Some(MIN_VRAM_MB))
}

const STYLE: &str = "The picture in the style of a prompt, by StreamDiffusion.";
const NEEDS: &str =
    "the model of the parameters in models.dir; a CUDA device for models of usual size";
/// SD-Turbo at 512x512 with its text encoder, in 16-bit floats.
const MIN_VRAM_MB: u32 = 4096;

fn boxed(
    make: impl FnOnce() -> Result<Box<dyn Stage>, StageError> + Send + 'static,
) -> StageFactory {
    Box::new(make)
}

impl Stages {
    /// Adds a stage, or replaces the one of that name.
    pub fn register(&mut self, name: &str, entry: Entry) {
        self.entries.insert(name.to_owned(), entry);
    }

    /// Adds a stage that needs nothing and has no parameters; see [`Entry::new`].
    pub fn add(&mut self, name: &str, maker: impl Fn() -> StageFactory + Send + Sync + 'static) {
        self.register(name, Entry::new("", move |_| maker()));
    }

    /// A factory of the stage of that name.
    #[must_use]
    pub fn factory(&self, name: &str, making: Making<'_>) -> Option<StageFactory> {
        let maker = self.entries.get(name)?.maker.as_ref()?;
        Some(maker(making))
    }

    /// All names that this build can make, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.maker.is_some())
            .map(|(name, _)| name.as_str())
    }

    /// True if there is a stage of that name in this build.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// All stages, those too that cannot run with these parameters, and why. May look at files.
    #[must_use]
    pub fn tell(&self, config: &Config, params: &Params) -> Vec<Told> {
        let tell = |(name, entry): (&String, &Entry)| {
            let reason = (entry.check)(config, params).err();
            Told {
                name: name.clone(),
                about: entry.about,
                needs: entry.needs,
                min_vram_mb: entry.min_vram_mb,
                available: reason.is_none(),
                reason,
            }
        };
        self.entries.iter().map(tell).collect()
    }
}

impl fmt::Debug for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
