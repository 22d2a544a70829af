//! Pictures as viewers saw them, read from their bar codes.

use serde_json::Value;

/// One presented picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Unix seconds at the viewer.
    pub t: f64,
    /// Frame number of the publisher; `None` if the code could not be read.
    pub n: Option<u64>,
    /// True inside a moment of `debug-invert`.
    pub inverted: bool,
    /// Mean brightness, 0 to 255.
    pub luma: f64,
    /// When it was drawn, in milliseconds of the publisher's clock modulo 2^24.
    pub clock: Option<u64>,
    /// When its last packet came, in milliseconds of a clock of the viewer, where that is known.
    pub received: Option<f64>,
}

/// The clock of the bar code wraps here.
const CLOCK_SPAN: u64 = 1 << 24;

impl Frame {
    fn read(value: &Value) -> Self {
        Self {
            t: value["t"].as_f64().unwrap_or_default(),
            n: value["n"].as_u64(),
            inverted: value["inverted"].as_bool().unwrap_or_default(),
            luma: value["luma"].as_f64().unwrap_or_default(),
            clock: value["clock"].as_u64(),
            received: value["receiveTime"].as_f64(),
        }
    }
}

/// The pictures of one page of a browser.
#[must_use]
pub fn of_page(seen: &[Value], page: &str) -> Vec<Frame> {
    seen.iter()
        .filter(|line| line["event"] == "frames" && line["page"] == page)
        .flat_map(|line| line["frames"].as_array().into_iter().flatten())
        .map(Frame::read)
        .collect()
}

/// The pictures of an aiortc player.
#[must_use]
pub fn of_player(seen: &[Value]) -> Vec<Frame> {
    seen.iter()
        .filter(|line| line["event"] == "frame")
        .map(Frame::read)
        .collect()
}

/// Runs of inverted pictures: each as (first number, last number, count).
#[must_use]
pub fn moments(frames: &[Frame]) -> Vec<(u64, u64, usize)> {
    let mut runs: Vec<(u64, u64, usize)> = Vec::new();
    let mut inside = false;
    for frame in frames {
        let Some(n) = frame.n else { continue };
        match (frame.inverted, inside) {
            (true, false) => runs.push((n, n, 1)),
            (true, true) => {
                if let Some(run) = runs.last_mut() {
                    *run = (run.0, n, run.2 + 1);
                }
            }
            (false, _) => {}
        }
        inside = frame.inverted;
    }
    runs
}

/// Says what is wrong with a sequence of pictures that must be one continuous stream; empty if nothing is.
#[must_use]
pub fn faults(frames: &[Frame]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut last: Option<u64> = None;
    for (i, frame) in frames.iter().enumerate() {
        if frame.luma < 20.0 {
            faults.push(format!("picture {i} is black (luma {})", frame.luma));
        }
        let Some(n) = frame.n else {
            faults.push(format!("picture {i} after number {last:?} is unreadable"));
            continue;
        };
        if last.is_some_and(|last| n <= last) {
            faults.push(format!("number {n} came after {last:?}"));
        }
        last = Some(n);
    }
    faults
}

/// The longest time between two pictures, in seconds.
#[must_use]
pub fn longest_gap(frames: &[Frame]) -> f64 {
    frames
        .windows(2)
        .map(|pair| pair[1].t - pair[0].t)
        .fold(0.0, f64::max)
}

/// The longest time by which a picture came later after the one before than it was drawn after it, in seconds: what the
/// way from the publisher to the viewer added to a pause, however the publisher's own machine paused.
#[must_use]
pub fn longest_stall(frames: &[Frame]) -> f64 {
    let came = |f: &Frame| f.received.map_or(f.t, |ms| ms / 1e3);
    let stall = |pair: &[Frame]| {
        let drawn = pair[1].clock? + CLOCK_SPAN - pair[0].clock?;
        let drawn = (drawn % CLOCK_SPAN) as f64 / 1e3;
        Some(came(&pair[1]) - came(&pair[0]) - drawn)
    };
    frames.windows(2).filter_map(stall).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: u64, inverted: bool) -> Frame {
        Frame {
            t: 0.0,
            n: Some(n),
            inverted,
            luma: 128.0,
            clock: None,
            received: None,
        }
    }

    #[test]
    fn a_pause_of_the_publisher_is_no_stall_and_one_on_the_way_is() {
        let at = |t: f64, clock: u64| Frame {
            t,
            clock: Some(clock),
            ..frame(1, false)
        };
        let paused = [at(1.0, CLOCK_SPAN - 100), at(1.5, 400)];
        assert!(longest_stall(&paused).abs() < 1e-9);
        let stalled = [at(1.0, 100), at(1.5, 133)];
        assert!((longest_stall(&stalled) - 0.467).abs() < 1e-9);
    }

    #[test]
    fn a_repeated_number_and_a_black_picture_are_faults() {
        let good = [frame(1, false), frame(2, true), frame(4, false)];
        assert!(faults(&good).is_empty());
        assert_eq!(moments(&good), [(2, 2, 1)]);
        let mut bad = vec![frame(5, false), frame(5, false)];
        bad[1].luma = 2.0;
        assert_eq!(faults(&bad).len(), 2);
    }
}
