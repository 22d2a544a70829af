//! The streams of an engine, and one turn of work for those that have a frame.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tch::{Kind, Tensor};

use super::denoise::Denoiser;
use super::engine::{Answer, reply};
use super::library::Library;
use super::recorded::Way;
use super::{Opened, Pictures, Styled};
use crate::Error;
use crate::guard::guard;
use crate::params::{Acceleration, Params};
use crate::stream::{Call, Frame, Models, Picture, Progress, Stream};

/// A frame that somebody waits for.
pub(super) struct Ordered {
    pub(super) stream: u64,
    pub(super) pictures: Pictures,
    pub(super) answer: Answer<Styled>,
}

pub(super) struct Floor {
    library: Arc<Library>,
    models: Rc<Models>,
    streams: BTreeMap<u64, Stream<Rc<Models>>>,
    denoiser: Denoiser,
    next: u64,
}

/// A frame under way.
struct Job {
    order: Ordered,
    state: State,
    /// One of its calls should have been recorded and was not.
    fell_back: bool,
}

enum State {
    Waits(Call),
    Denoised(Tensor),
    Made(Picture, bool),
}

impl Floor {
    pub(super) fn new(library: Arc<Library>, models: Models, acceleration: Acceleration) -> Self {
        Self {
            library,
            denoiser: Denoiser::new(models.placement.device, acceleration),
            models: Rc::new(models),
            streams: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn open(&mut self, params: &Params) -> Result<Opened, Error> {
        let picture = self.library.picture(params)?;
        let mut stream = Stream::new(Rc::clone(&self.models), params)?;
        if picture.is_some() {
            stream.show(picture.as_ref())?;
        }
        let opened = Opened {
            stream: self.next,
            delay: delay(&stream),
        };
        self.streams.insert(self.next, stream);
        self.next += 1;
        Ok(opened)
    }

    pub(super) fn apply(&mut self, stream: u64, params: &Params) -> Result<usize, Error> {
        let library = Arc::clone(&self.library);
        let stream = self.stream(stream)?;
        let before = stream.params().clone();
        if image(&before) == image(params) {
            stream.apply(params)?;
            return Ok(delay(stream));
        }
        let picture = library.picture(params)?;
        stream.apply(params)?;
        if let Err(error) = stream.show(picture.as_ref()) {
            // They were in force before, with their picture.
            stream.apply(&before)?;
            return Err(error);
        }
        Ok(delay(stream))
    }

    pub(super) fn restart(&mut self, stream: u64) -> Result<(), Error> {
        self.stream(stream)?.restart();
        Ok(())
    }

    pub(super) fn close(&mut self, stream: u64) {
        self.streams.remove(&stream);
    }

    fn stream(&mut self, stream: u64) -> Result<&mut Stream<Rc<Models>>, Error> {
        self.streams
            .get_mut(&stream)
            .ok_or_else(|| Error::Model("the stream has ended".to_owned()))
    }

    /// Makes the pictures that were ordered and answers each. A fault of one is no fault of the others, unless it
    /// comes from a call that they had in common.
    pub(super) fn work(&mut self, orders: Vec<Ordered>) {
        let began = Instant::now();
        let together = orders.len();
        let mut jobs = self.begin(orders);
        while self.denoise(&mut jobs) {}
        let jobs = self.decode(jobs);
        for job in jobs {
            let Job {
                mut order,
                state,
                fell_back,
            } = job;
            let State::Made(picture, repeated) = state else {
                continue;
            };
            let read = picture.rgb(&mut order.pictures.rgb);
            let styled = read.map(|()| Styled {
                pictures: order.pictures,
                repeated,
                worked: began.elapsed(),
                together,
                fell_back,
            });
            reply(&order.answer, styled);
        }
    }

    fn begin(&mut self, orders: Vec<Ordered>) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(orders.len());
        for order in orders {
            match self.enter(&order) {
                Ok(state) => jobs.push(Job {
                    order,
                    state,
                    fell_back: false,
                }),
                Err(error) => reply(&order.answer, Err(error)),
            }
        }
        jobs
    }

    fn enter(&mut self, order: &Ordered) -> Result<State, Error> {
        let device = self.models.placement.device;
        let stream = self.stream(order.stream)?;
        let params = stream.params();
        let size = (i64::from(params.width), i64::from(params.height));
        let image = tensor(&order.pictures.rgb, size, device)?;
        let controls: Vec<_> = order
            .pictures
            .controls
            .iter()
            .map(|control| tensor(control, size, device))
            .collect::<Result<_, _>>()?;
        let frame = Frame {
            image: &image,
            controls: &controls,
        };
        match stream.begin(frame)? {
            Some(call) => Ok(State::Waits(call)),
            None => {
                let last = stream.last().expect("a frame is like one that came out");
                Ok(State::Made(last.shallow_clone(), true))
            }
        }
    }

    /// One call of the UNet for everybody who waits for one; false when nobody did.
    fn denoise(&mut self, jobs: &mut Vec<Job>) -> bool {
        let waiting: Vec<_> = jobs
            .iter()
            .filter_map(|job| match &job.state {
                State::Waits(call) => Some((job.order.stream, call)),
                _ => None,
            })
            .collect();
        if waiting.is_empty() {
            return false;
        }
        let answers = self
            .denoiser
            .answers(&self.models.unet, &self.streams, &waiting);
        let mut answers = answers.into_iter();
        let streams = &mut self.streams;
        *jobs = std::mem::take(jobs)
            .into_iter()
            .filter_map(|mut job| {
                let State::Waits(call) = job.state else {
                    return Some(job);
                };
                let answer = answers.next().expect("each call is answered");
                let stream = streams
                    .get_mut(&job.order.stream)
                    .expect("its frame was begun");
                let progress = answer.and_then(|(answer, way)| {
                    job.fell_back |= way == Way::FellBack;
                    stream.finish(call, &answer)
                });
                job.state = match progress {
                    Ok(Progress::Again(call)) => State::Waits(call),
                    Ok(Progress::Done(latents)) => State::Denoised(latents),
                    Err(error) => {
                        reply(&job.order.answer, Err(error));
                        return None;
                    }
                };
                Some(job)
            })
            .collect();
        true
    }

    fn decode(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let mut decoded = Vec::with_capacity(jobs.len());
        for mut job in jobs {
            let State::Denoised(latents) = &job.state else {
                decoded.push(job);
                continue;
            };
            let stream = self
                .streams
                .get_mut(&job.order.stream)
                .expect("its frame was begun");
            match stream.decode(latents) {
                Ok(picture) => {
                    job.state = State::Made(picture, false);
                    decoded.push(job);
                }
                Err(error) => reply(&job.order.answer, Err(error)),
            }
        }
        decoded
    }
}

fn image(params: &Params) -> Option<&str> {
    let adapter = params.ip_adapter.as_ref()?;
    adapter.image.as_deref()
}

fn delay(stream: &Stream<Rc<Models>>) -> usize {
    usize::try_from(stream.delay()).expect("a delay is not negative")
}

/// Pictures of `size` (width, height) as (n,3,H,W) in 0..=1.
fn tensor(rgb: &[u8], (width, height): (i64, i64), device: tch::Device) -> Result<Tensor, Error> {
    let picture = usize::try_from(width * height * 3).expect("sizes are positive");
    if rgb.is_empty() || !rgb.len().is_multiple_of(picture) {
        return Err(Error::Parameter(format!(
            "{} bytes are no pictures of {width}x{height}",
            rgb.len()
        )));
    }
    guard(|| {
        let count = (rgb.len() / picture) as i64;
        let bytes = Tensor::from_data_size(rgb, &[count, height, width, 3], Kind::Uint8);
        let planes = bytes.to_device(device).permute([0, 3, 1, 2]);
        Ok(planes.to_kind(Kind::Float) / 255.0)
    })
}
