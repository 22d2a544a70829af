//! The measurements, and the table of them.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use reverie_diffusion::device::Placement;
use reverie_diffusion::hub::{Hub, Library, Pictures};
use reverie_diffusion::params::{CfgType, Params};
use reverie_diffusion::stream::{Progress, Stream};
use tch::{Cuda, Device, Kind, Tensor};

use super::folder::Shape;
use super::{Result, Wanted};

/// Medians over the frames, in milliseconds, and the rate of the loop without stops between the parts.
pub(super) struct Line {
    fps: f64,
    upload: f64,
    encode: f64,
    unet: f64,
    decode: f64,
    download: f64,
}

/// Frames before anything is measured.
const WARM: usize = 5;

/// Rows of the calls of a frame that has the UNet denoise `steps` of them at once.
pub(super) fn stream(models: &Path, shape: &Shape, wanted: &Wanted) -> Result<Line> {
    let library = Library::new(models, wanted.placement);
    let params = params(shape, wanted.steps);
    let (models, _) = library.load(&params, &mut |_, _| {})?;
    let mut stream = Stream::new(models, &params)?;
    let (width, height) = shape.size();
    let pictures: Vec<_> = (0..8).map(|n| picture(n, width, height)).collect();
    let mut out = vec![0; pictures[0].len()];
    let mut frame = |n: usize, stream: &mut Stream| -> Result<()> {
        let image = upload(&pictures[n % pictures.len()], shape, wanted.placement);
        Ok(stream.frame(&image)?.picture.rgb(&mut out)?)
    };
    for n in 0..WARM {
        frame(n, &mut stream)?;
    }
    wait(wanted.placement);
    let (began, mut count) = (Instant::now(), 0);
    while count < 3 || began.elapsed().as_secs_f64() < wanted.seconds {
        frame(count, &mut stream)?;
        count += 1;
    }
    wait(wanted.placement);
    let fps = count as f64 / began.elapsed().as_secs_f64();
    let mut parts = Parts::default();
    for n in 0..(count / 4).clamp(3, 50) {
        parts.frame(
            &mut stream,
            &pictures[n % pictures.len()],
            &mut out,
            shape,
            wanted.placement,
        )?;
    }
    let [upload, encode, unet, decode, download] = parts.0.map(|mut times| median(&mut times));
    Ok(Line {
        fps,
        upload,
        encode,
        unet,
        decode,
        download,
    })
}

/// Milliseconds of each part: upload, encode, UNet, decode, download.
#[derive(Default)]
struct Parts([Vec<f64>; 5]);

impl Parts {
    /// One frame with a stop after each part.
    fn frame(
        &mut self,
        stream: &mut Stream,
        rgb: &[u8],
        out: &mut [u8],
        shape: &Shape,
        placement: Placement,
    ) -> Result<()> {
        let mut at = Instant::now();
        let mut part = |times: &mut Vec<f64>| {
            wait(placement);
            times.push(at.elapsed().as_secs_f64() * 1000.0);
            at = Instant::now();
        };
        let [upload_times, encode, unet, decode, download] = &mut self.0;
        let image = upload(rgb, shape, placement);
        part(upload_times);
        let call = stream.begin(&image)?.ok_or("a frame was skipped")?;
        part(encode);
        let answer = {
            let input = stream.input(&call)?;
            let unet = &stream.models().unet;
            unet.forward(
                &input.x,
                input.time,
                input.context,
                input.residuals.as_ref(),
            )
        };
        let Progress::Done(latents) = stream.finish(call, &answer)? else {
            return Err("a primed stream takes one call a frame".into());
        };
        part(unet);
        let picture = stream.decode(&latents)?;
        part(decode);
        picture.rgb(out)?;
        part(download);
        Ok(())
    }
}

/// Frames per second that channels get which share one engine, each with a thread of its own.
pub(super) fn shared(models: &Path, shape: &Shape, wanted: &Wanted) -> Result<String> {
    let hub = Hub::new(
        Library::new(models, wanted.placement),
        Duration::from_millis(3),
    );
    let params = params(shape, wanted.steps);
    let sessions = (0..wanted.channels)
        .map(|_| hub.open(&params).wait())
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let start = Barrier::new(sessions.len());
    let (width, height) = shape.size();
    let channel =
        |session: &reverie_diffusion::hub::Session| -> std::result::Result<(f64, f64), String> {
            let rgb = picture(1, width, height);
            let mut passing = Pictures {
                rgb: rgb.clone(),
                controls: Vec::new(),
            };
            let mut together = 0;
            let mut frames = 0;
            let mut began = Instant::now();
            loop {
                if frames == WARM {
                    start.wait();
                    (began, together) = (Instant::now(), 0);
                }
                passing.rgb.copy_from_slice(&rgb);
                let styled = session.frame(passing).map_err(|error| error.to_string())?;
                (frames, together) = (frames + 1, together + styled.together);
                passing = styled.pictures;
                if frames > WARM + 2 && began.elapsed().as_secs_f64() > wanted.seconds {
                    let measured = (frames - WARM) as f64;
                    return Ok((
                        measured / began.elapsed().as_secs_f64(),
                        together as f64 / measured,
                    ));
                }
            }
        };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .iter()
            .map(|session| scope.spawn(|| channel(session)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a channel does not panic"))
            .collect()
    });
    let mut rates = results
        .into_iter()
        .collect::<std::result::Result<Vec<_>, _>>()?;
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let sum: f64 = rates.iter().map(|(fps, _)| fps).sum();
    let together = rates.iter().map(|(_, together)| together).sum::<f64>() / rates.len() as f64;
    Ok(format!(
        "{} channels of one model: {:.1} fps each at least, {sum:.1} fps in all, {together:.1} frames in a call",
        wanted.channels, rates[0].0
    ))
}

