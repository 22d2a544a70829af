//! Which module of a model a name in a LoRA file means.
//!
//! The names in use differ in their separators only (`to_out.0`, `to_out_0`), or follow the block numbers of the original
//! latent diffusion code, or a convention for attention. So every module of the model is entered under each name it may
//! go by, with `_` for `.`, and a name is looked up rather than taken apart.

mod original;

use std::collections::BTreeMap;

use self::original::OriginalBlocks;
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
            // Tables are looked up in, not multiplied with.
            .filter(|(key, _)| !key.ends_with("_embedding.weight"))
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

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.modules.len()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The modules of a UNet with this many resnets per level on the way down, and whether they have attention.
    fn unet(layers: usize, levels: &[bool]) -> Vec<String> {
        let mut paths = ["conv_in", "conv_out", "time_embedding.linear_1"]
            .map(str::to_owned)
            .to_vec();
        let mut block =
            |side: &str, block: usize, layers: usize, attention: bool, sampler: Option<&str>| {
                let prefix = format!("{side}_blocks.{block}");
                for j in 0..layers {
                    paths.push(format!("{prefix}.resnets.{j}.conv1"));
                    paths.push(format!("{prefix}.resnets.{j}.conv_shortcut"));
                    if attention {
                        let attention = format!("{prefix}.attentions.{j}");
                        paths.push(format!("{attention}.proj_in"));
                        paths.push(format!("{attention}.transformer_blocks.0.attn1.to_out.0"));
                        paths.push(format!("{attention}.transformer_blocks.0.ff.net.0.proj"));
                    }
                }
                paths.extend(sampler.map(|sampler| format!("{prefix}.{sampler}.0.conv")));
            };
        let last = levels.len() - 1;
        for (i, &attention) in levels.iter().enumerate() {
            block(
                "down",
                i,
                layers,
                attention,
                (i < last).then_some("downsamplers"),
            );
            block(
                "up",
                last - i,
                layers + 1,
                attention,
                (i > 0).then_some("upsamplers"),
            );
        }
        for (list, j, layer) in [
            ("resnets", 0, "conv1"),
            ("attentions", 0, "proj_in"),
            ("resnets", 1, "conv2"),
        ] {
            paths.push(format!("mid_block.{list}.{j}.{layer}"));
        }
        paths
    }

    fn modules(paths: &[String]) -> Modules {
        let keys: Vec<_> = paths.iter().map(|path| format!("{path}.weight")).collect();
        Modules::new(
            Component::Unet,
            keys.iter().map(|key| (key.as_str(), &[2, 3][..])),
        )
    }

    #[test]
    fn original_names_of_stable_diffusion_and_sdxl_are_known() {
        let sd = modules(&unet(2, &[true, true, true, false]));
        let sdxl = modules(&unet(2, &[false, true, true]));
        for (modules, original, path) in [
            (&sd, "input_blocks_0_0", "conv_in"),
            (
                &sd,
                "input_blocks_1_1_transformer_blocks_0_attn1_to_out_0",
                "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
            ),
            (
                &sd,
                "input_blocks_3_0_op",
                "down_blocks.0.downsamplers.0.conv",
            ),
            (
                &sd,
                "input_blocks_9_0_op",
                "down_blocks.2.downsamplers.0.conv",
            ),
            (
                &sd,
                "input_blocks_11_0_in_layers_2",
                "down_blocks.3.resnets.1.conv1",
            ),
            (
                &sd,
                "middle_block_1_proj_in",
                "mid_block.attentions.0.proj_in",
            ),
            (
                &sd,
                "middle_block_2_out_layers_3",
                "mid_block.resnets.1.conv2",
            ),
            (
                &sd,
                "output_blocks_2_1_conv",
                "up_blocks.0.upsamplers.0.conv",
            ),
            (
                &sd,
                "output_blocks_3_1_proj_in",
                "up_blocks.1.attentions.0.proj_in",
            ),
            (
                &sd,
                "output_blocks_5_2_conv",
                "up_blocks.1.upsamplers.0.conv",
            ),
            (
                &sd,
                "output_blocks_11_0_skip_connection",
                "up_blocks.3.resnets.2.conv_shortcut",
            ),
            (&sd, "time_embed_0", "time_embedding.linear_1"),
            (&sd, "out_2", "conv_out"),
            (
                &sdxl,
                "input_blocks_4_1_proj_in",
                "down_blocks.1.attentions.0.proj_in",
            ),
            (
                &sdxl,
                "input_blocks_8_1_transformer_blocks_0_ff_net_0_proj",
                "down_blocks.2.attentions.1.transformer_blocks.0.ff.net.0.proj",
            ),
            (
                &sdxl,
                "output_blocks_0_1_proj_in",
                "up_blocks.0.attentions.0.proj_in",
            ),
            (
                &sdxl,
                "output_blocks_2_2_conv",
                "up_blocks.0.upsamplers.0.conv",
            ),
            (
                &sdxl,
                "output_blocks_8_0_in_layers_2",
                "up_blocks.2.resnets.2.conv1",
            ),
        ] {
            let found = modules.find(original).map(Module::path);
            assert_eq!(found, Some(path), "{original}");
        }
        assert!(sdxl.find("input_blocks_9_0_in_layers_2").is_none());
        assert!(sdxl.find("input_blocks_2_2_in_layers_2").is_none());
    }

    #[test]
    fn no_name_means_two_modules() {
        for levels in [
            &[true, true, true, false][..],
            &[false, true, true],
            &[true; 6],
        ] {
            for layers in 1..4 {
                let paths = unet(layers, levels);
                let modules = modules(&paths);
                assert!(modules.by_name.values().all(Option::is_some));
                for path in &paths {
                    assert_eq!(modules.find(path).map(Module::path), Some(path.as_str()));
                }
            }
        }
    }
}
