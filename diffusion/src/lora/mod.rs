//! LoRA (Hu et al. 2021): low-rank changes of a model's weights, added while the weights are read.
//!
//! `W += scale * (alpha / rank) * up @ down`, for linear layers and convolutions, summed over files. Files in the spelling
//! of kohya, of PEFT and of older diffusers are understood. The changed model costs what the plain one costs; without a
//! file, or with scale 0, no weight is touched, so another choice is a matter of loading again.

mod alpha;
mod file;
mod names;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;

use tch::Tensor;

use crate::Error;
use crate::device::Placement;
use crate::folder::Folder;
use crate::weights::{Adapter, Weights};

use self::file::{File, Pair};
use self::names::{Module, Modules};

/// A model of a pipeline that LoRA can change; its name is that of its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// `unet`
    Unet,
    /// `text_encoder`
    TextEncoder,
    /// `text_encoder_2`, of SDXL
    TextEncoder2,
}

impl Component {
    const ALL: [Self; 3] = [Self::Unet, Self::TextEncoder, Self::TextEncoder2];

    /// The folder of the component.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unet => "unet",
            Self::TextEncoder => "text_encoder",
            Self::TextEncoder2 => "text_encoder_2",
        }
    }
}

/// How many weights of each component of `model` LoRA can change.
///
/// # Errors
/// When the weights of a component cannot be read.
pub fn targets(model: &Folder) -> Result<Vec<(Component, usize)>, Error> {
    let modules = modules(model, false)?;
    let counts = modules
        .iter()
        .map(|(&component, modules)| (component, modules.count()));
    Ok(counts.collect())
}

/// The changes of several files to the components of one model.
pub struct Loras {
    changes: BTreeMap<Component, Rc<Changes>>,
    reports: Vec<Report>,
}

/// By key of the model, in the order of the files.
type Changes = BTreeMap<String, Vec<Change>>;

/// `factor * up @ down`.
struct Change {
    down: Tensor,
    up: Tensor,
    factor: f64,
}

/// What became of the tensors of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// The factor it was asked for with.
    pub scale: f64,
    /// The weights it changes.
    pub applied: Vec<Applied>,
    /// Tensors for modules that this model does not have; key and shape.
    pub unmatched: Vec<(String, Vec<i64>)>,
    /// Tensors that do not fit the weight of their module.
    pub misshaped: Vec<Misfit>,
}

/// A weight that a file changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// In which model.
    pub component: Component,
    /// The weight's key there.
    pub key: String,
    /// The inner dimension of the product.
    pub rank: i64,
    /// `alpha / rank`; 1 where no alpha is told.
    pub factor: f64,
}

/// Two factors whose product has not the shape of the weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The name of the factor that is applied first, in the file.
    pub key: String,
    /// Its shape.
    pub down: Vec<i64>,
    /// The shape of the other factor.
    pub up: Vec<i64>,
    /// The shape of the weight.
    pub weight: Vec<i64>,
}

impl Loras {
    /// Reads `files`, each a path with its scale, for the components that `model` has.
    ///
    /// A file of scale 0 is looked through like the others and changes nothing.
    ///
    /// # Errors
    /// When a file is none of LoRA, is of another method (the key tells), does not fit a weight, or has no module of
    /// this model at all; when a scale is not finite. The message names file and key.
    pub fn open(model: &Folder, files: &[(PathBuf, f64)]) -> Result<Self, Error> {
        let modules = modules(model, files.is_empty())?;
        let mut changes: BTreeMap<Component, Changes> = BTreeMap::new();
        let mut reports = Vec::with_capacity(files.len());
        for (path, scale) in files {
            if !scale.is_finite() {
                let reason = format!("{}: a scale of {scale} is no number", path.display());
                return Err(Error::Parameter(reason));
            }
            let file = File::open(path)?;
            let report = file.apply(&modules, *scale, &mut changes)?;
            if let Some(reason) = report.fault() {
                return Err(Error::Weights {
                    path: report.path,
                    reason,
                    missing: Vec::new(),
                });
            }
            reports.push(report);
        }
        Ok(Self {
            changes: changes
                .into_iter()
                .map(|(component, changes)| (component, Rc::new(changes)))
                .collect(),
            reports,
        })
    }

    /// What to load a component with; `None` if its weights stay as they are.
    #[must_use]
    pub fn adapter(&self, component: Component) -> Option<Adapter> {
        let changes = Rc::clone(self.changes.get(&component)?);
        Some(Rc::new(move |key, weight| match changes.get(key) {
            None => weight,
            Some(changes) => changes
                .iter()
                .fold(weight, |weight, change| change.add_to(weight)),
        }))
    }

    /// What became of each file's tensors, in the order they were given in.
    #[must_use]
    pub fn reports(&self) -> &[Report] {
        &self.reports
    }
}

