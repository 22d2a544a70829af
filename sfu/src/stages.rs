//! Which stages a channel may ask for, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use reverie_transcoder::stage::{self, DebugInvert, Passthrough, Stage, StageFactory};

/// Makes a fresh factory for each pipeline.
type Maker = dyn Fn() -> StageFactory + Send + Sync;

/// The stages of one server.
#[derive(Clone)]
pub struct Stages {
    makers: BTreeMap<String, Arc<Maker>>,
}

impl Default for Stages {
    /// The stages that need no model: `passthrough` and `debug-invert`.
    fn default() -> Self {
        let mut stages = Self {
            makers: BTreeMap::new(),
        };
        stages.add("passthrough", || {
            boxed(|| Ok(Box::new(Passthrough) as Box<dyn Stage>))
        });
        stages.add("debug-invert", || {
            boxed(|| Ok(Box::new(DebugInvert) as Box<dyn Stage>))
        });
        stages
    }
}

fn boxed(
    make: impl FnOnce() -> Result<Box<dyn Stage>, stage::StageError> + Send + 'static,
) -> StageFactory {
    Box::new(make)
}

impl Stages {
    /// Adds a stage, or replaces the one of that name. `maker` is called for every pipeline that is loaded;
    /// the factory it returns runs on the pipeline's own thread.
    pub fn add(&mut self, name: &str, maker: impl Fn() -> StageFactory + Send + Sync + 'static) {
        self.makers.insert(name.to_owned(), Arc::new(maker));
    }

    /// A factory of the stage of that name.
    #[must_use]
    pub fn factory(&self, name: &str) -> Option<StageFactory> {
        self.makers.get(name).map(|maker| maker())
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.makers.keys().map(String::as_str)
    }

    /// True if there is a stage of that name.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.makers.contains_key(name)
    }
}

impl fmt::Debug for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