fn params(shape: &Shape, steps: usize) -> Params {
    let (width, height) = shape.size();
    let places = [&[32][..], &[16, 32], &[12, 20, 32], &[8, 16, 24, 32]];
    Params {
        model_id: shape.name.clone(),
        t_index_list: places[steps.clamp(1, 4) - 1].to_vec(),
        cfg_type: Some(CfgType::None),
        width,
        height,
        ..Params::default()
    }
}

/// A picture with structure, another one for each `n`.
fn picture(n: usize, width: u32, height: u32) -> Vec<u8> {
    (0..width as usize * height as usize * 3)
        .map(|i| (i / 7 + i / (width as usize * 3) + n * 31) as u8)
        .collect()
}

fn upload(rgb: &[u8], shape: &Shape, placement: Placement) -> Tensor {
    let (width, height) = shape.size();
    let size = [1, i64::from(height), i64::from(width), 3];
    let bytes = Tensor::from_data_size(rgb, &size, Kind::Uint8).to_device(placement.device);
    bytes.permute([0, 3, 1, 2]).to_kind(Kind::Float) / 255.0
}

fn wait(placement: Placement) {
    if let Device::Cuda(index) = placement.device {
        Cuda::synchronize(index as i64);
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// 10^12 floating-point operations per second of the fastest of some products of large matrices.
pub(super) fn matmul_peak(placement: Placement) -> f64 {
    let side: i64 = if placement.device.is_cuda() {
        8192
    } else {
        1536
    };
    let a = Tensor::randn([side, side], (Kind::Float, placement.device)).to_kind(placement.kind);
    let b = Tensor::randn([side, side], (Kind::Float, placement.device)).to_kind(placement.kind);
    let once = || {
        let began = Instant::now();
        for _ in 0..4 {
            let _ = a.matmul(&b);
        }
        wait(placement);
        began.elapsed().as_secs_f64() / 4.0
    };
    let best = (0..6).map(|_| once()).fold(f64::INFINITY, f64::min);
    2.0 * (side as f64).powi(3) / best / 1e12
}

pub(super) fn machine(wanted: &Wanted, peak: f64) -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{processor}, {cores} cores, {} threads; {}; matrix product {peak:.3} TFLOP/s; peak memory {}",
        wanted.threads,
        wanted.placement,
        memory()
    )
}

/// Of this process, on the machine's side.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<f64>()
                .ok()
        })
        .map_or_else(
            || "unknown".to_owned(),
            |kib| format!("{:.0} MiB", kib / 1024.0),
        )
}

/// What `benches/compare` measures the original against.
pub(super) fn told(shape: &Shape, wanted: &Wanted, line: &Line) -> serde_json::Value {
    let placement = wanted.placement.to_string();
    let (device, kind) = placement.split_once(' ').unwrap_or((&placement, "fp32"));
    serde_json::json!({
        "model": shape.name,
        "steps": wanted.steps,
        "device": device,
        "kind": kind,
        "threads": wanted.threads,
        "fps": line.fps,
        "encode_ms": line.encode,
        "unet_ms": line.unet,
        "decode_ms": line.decode,
    })
}

pub(super) fn table(shape: &Shape, wanted: &Wanted, line: &Line, peak: f64) -> String {
    let rows = wanted.steps as f64;
    let gflop = shape.gflop("encode") + rows * shape.gflop("unet") + shape.gflop("decode");
    let share = gflop / 1000.0 * line.fps / peak * 100.0;
    let (width, height) = shape.size();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "| model | size | steps | fps | upload ms | encode ms | UNet ms | decode ms | download ms | of matrix peak |\n\
         |---|---|---|---|---|---|---|---|---|---|"
    );
    let _ = write!(
        text,
        "| {} | {width}x{height} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {share:.0} % |",
        shape.name,
        wanted.steps,
        line.fps,
        line.upload,
        line.encode,
        line.unet,
        line.decode,
        line.download
    );
    text
}
