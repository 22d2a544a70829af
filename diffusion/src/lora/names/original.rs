//! The names that the original code of Stable Diffusion has for the modules of diffusers' UNet: its blocks are numbered
//! through.

use std::collections::BTreeMap;

/// How many numbered blocks of the original code each block of diffusers stands for.
#[derive(Default)]
pub(super) struct OriginalBlocks {
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
    pub(super) fn count<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
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
    pub(super) fn name(&self, path: &str) -> Option<String> {
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
