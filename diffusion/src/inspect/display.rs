//! An [`Inspection`] as text.

use std::fmt;

use crate::params::Family;
use crate::weights::{Misshaped, Missing, Mistyped, Report};

use super::{Inspection, Kind, Part, Support, elements, list};

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.kind)?;
        for part in &self.parts {
            write!(f, "\n{part}")?;
        }
        if let Some(support) = &self.support {
            write!(f, "\n{support}")?;
        }
        for part in &self.parts {
            if let Some(report) = &part.report {
                details(f, part.name, report)?;
            }
        }
        for fault in &self.faults {
            write!(f, "\n  fault           {fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipeline {
                class,
                family,
                turbo,
            } => {
                f.write_str(class.as_deref().unwrap_or("a pipeline"))?;
                f.write_str(match family {
                    Some(Family::Sd15) => ", Stable Diffusion 1.x",
                    Some(Family::Sd21) => ", Stable Diffusion 2.x",
                    Some(Family::Sdxl) => ", SDXL",
                    None => ", of no published family",
                })?;
                f.write_str(if *turbo { ", turbo" } else { "" })
            }
            Self::Autoencoder => f.write_str("an autoencoder"),
            Self::ControlNet => f.write_str("a ControlNet"),
            Self::Unknown => f.write_str("no model"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:15} {}", self.name, self.summary)?;
        let Some(report) = &self.report else {
            return Ok(());
        };
        let Report {
            loaded,
            parameters,
            bytes,
            ..
        } = report;
        let millions = *parameters as f64 / 1e6;
        let mib = *bytes as f64 / f64::from(1 << 20);
        let kind = report.kind.map_or("no elements", elements);
        write!(
            f,
            ": {loaded} tensors, {millions:.2} M parameters, {mib:.1} MiB in {kind}"
        )
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets: Vec<_> = self
            .lora_targets
            .iter()
            .map(|(component, count)| format!("{count} weights of {}", component.name()))
            .collect();
        let gib = self.vram as f64 / f64::from(1 << 30);
        let (widths, context) = (list(&self.widths), list(&self.context));
        write!(f, "  {:15} multiples of {}", "sizes", self.scale)?;
        write!(f, "\n  {:15} {}", "LoRA", targets.join(", "))?;
        write!(
            f,
            "\n  {:15} of widths {widths} for prompts of {context}",
            "ControlNets"
        )?;
        write!(
            f,
            "\n  {:15} with {} cross attentions for prompts of {context}",
            "IP-Adapters", self.cross_attentions
        )?;
        write!(
            f,
            "\n  {:15} about {gib:.1} GiB of a GPU at 512x512",
            "memory"
        )
    }
}

/// A line for each tensor that is not as it should be, or for nothing.
fn details(f: &mut fmt::Formatter<'_>, name: &str, report: &Report) -> fmt::Result {
    for Missing { key, shape } in &report.missing {
        write!(f, "\n  missing         {name} {key} {shape:?}")?;
    }
    for Misshaped {
        key,
        expected,
        found,
    } in &report.misshaped
    {
        write!(
            f,
            "\n  wrong shape     {name} {key} {found:?} instead of {expected:?}"
        )?;
    }
    for Mistyped { key, found } in &report.mistyped {
        write!(f, "\n  wrong elements  {name} {key} {found:?}")?;
    }
    for (key, shape) in &report.unused {
        write!(f, "\n  unused          {name} {key} {shape:?}")?;
    }
    Ok(())
}
