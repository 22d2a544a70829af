//! The fields of a UNet's or ControlNet's `config.json`, with diffusers' defaults.

use serde::Deserialize;

use crate::Error;
use crate::attention;
use crate::config::{ConfigFile, PerBlock};
use crate::embeddings::Sinusoid;
use crate::resnet::Norm;

/// A `UNet2DConditionModel`. Blocks are counted from the input down; the blocks up mirror them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Channels of the latent picture that comes in.
    pub in_channels: i64,
    /// Channels of what is predicted.
    pub out_channels: i64,
    /// Channels of each block.
    pub block_out_channels: Vec<i64>,
    /// `DownBlock2D` or `CrossAttnDownBlock2D` for each block.
    pub down_block_types: Vec<String>,
    /// `UNetMidBlock2DCrossAttn`, `UNetMidBlock2D` or none.
    pub mid_block_type: Option<String>,
    /// `UpBlock2D` or `CrossAttnUpBlock2D` for each block, the innermost first.
    pub up_block_types: Vec<String>,
    /// Residual blocks in each block down; one more on the way up.
    pub layers_per_block: PerBlock<usize>,
    /// Transformer blocks after each residual block, or a list with one number for each residual block.
    pub transformer_layers_per_block: PerBlock<PerBlock<usize>>,
    /// The same for the way up, the innermost first, where it does not mirror the way down.
    pub reverse_transformer_layers_per_block: Option<PerBlock<PerBlock<usize>>>,
    /// Channels of the prompt's embeddings.
    pub cross_attention_dim: PerBlock<i64>,
    /// The number of heads; the name is wrong in every file, and diffusers reads it this way.
    pub attention_head_dim: PerBlock<i64>,
    /// The number of heads, where a file says it by this name.
    pub num_attention_heads: Option<PerBlock<i64>>,
    /// Groups of the normalisations.
    pub norm_num_groups: i64,
    /// Added to the variance in residual blocks.
    pub norm_eps: f64,
    /// Cosines before sines in the embedding of time.
    pub flip_sin_to_cos: bool,
    /// See [`Sinusoid`].
    pub freq_shift: f64,
    /// Channels of the embedding of time, four times the first block's if not given.
    pub time_embedding_dim: Option<i64>,
    /// `text_time` with SDXL.
    pub addition_embed_type: Option<String>,
    /// Channels for each of the six numbers that SDXL is told about size and crop.
    pub addition_time_embed_dim: Option<i64>,
    /// Channels of the pooled prompt and those numbers together.
    pub projection_class_embeddings_input_dim: Option<i64>,
    /// Size of the first convolution's kernel.
    pub conv_in_kernel: i64,
    /// Size of the last convolution's kernel.
    pub conv_out_kernel: i64,
    /// Height and width of the latent picture that the model was trained with.
    pub sample_size: Option<PerBlock<i64>>,
}

impl Default for Config {
    fn default() -> Self {
        let names = |names: [&str; 4]| names.map(str::to_owned).to_vec();
        let (down, up) = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D");
        Self {
            in_channels: 4,
            out_channels: 4,
            block_out_channels: vec![320, 640, 1280, 1280],
            down_block_types: names([down, down, down, "DownBlock2D"]),
            mid_block_type: Some("UNetMidBlock2DCrossAttn".to_owned()),
            up_block_types: names(["UpBlock2D", up, up, up]),
            layers_per_block: PerBlock::All(2),
            transformer_layers_per_block: PerBlock::All(PerBlock::All(1)),
            reverse_transformer_layers_per_block: None,
            cross_attention_dim: PerBlock::All(1280),
            attention_head_dim: PerBlock::All(8),
            num_attention_heads: None,
            norm_num_groups: 32,
            norm_eps: 1e-5,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            time_embedding_dim: None,
            addition_embed_type: None,
            addition_time_embed_dim: None,
            projection_class_embeddings_input_dim: None,
            conv_in_kernel: 3,
            conv_out_kernel: 3,
            sample_size: None,
        }
    }
}

