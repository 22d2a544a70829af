//! This crate's stream on the inputs of a recording, compared tensor by tensor.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use reverie_diffusion::device::Placement;
use reverie_diffusion::folder::Folder;
use reverie_diffusion::guard::guard;
use reverie_diffusion::ip_adapter::Picture;
use reverie_diffusion::stream::{Call, Frame, Models, Parts, Progress, Stream};
use tch::Tensor;

use super::case::{Case, Recording, relative_error};

/// Seeds and integers are met exactly.
const EXACT: f64 = 0.0;
/// Constants.
const TABLES: f64 = 1e-6;
/// One network on recorded inputs.
const MODULE: f64 = 2e-5;
/// What has gone through several frames.
const FRAMES: f64 = 1e-4;

/// The largest error of one kind of tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worst {
    pub(crate) error: f64,
    pub(crate) limit: f64,
    /// How many tensors were compared.
    pub(crate) compared: usize,
}

impl Worst {
    /// Not so if the error is no number.
    pub(crate) fn is_met(self) -> bool {
        self.error <= self.limit
    }
}

/// What came of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) kinds: BTreeMap<&'static str, Worst>,
    /// What was not compared, and why.
    pub(crate) notes: Vec<&'static str>,
}

impl Comparison {
    /// Adds the error of one tensor; one that is not in the recording is passed over.
    fn add(&mut self, kind: &'static str, limit: f64, ours: &Tensor, theirs: Option<&Tensor>) {
        let Some(theirs) = theirs else { return };
        let error = relative_error(ours, theirs);
        let worst = self.kinds.entry(kind).or_insert(Worst {
            error: 0.0,
            limit,
            compared: 0,
        });
        worst.compared += 1;
        // An error that is no number stays.
        if error.is_nan() || error > worst.error {
            worst.error = error;
        }
    }

    pub(crate) fn is_met(&self) -> bool {
        !self.kinds.is_empty() && self.kinds.values().all(|worst| worst.is_met())
    }
}

/// Runs the stream of `recording` with the models below `models`.
pub(crate) fn compare(models: &Path, recording: &Recording) -> Result<Comparison> {
    let case = &recording.case;
    let folder = |name: &str| Folder::new(models.join(name));
    let vae = match (case.tiny, &case.vae) {
        (true, Some(name)) => Some(folder(name)),
        (true, None) => bail!("the case has an AutoencoderTiny and does not say which"),
        (false, _) => None,
    };
    let nets: Vec<_> = case
        .controlnets
        .iter()
        .map(|(name, _)| folder(name))
        .collect();
    let adapters = models.with_file_name("golden").join("ip_adapter");
    let adapter = case
        .ip_adapter
        .as_ref()
        .map(|(file, _)| adapters.join(file));
    let parts = Parts {
        vae: vae.as_ref(),
        controlnets: &nets,
        ip_adapter: adapter.as_deref(),
        ..Parts::default()
    };
    let (loaded, _) = Models::load(&folder(&case.model), parts, Placement::CPU)?;
    let mut stream = Stream::new(loaded, &case.params())?;
    if adapter.is_some() {
        stream.show(Some(&picture(&adapters)?))?;
    }
    if !case.prime {
        stream.skip_priming();
    }
    let mut comparison = Comparison::default();
    prepared(&stream, recording, &mut comparison)?;
    for frame in 0..case.frames {
        if let Some(next) = case.change(frame, stream.params())? {
            stream.apply(&next)?;
        }
        step(&mut stream, recording, frame, &mut comparison)?;
    }
    comparison.notes = notes(case);
    Ok(comparison)
}

/// The picture beside the prompt: the first one that the image encoder's recording holds.
fn picture(adapters: &Path) -> Result<Picture> {
    let tensors = Tensor::read_safetensors(adapters.join("image_encoder.safetensors"))?;
    let picture = tensors.iter().find(|(name, _)| name == "0.picture");
    let (_, bytes) = picture.context("there is no picture 0")?;
    let (_, height, width) = bytes.size3()?;
    Ok(Picture {
        width: width.try_into()?,
        height: height.try_into()?,
        rgb: Vec::try_from(bytes.permute([1, 2, 0]).contiguous().view(-1))?,
    })
}

fn notes(case: &Case) -> Vec<&'static str> {
    let mut notes = Vec::new();
    if case.is_drawn() {
        notes.push(
            "x_t is taken from the file: the reference draws from the autoencoder's posterior",
        );
    }
    if !case.denoise_batch {
        notes
            .push("x_t is taken from the file after frame 0: the reference feeds it back as noise");
        if case.add_noise && case.t_index_list.len() > 1 {
            notes.push("the input of the last step is taken from the file: the reference's noise there has no seed");
        }
    }
    notes
}

