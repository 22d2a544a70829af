//! Which module of a model a name in a LoRA file means.
//!
//! The names in use differ in their separators only (`to_out.0`, `to_out_0`), or follow the block numbers of the original
//! latent diffusion code, or a convention for attention. So every module of the model is entered under each name it may
//! go by, with `_` for `.`, and a name is looked up rather than taken apart.

use std::collections::BTreeMap;

use super::Component;

/// The modules of one model that have a weight of two or four dimensions, by name.
pub(super) struct Modules {
    /// `None` where two modules would go by that name.
    by_name: BTreeMap<String, Option<usize>>,
    modules: Vec<Module>,
}

/// A linear layer or convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// Its weight's key.
    pub(super) key: String,
    /// Its weight's shape.
    pub(super) shape: Vec<i64>,
}

impl Modules {
    /// Of all tensors of the model, as pairs of key and shape.
    pub(super) fn new<'a>(
        component: Component,
        tensors: impl Iterator<Item = (&'a str, &'a [i64])>,
    ) -> Self {
        let modules: Vec<_> = tensors
            .filter(|(key, shape)| key.ends_with(".weight") && matches!(shape.len(), 2 | 4))
            .map(|(key, shape)| Module {
                key: key.to_owned(),
                shape: shape.to_vec(),
            })
            .collect();
        let paths = || modules.iter().map(Module::path);
        let blocks = OriginalBlocks::count(paths());
        let mut by_name = BTreeMap::new();
        for (index, path) in paths().enumerate() {
            let names = match component {
                Component::Unet => unet_names(path, &blocks),
                Component::TextEncoder | Component::TextEncoder2 => text_encoder_names(path),
            };
            for name in names {
                by_name
                    .entry(flat(&name))
                    .and_modify(|known| {
                        if *known != Some(index) {
                            *known = None;
                        }
                    })
                    .or_insert(Some(index));
            }
        }
        Self { by_name, modules }
    }

    /// The module that goes by `name`, in any spelling.
    pub(super) fn find(&self, name: &str) -> Option<&Module> {
        let index = (*self.by_name.get(&flat(name))?)?;
        Some(&self.modules[index])
    }
}

impl Module {
    fn path(&self) -> &str {
        self.key.strip_suffix(".weight").unwrap_or(&self.key)
    }
}

fn flat(name: &str) -> String {
    name.replace('.', "_")
}

fn unet_names(path: &str, blocks: &OriginalBlocks) -> Vec<String> {
    let mut names = vec![path.to_owned()];
    // Attention processors once held the layers, and called the output by the name of its list.
    if let Some((attention, layer)) = path.rsplit_once(".to_") {
        let layer = layer.trim_end_matches(".0");
        names.push(format!("{attention}.processor.to_{layer}"));
        names.push(format!("{attention}.to_{layer}"));
    }
    names.extend(blocks.name(path));
    names
}

fn text_encoder_names(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("text_model.").unwrap_or(path);
    let mut inner_names = vec![inner.to_owned()];
    if let Some((attention, layer)) = inner.rsplit_once(".self_attn.") {
        let layer = layer.trim_end_matches("_proj");
        inner_names.push(format!("{attention}.self_attn.to_{layer}"));
    }
    inner_names
        .iter()
        .flat_map(|name| [format!("text_model.{name}"), name.clone()])
        .collect()
}

/// How many numbered blocks of the original code each block of diffusers stands for.
#[derive(Default)]
struct OriginalBlocks {
    down: BTreeMap<usize, Block>,
    up: BTreeMap<usize, Block>,
}

#[derive(Default)]
struct Block {
    resnets: usize,
    attentions: bool,
    sampler: bool,
}

