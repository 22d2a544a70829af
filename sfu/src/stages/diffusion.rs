//! The stage on libtorch. Its models are shared by all channels of a server.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reverie_config::{Config, Diffusion};
use reverie_diffusion::device::{self, Placement};
use reverie_diffusion::hub::{Hub, Library};
use reverie_diffusion::params::{Params, missing};
use reverie_diffusion::stage::{Settings, StreamDiffusion};
use reverie_transcoder::stage::{StageError, StageFactory};

use super::{Entry, MIN_VRAM_MB, Making, NEEDS, STYLE};

/// How long one channel's frame waits for those of others with the same model.
const GATHER: Duration = Duration::from_millis(3);

/// The engines of a server, opened when the first channel needs them.
type Shared = Arc<OnceLock<Result<Arc<Hub>, String>>>;

pub(super) fn streamdiffusion() -> Entry {
    let hub = Shared::default();
    Entry::new(STYLE, move |making| factory(&hub, making))
        .needing(NEEDS, Some(MIN_VRAM_MB))
        .checked(check)
}

/// Opening the device and loading are left to the thread that calls the factory.
fn factory(hub: &Shared, making: Making<'_>) -> StageFactory {
    let hub = Arc::clone(hub);
    let Making {
        config,
        params,
        board,
    } = making;
    let (diffusion, models) = (config.diffusion.clone(), config.models.dir.clone());
    Box::new(move || {
        let open = || {
            device::set_threads(threads(&diffusion));
            let library = Library::new(models, placement(&diffusion)?);
            Ok(Arc::new(Hub::new(library, GATHER)))
        };
        let hub = hub.get_or_init(open).clone().map_err(StageError::Load)?;
        StreamDiffusion::factory(Settings { hub }, params, board)()
    })
}

fn check(config: &Config, params: &Params) -> Result<(), String> {
    placement(&config.diffusion)?;
    match missing(&config.models.dir, params).first() {
        Some(problem) => Err(problem.detail.clone()),
        None => Ok(()),
    }
}

fn placement(config: &Diffusion) -> Result<Placement, String> {
    Placement::open(config.device, config.half).map_err(|error| error.to_string())
}

/// One core is left to the rest of the server.
fn threads(config: &Diffusion) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match config.threads {
        0 => (cores - 1).max(1),
        threads => threads,
    }
}