/// Settings of diffusers that change what is computed, and the values that this crate computes.
const RULES: &[(&str, &[&str])] = &[
    ("act_fn", &["\"silu\"", "\"swish\""]),
    ("addition_embed_type", &["null", "\"text_time\""]),
    ("attention_type", &["\"default\""]),
    ("center_input_sample", &["false"]),
    ("class_embed_type", &["null"]),
    ("class_embeddings_concat", &["false"]),
    ("cross_attention_norm", &["null"]),
    ("downsample_padding", &["1"]),
    ("dual_cross_attention", &["false"]),
    ("encoder_hid_dim", &["null"]),
    ("encoder_hid_dim_type", &["null"]),
    (
        "mid_block_type",
        &["null", "\"UNetMidBlock2DCrossAttn\"", "\"UNetMidBlock2D\""],
    ),
    ("mid_block_only_cross_attention", &["null", "false"]),
    ("mid_block_scale_factor", &["1", "1.0"]),
    ("num_class_embeds", &["null"]),
    ("only_cross_attention", &["false"]),
    ("resnet_out_scale_factor", &["1", "1.0"]),
    ("resnet_skip_time_act", &["false"]),
    ("resnet_time_scale_shift", &["\"default\""]),
    ("time_cond_proj_dim", &["null"]),
    ("time_embedding_act_fn", &["null"]),
    ("time_embedding_type", &["\"positional\""]),
    ("timestep_post_act", &["null"]),
];

impl Config {
    /// Reads and checks what is common to UNets and ControlNets.
    pub(crate) fn read(file: &ConfigFile) -> Result<Self, Error> {
        file.only_all(RULES)?;
        let config: Self = file.parse()?;
        config.check_sizes(file)?;
        config.check_lists(file)?;
        config.check_added(file)?;
        Ok(config)
    }

    fn check_sizes(&self, file: &ConfigFile) -> Result<(), Error> {
        file.sizes("in_channels", [&self.in_channels])?;
        file.sizes("out_channels", [&self.out_channels])?;
        file.sizes("block_out_channels", &self.block_out_channels)?;
        file.sizes("cross_attention_dim", self.cross_attention_dim.values())?;
        file.sizes("norm_num_groups", [&self.norm_num_groups])?;
        file.sizes("time_embedding_dim", &self.time_embedding_dim)?;
        file.sizes("addition_time_embed_dim", &self.addition_time_embed_dim)?;
        file.sizes(
            "projection_class_embeddings_input_dim",
            &self.projection_class_embeddings_input_dim,
        )?;
        for (key, kernel) in [
            ("conv_in_kernel", self.conv_in_kernel),
            ("conv_out_kernel", self.conv_out_kernel),
        ] {
            if !(1..=31).contains(&kernel) || kernel % 2 == 0 {
                return Err(file.unsupported(key, format!("{kernel} is not a small odd number")));
            }
        }
        for &channels in &self.block_out_channels {
            file.divides("norm_num_groups", self.norm_num_groups, channels)?;
        }
        Ok(())
    }

    fn check_lists(&self, file: &ConfigFile) -> Result<(), Error> {
        let blocks = self.blocks();
        if blocks == 0 {
            return Err(file.unsupported("block_out_channels", "there is no block"));
        }
        let heads = self.num_attention_heads.as_ref();
        let reversed = self.reverse_transformer_layers_per_block.as_ref();
        let lists = [
            ("down_block_types", self.down_block_types.len() == blocks),
            ("layers_per_block", self.layers_per_block.fits(blocks)),
            ("cross_attention_dim", self.cross_attention_dim.fits(blocks)),
            ("attention_head_dim", self.attention_head_dim.fits(blocks)),
            (
                "num_attention_heads",
                heads.is_none_or(|heads| heads.fits(blocks)),
            ),
            (
                "transformer_layers_per_block",
                self.transformer_layers_per_block.fits(blocks),
            ),
            (
                "reverse_transformer_layers_per_block",
                reversed.is_none_or(|list| list.fits(blocks)),
            ),
        ];
        if let Some((key, _)) = lists.iter().find(|(_, fits)| !fits) {
            return Err(
                file.unsupported(key, format!("there is not one for each of {blocks} blocks"))
            );
        }
        self.check_types(
            file,
            "down_block_types",
            &self.down_block_types,
            ["DownBlock2D", "CrossAttnDownBlock2D"],
        )?;
        (0..blocks).try_for_each(|block| self.check_block(file, block))
    }

    fn check_block(&self, file: &ConfigFile, block: usize) -> Result<(), Error> {
        let layers = *self.layers_per_block.at(block);
        if !(1..=1000).contains(&layers) {
            return Err(file.unsupported("layers_per_block", format!("{layers} is out of range")));
        }
        let depths = self.transformer_layers_per_block.at(block);
        if !depths.fits(layers) || depths.values().any(|&depth| depth > 1000) {
            return Err(file.unsupported(
                "transformer_layers_per_block",
                format!("block {block} has {layers} layers"),
            ));
        }
        if self.attends(block) || self.mid_block_type.is_some() {
            let channels = self.block_out_channels[block];
            file.divides("attention_head_dim", self.heads(block), channels)?;
        }
        Ok(())
    }

