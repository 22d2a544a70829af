//! The streamer changes what the pipeline does, on the bridge.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use super::{DESK, Show};

impl Show {
    /// The streamer changes the seed and the creativity, and reads each time that the picture follows.
    pub(super) async fn steers(&mut self) -> Result<()> {
        let is_warm = "window.reverie.channel.pipeline.state === 'warm' \
                       && window.reverie.channel.pipeline.name === 'processors' \
                       && document.querySelector('#settings-part').checkVisibility()";
        self.until_at(DESK, "bridge", is_warm).await?;
        let before = self.params().await?;
        let seed = json!({ "cmd": "type", "page": "bridge", "selector": "#seed", "text": "7" });
        self.browsers[DESK].ask(seed).await?;
        self.until_at(DESK, "bridge", &toast("seed")).await?;
        // In the middle of the slider.
        self.click(DESK, "bridge", "#creativity").await?;
        let applied = toast("quality and creativity");
        self.until_at(DESK, "bridge", &applied).await?;
        let after = self.params().await?;
        let typed = "Number(document.querySelector('#seed').value)";
        ensure!(
            after["seed"] == self.finds("bridge", typed).await? && after["seed"] != before["seed"],
            "{after}"
        );
        ensure!(after["t_index_list"] != before["t_index_list"], "{after}");
        let chosen = "document.querySelector('#creativity').value";
        ensure!(self.finds("bridge", chosen).await? == "5", "the middle");
        Ok(())
    }

    async fn params(&self) -> Result<Value> {
        let path = "/v1/channels/show/pipeline/params";
        let answer = self
            .ask(Method::GET, path, &self.streamer, &Value::Null)
            .await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.json())
    }
}

/// The bridge says that the picture follows.
fn toast(what: &str) -> String {
    format!(
        "document.querySelector('#toast').checkVisibility() && \
         document.querySelector('#toast').textContent === 'Applied: {what}'"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_warms_and_steers_its_pipeline_over_its_socket() -> Result<()> {
    let mut show = Show::start(0, |config| {
        config.pipeline.default = "processors".to_owned();
    })
    .await?;
    show.click(DESK, "bridge", "#pipeline-toggle").await?;
    show.steers().await?;
    let (warmed, steered) = (
        show.commanded("bridge", "warm").len(),
        show.commanded("bridge", "params").len(),
    );
    ensure!((warmed, steered) == (1, 2), "{warmed} {steered}");
    let asked = show.answered("bridge", "PATCH", "/pipeline/params");
    ensure!(asked.is_empty(), "over the socket alone: {asked:?}");
    show.stop().await
}
