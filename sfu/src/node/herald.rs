//! Tells the channels of this node that something was committed, by whichever node.

use std::sync::Arc;
use std::time::Duration;

use reverie_moments::store::Error;

use super::{Fault, Node};
use crate::channel::Channels;

/// The pause after the database failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until the server stops.
pub(super) async fn run(node: Arc<Node>, channels: Channels) {
    tokio::select! {
        () = watch(&node, &channels) => {}
        () = node.stopped() => {}
    }
}

async fn watch(node: &Node, channels: &Channels) {
    let mut fault = Fault::default();
    loop {
        let Err(error) = follow(node, channels, &mut fault).await;
        fault.is("watch", Some(&error));
        let errors = &channels.shared.metrics.store_errors;
        errors.with_label_values(&["watch"]).inc();
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow(
    node: &Node,
    channels: &Channels,
    fault: &mut Fault,
) -> Result<std::convert::Infallible, Error> {
    let mut watch = node.store.watch().await?;
    fault.is("watch", None);
    // What was committed while nobody watched is not told by name.
    for (_, channel) in channels.all() {
        channel.news();
    }
    loop {
        for (name, _) in watch.changed().await? {
            if let Some(channel) = channels.find(&name) {
                channel.news();
            }
        }
    }
}