    /// Checks the way up, which a ControlNet has not.
    pub(crate) fn check_up(&self, file: &ConfigFile) -> Result<(), Error> {
        let blocks = self.blocks();
        if self.up_block_types.len() != blocks {
            return Err(file.unsupported(
                "up_block_types",
                format!("there is not one for each of {blocks} blocks"),
            ));
        }
        self.check_types(
            file,
            "up_block_types",
            &self.up_block_types,
            ["UpBlock2D", "CrossAttnUpBlock2D"],
        )?;
        for block in 0..blocks {
            let channels = self.block_out_channels[blocks - 1 - block];
            let layers = self.layers_up(block);
            if self.attends_up(block) {
                file.divides(
                    "attention_head_dim",
                    self.heads(blocks - 1 - block),
                    channels,
                )?;
            }
            let depths = self.depths_up(block);
            if !depths.fits(layers) || depths.values().any(|&depth| depth > 1000) {
                return Err(file.unsupported(
                    "reverse_transformer_layers_per_block",
                    format!("block {block} up has {layers} layers"),
                ));
            }
        }
        Ok(())
    }

    fn check_types(
        &self,
        file: &ConfigFile,
        key: &str,
        types: &[String],
        known: [&str; 2],
    ) -> Result<(), Error> {
        match types.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(file.unsupported(
                key,
                format!("\"{name}\" is not supported, only {}", known.join(" and ")),
            )),
            None => Ok(()),
        }
    }

    fn check_added(&self, file: &ConfigFile) -> Result<(), Error> {
        if !self.takes_added() {
            return Ok(());
        }
        for (key, value) in [
            ("addition_time_embed_dim", self.addition_time_embed_dim),
            (
                "projection_class_embeddings_input_dim",
                self.projection_class_embeddings_input_dim,
            ),
        ] {
            if value.is_none() {
                return Err(file.unsupported(key, "text_time cannot be without it"));
            }
        }
        if self.pooled_dim().is_none_or(|pooled| pooled < 1) {
            return Err(file.unsupported(
                "projection_class_embeddings_input_dim",
                "is less than six times addition_time_embed_dim",
            ));
        }
        Ok(())
    }

    /// How many blocks down, and as many up.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.block_out_channels.len()
    }

    /// Heads of the attentions in a block.
    #[must_use]
    pub fn heads(&self, block: usize) -> i64 {
        *self
            .num_attention_heads
            .as_ref()
            .unwrap_or(&self.attention_head_dim)
            .at(block)
    }

    /// True if [`super::Added`] belongs to the input.
    #[must_use]
    pub fn takes_added(&self) -> bool {
        self.addition_embed_type.is_some()
    }

    /// Channels of the pooled prompt, with SDXL.
    #[must_use]
    pub fn pooled_dim(&self) -> Option<i64> {
        let numbers = 6 * self.addition_time_embed_dim?;
        Some(self.projection_class_embeddings_input_dim? - numbers)
    }

    /// Channels of the embedding of time.
    #[must_use]
    pub fn time_channels(&self) -> i64 {
        self.time_embedding_dim
            .unwrap_or(self.block_out_channels[0] * 4)
    }

    pub(crate) fn sinusoid(&self, channels: i64) -> Sinusoid {
        Sinusoid {
            channels,
            flip_sin_to_cos: self.flip_sin_to_cos,
            freq_shift: self.freq_shift,
        }
    }

    pub(crate) fn norm(&self) -> Norm {
        Norm {
            groups: self.norm_num_groups,
            eps: self.norm_eps,
        }
    }

    pub(crate) fn attends(&self, block: usize) -> bool {
        self.down_block_types[block] == "CrossAttnDownBlock2D"
    }

    pub(crate) fn attends_up(&self, block: usize) -> bool {
        self.up_block_types[block] == "CrossAttnUpBlock2D"
    }

    /// Residual blocks of a block up, the innermost first.
    pub(crate) fn layers_up(&self, block: usize) -> usize {
        self.layers_per_block.at(self.blocks() - 1 - block) + 1
    }

    /// Transformer blocks of a block up, the innermost first.
    pub(crate) fn depths_up(&self, block: usize) -> &PerBlock<usize> {
        match &self.reverse_transformer_layers_per_block {
            Some(reversed) => reversed.at(block),
            None => self
                .transformer_layers_per_block
                .at(self.blocks() - 1 - block),
        }
    }

    /// The transformers beside the residual blocks of a block, but for their depth.
    pub(crate) fn transformer(&self, block: usize, depth: usize) -> attention::Shape {
        attention::Shape {
            channels: self.block_out_channels[block],
            heads: self.heads(block),
            depth,
            groups: self.norm_num_groups,
            context: *self.cross_attention_dim.at(block),
        }
    }
}
