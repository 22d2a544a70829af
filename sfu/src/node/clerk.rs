//! What has to be done every second, every few seconds and every day, by whichever node is there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reverie_moments::store::{Error, Node as Seen};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Fault, Node, now_ms};
use crate::channel::Shared;

/// How often the reaper looks.
const REAP: Duration = Duration::from_secs(1);
/// How often old prompts are erased.
const ERASE: Duration = Duration::from_secs(24 * 3600);

/// Runs until the server stops.
pub(super) async fn run(node: Arc<Node>, shared: Arc<Shared>, url: String) {
    let mut reap = interval(REAP);
    let mut beat = interval(shared.config.moments.heartbeat);
    let mut erase = interval(ERASE);
    for ticks in [&mut reap, &mut beat, &mut erase] {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let mut faults = [Fault::default(), Fault::default(), Fault::default()];
    let [reaping, beating, erasing] = &mut faults;
    loop {
        let (call, fault, done) = tokio::select! {
            _ = reap.tick() => ("reap", &mut *reaping, reap_once(&node).await),
            _ = beat.tick() => ("node", &mut *beating, seen(&node, &shared, &url).await),
            _ = erase.tick() => ("erase", &mut *erasing, erase_old(&node).await),
            () = node.stopped() => return,
        };
        if done.is_err() {
            let errors = &shared.metrics.store_errors;
            errors.with_label_values(&[call]).inc();
        }
        let error = done.as_ref().err();
        fault.is(call, error.map(|error| error as &dyn std::fmt::Display));
    }
}

async fn reap_once(node: &Node) -> Result<(), Error> {
    for moment in node.store.reap(now_ms()).await?.moments {
        tracing::info!(channel = %moment.channel, moment = %moment.id, state = %moment.state, reason = ?moment.reason, "reaped");
    }
    Ok(())
}

async fn seen(node: &Node, shared: &Shared, url: &str) -> Result<(), Error> {
    let config = &shared.config;
    let free = shared.capacity.available_permits();
    let loaded = config.pipeline.max_active.saturating_sub(free);
    let lease = node.store.limits().lease;
    let draining = *node.stopping.borrow() || shared.drained.load(Ordering::Relaxed);
    node.store
        .node_seen(&Seen {
            id: node.id.clone(),
            url: url.to_owned(),
            region: String::new(),
            capacity: json!({ "pipelines": config.pipeline.max_active }).to_string(),
            load: json!({ "pipelines": loaded }).to_string(),
            draining,
            seen_until: now_ms().saturating_add(lease),
        })
        .await
}

async fn erase_old(node: &Node) -> Result<(), Error> {
    let since = Instant::now();
    let erased = node.store.erase(now_ms()).await?;
    if erased > 0 {
        tracing::info!(erased, took = ?since.elapsed(), "old prompts are erased");
    }
    Ok(())
}