/// The constants.
fn prepared(stream: &Stream, recording: &Recording, to: &mut Comparison) -> Result<()> {
    let case = &recording.case;
    let (tables, state) = (stream.tables(), stream.state());
    let schedule = &stream.models().schedule;
    let mut add = |kind, limit, name: &str, ours: &Tensor| {
        to.add(kind, limit, ours, recording.get(&format!("prep.{name}")));
    };
    let timesteps = Tensor::from_slice(&schedule.timesteps(case.steps)?);
    add("timesteps", EXACT, "timesteps", &timesteps);
    add(
        "tables",
        TABLES,
        "alphas_cumprod",
        &Tensor::from_slice(schedule.alphas_cumprod()),
    );
    // The reference repeats some of its constants for the frames of a call and some not.
    let repeats = |name: &str| recording.get(name).map_or(1, |tensor| tensor.size()[0]);
    let thinned = |ours: &Tensor, name: &str| {
        let step = ours.size()[0] / repeats(&format!("prep.{name}")).max(1);
        ours.slice(0, 0, None, step.max(1))
    };
    for (name, ours, kind, limit) in [
        (
            "sub_timesteps_tensor",
            &tables.timesteps,
            "timesteps",
            EXACT,
        ),
        ("alpha_prod_t_sqrt", &tables.alpha, "tables", TABLES),
        ("beta_prod_t_sqrt", &tables.beta, "tables", TABLES),
        ("c_skip", &tables.c_skip, "tables", TABLES),
        ("c_out", &tables.c_out, "tables", TABLES),
    ] {
        add(kind, limit, name, &thinned(ours, name));
    }
    let drawn = state
        .noise
        .narrow(0, 0, repeats("prep.init_noise").min(state.noise.size()[0]));
    add("noise", EXACT, "init_noise", &drawn);
    add("stock_noise", FRAMES, "stock_noise", &state.stock);
    add(
        "prompt_embeds",
        MODULE,
        "prompt_embeds",
        stream.embedding_rows(),
    );
    Ok(())
}

/// One frame.
fn step(
    stream: &mut Stream,
    recording: &Recording,
    frame: usize,
    to: &mut Comparison,
) -> Result<()> {
    let case = &recording.case;
    let theirs = |name: &str| recording.of(frame, name);
    let image = (recording.tensor(&format!("f{frame}.x"))? + 1.0) / 2.0;
    let controls: Vec<_> = theirs("control")
        .map(|control| {
            case.controlnets
                .iter()
                .map(|_| control.shallow_clone())
                .collect()
        })
        .unwrap_or_default();
    let fed = Frame {
        image: &image,
        controls: &controls,
    };
    let Some(call) = stream.begin(fed)? else {
        bail!("frame {frame} was skipped");
    };
    to.add(
        "prompt_embeds",
        MODULE,
        &stream.embeddings().tokens,
        theirs("positive"),
    );
    to.add(
        "prompt_embeds",
        MODULE,
        stream.embedding_rows(),
        theirs("prompt_embeds"),
    );
    to.add("noise", FRAMES, &stream.state().noise, theirs("init_noise"));
    let latents = denoise(stream, recording, frame, call, to)?;
    to.add("x0", FRAMES, &latents, theirs("x0"));
    to.add(
        "stock_noise",
        FRAMES,
        &stream.state().stock,
        theirs("stock_noise"),
    );
    if case.denoise_batch {
        to.add("buffer", FRAMES, &stream.state().buffer, theirs("buffer"));
    }
    let decoded = guard(|| Ok(stream.models().vae.decode(&latents)))?;
    to.add("y", FRAMES, &decoded, theirs("y"));
    Ok(())
}

/// The calls of the UNet of one frame; gives the latents of the picture.
fn denoise(
    stream: &mut Stream,
    recording: &Recording,
    frame: usize,
    mut call: Call,
    to: &mut Comparison,
) -> Result<Tensor> {
    let theirs = |name: &str| recording.of(frame, name);
    for index in 0.. {
        substitute(&mut call, recording, frame, index, to)?;
        let input = stream.input(&call)?;
        let unet = &stream.models().unet;
        let forward = |x: &Tensor| {
            let residuals = input.residuals.as_ref();
            guard(|| Ok(unet.forward(x, input.time, input.context, residuals)))
        };
        let answer = forward(&input.x)?;
        let alone = theirs("unet_in").map(forward).transpose()?;
        let [x, timesteps] = [&input.x, input.timesteps].map(Tensor::shallow_clone);
        match stream.finish(call, &answer)? {
            Progress::Again(next) => call = next,
            Progress::Done(latents) => {
                to.add("timesteps", EXACT, &timesteps, theirs("unet_t"));
                to.add("unet_in", FRAMES, &x, theirs("unet_in"));
                to.add("unet_out", FRAMES, &answer, theirs("unet_out"));
                if let Some(alone) = &alone {
                    to.add(
                        "unet_out (unet_in given)",
                        MODULE,
                        alone,
                        theirs("unet_out"),
                    );
                }
                return Ok(latents);
            }
        }
    }
    unreachable!("a frame takes a few calls")
}

/// Puts the recording's latents in place of ours where ours cannot be the same, and compares them where they can.
fn substitute(
    call: &mut Call,
    recording: &Recording,
    frame: usize,
    index: usize,
    to: &mut Comparison,
) -> Result<()> {
    let case = &recording.case;
    let frames = i64::from(case.fb);
    let rows = call.latents.size()[0];
    let theirs = |name: &str| recording.tensor(&format!("f{frame}.{name}"));
    if !case.denoise_batch && index > 0 {
        if case.add_noise && index + 1 == case.t_index_list.len() {
            let x = theirs("unet_in")?;
            call.latents = x.narrow(0, x.size()[0] - frames, frames);
        }
    } else if case.is_drawn() || !case.denoise_batch && frame > 0 {
        let older = call.latents.narrow(0, frames, rows - frames);
        call.latents = Tensor::cat(&[theirs("x_t")?, &older], 0);
    } else {
        let new = call.latents.narrow(0, 0, frames);
        to.add("x_t", MODULE, &new, recording.of(frame, "x_t"));
    }
    Ok(())
}