impl Report {
    /// Why the file is not for this model, in one line; `None` if it is.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if let Some(first) = self.misshaped.first() {
            let more = match self.misshaped.len() {
                1 => String::new(),
                n => format!(" (and {} more)", n - 1),
            };
            let Misfit {
                key,
                down,
                up,
                weight,
            } = first;
            return Some(format!(
                "{key} {down:?} with an up weight of {up:?} does not fit the model's {weight:?}{more}"
            ));
        }
        if !self.applied.is_empty() {
            return None;
        }
        Some(match self.unmatched.first() {
            None => "holds no LoRA".to_owned(),
            Some((key, shape)) => format!(
                "none of its {} tensors is for this model; the first is {key} {shape:?}",
                self.unmatched.len()
            ),
        })
    }
}

impl File {
    fn apply(
        &self,
        modules: &BTreeMap<Component, Modules>,
        scale: f64,
        changes: &mut BTreeMap<Component, Changes>,
    ) -> Result<Report, Error> {
        let mut report = Report {
            path: self.path.clone(),
            scale,
            applied: Vec::new(),
            unmatched: Vec::new(),
            misshaped: Vec::new(),
        };
        for pair in &self.pairs {
            let module = modules
                .get(&pair.component)
                .and_then(|modules| modules.find(&pair.module));
            let Some(module) = module else {
                report.unmatched.extend(
                    [Some(&pair.down), Some(&pair.up), pair.alpha.as_ref()]
                        .into_iter()
                        .flatten()
                        .map(|key| (key.clone(), self.shape(key))),
                );
                continue;
            };
            let (down, up) = (self.shape(&pair.down), self.shape(&pair.up));
            let Some(rank) = rank(&down, &up, &module.shape) else {
                report.misshaped.push(Misfit {
                    key: pair.down.clone(),
                    down,
                    up,
                    weight: module.shape.clone(),
                });
                continue;
            };
            let factor = self.factor(pair, rank)?;
            report.applied.push(Applied {
                component: pair.component,
                key: module.key.clone(),
                rank,
                factor,
            });
            if scale != 0.0 {
                changes
                    .entry(pair.component)
                    .or_default()
                    .entry(module.key.clone())
                    .or_default()
                    .push(self.change(pair, module, rank, scale * factor));
            }
        }
        report
            .unmatched
            .extend(self.others.iter().map(|key| (key.clone(), self.shape(key))));
        // What was asked for is there in that shape, so this is about reading it.
        self.weights.finish()?;
        Ok(report)
    }

    fn shape(&self, key: &str) -> Vec<i64> {
        self.weights.shape(key).unwrap_or_default().to_vec()
    }

    fn factor(&self, pair: &Pair, rank: i64) -> Result<f64, Error> {
        let Some(key) = &pair.alpha else {
            return Ok(self.alphas.factor(pair.component, &pair.module, rank));
        };
        let shape = self.shape(key);
        if shape.iter().product::<i64>() != 1 {
            return Err(Error::malformed(
                &self.path,
                format!("{key} is {shape:?} instead of one number"),
            ));
        }
        let alpha = self.weights.tensor(key, &shape).sum(None).double_value(&[]);
        if !alpha.is_finite() {
            return Err(Error::malformed(&self.path, format!("{key} is {alpha}")));
        }
        Ok(alpha / rank as f64)
    }

    fn change(&self, pair: &Pair, module: &Module, rank: i64, factor: f64) -> Change {
        let read = |key: &str| self.weights.tensor(key, &self.shape(key));
        Change {
            down: read(&pair.down).reshape([rank, -1]),
            up: read(&pair.up).reshape([module.shape[0], rank]),
            factor,
        }
    }
}

impl Change {
    fn add_to(&self, weight: Tensor) -> Tensor {
        let _no_grad = tch::no_grad_guard();
        let product = self.up.matmul(&self.down).reshape(weight.size());
        weight + product * self.factor
    }
}

/// The rank of two factors, if their product has the shape of the weight.
///
/// `down` is (rank, inputs, ..kernel) and `up` (outputs, rank, 1, 1), or the same without kernel; both forms also serve the
/// weight of the other where its kernel is one pixel.
fn rank(down: &[i64], up: &[i64], weight: &[i64]) -> Option<i64> {
    let without_kernel = |shape: &[i64]| match *shape {
        [a, b] | [a, b, 1, 1] => Some([a, b]),
        _ => None,
    };
    let [outputs, rank] = without_kernel(up)?;
    let fits = match (without_kernel(down), without_kernel(weight)) {
        (Some(down), Some(weight)) => down[1] == weight[1],
        _ => down.get(1..) == weight.get(1..),
    };
    (fits && rank > 0 && down.first() == Some(&rank) && weight.first() == Some(&outputs))
        .then_some(rank)
}

fn modules(model: &Folder, none: bool) -> Result<BTreeMap<Component, Modules>, Error> {
    let mut modules = BTreeMap::new();
    for component in Component::ALL {
        let folder = model.sub(component.name());
        if none || !folder.exists() {
            continue;
        }
        let weights = Weights::open(&folder, Placement::CPU)?;
        let tensors = weights
            .keys()
            .map(|key| (key, weights.shape(key).unwrap_or_default()));
        modules.insert(component, Modules::new(component, tensors));
    }
    Ok(modules)
}

impl fmt::Debug for Loras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loras")
            .field("reports", &self.reports)
            .finish_non_exhaustive()
    }
}