impl OriginalBlocks {
    fn count<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let mut blocks = Self::default();
        for path in paths {
            let parts: Vec<_> = path.splitn(5, '.').collect();
            let [side, block, list, index, _] = parts[..] else {
                continue;
            };
            let (Ok(block), Ok(index)) = (block.parse(), index.parse::<usize>()) else {
                continue;
            };
            let side = match side {
                "down_blocks" => &mut blocks.down,
                "up_blocks" => &mut blocks.up,
                _ => continue,
            };
            let block: &mut Block = side.entry(block).or_default();
            match list {
                "resnets" => block.resnets = block.resnets.max(index.saturating_add(1)),
                "attentions" => block.attentions = true,
                _ => block.sampler = true,
            }
        }
        blocks
    }

    /// The original name of a module of diffusers' UNet.
    fn name(&self, path: &str) -> Option<String> {
        if let Some(name) = OUTSIDE_BLOCKS
            .iter()
            .find_map(|(ours, original)| (*ours == path).then_some(*original))
        {
            return Some(name.to_owned());
        }
        let parts: Vec<_> = path.splitn(5, '.').collect();
        if let ["mid_block", list, index, ..] = parts[..] {
            let place = match (list, index) {
                ("resnets", "0") => 0,
                ("attentions", "0") => 1,
                ("resnets", "1") => 2,
                _ => return None,
            };
            let rest = path.splitn(4, '.').nth(3)?;
            return Some(format!("middle_block.{place}.{}", inside(list, rest)?));
        }
        let [side, block, list, index, rest] = parts[..] else {
            return None;
        };
        let (block, index) = (block.parse().ok()?, index.parse::<usize>().ok()?);
        let rest = inside(list, rest)?;
        match side {
            "down_blocks" => {
                // The first one is the convolution before all blocks; a down-sampler has a number of its own.
                let before = |blocks: &BTreeMap<usize, Block>| {
                    1 + blocks
                        .range(..block)
                        .map(|(_, block)| block.resnets + usize::from(block.sampler))
                        .sum::<usize>()
                };
                let first = before(&self.down);
                match list {
                    "resnets" => Some(format!("input_blocks.{}.0.{rest}", first + index)),
                    "attentions" => Some(format!("input_blocks.{}.1.{rest}", first + index)),
                    _ => {
                        let number = first + self.down.get(&block)?.resnets;
                        Some(format!("input_blocks.{number}.0.op"))
                    }
                }
            }
            "up_blocks" => {
                // An up-sampler comes last in the block of the last resnet.
                let first: usize = self.up.range(..block).map(|(_, block)| block.resnets).sum();
                let here = self.up.get(&block)?;
                match list {
                    "resnets" => Some(format!("output_blocks.{}.0.{rest}", first + index)),
                    "attentions" => Some(format!("output_blocks.{}.1.{rest}", first + index)),
                    _ => Some(format!(
                        "output_blocks.{}.{}.conv",
                        first + here.resnets.checked_sub(1)?,
                        1 + usize::from(here.attentions)
                    )),
                }
            }
            _ => None,
        }
    }
}

const OUTSIDE_BLOCKS: [(&str, &str); 6] = [
    ("conv_in", "input_blocks.0.0"),
    ("conv_out", "out.2"),
    ("time_embedding.linear_1", "time_embed.0"),
    ("time_embedding.linear_2", "time_embed.2"),
    ("add_embedding.linear_1", "label_emb.0.0"),
    ("add_embedding.linear_2", "label_emb.0.2"),
];

/// The original name of a layer in a resnet, attention or sampler.
fn inside<'a>(list: &str, rest: &'a str) -> Option<&'a str> {
    match (list, rest) {
        ("resnets", "conv1") => Some("in_layers.2"),
        ("resnets", "conv2") => Some("out_layers.3"),
        ("resnets", "time_emb_proj") => Some("emb_layers.1"),
        ("resnets", "conv_shortcut") => Some("skip_connection"),
        ("attentions", _) => Some(rest),
        ("downsamplers" | "upsamplers", "conv") => Some(rest),
        _ => None,
    }
}
