//! Runs the stand-in for Twitch by hand, and says how a server and a panel are pointed at it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use reverie_integration_tests::twitch_sim::{
    BOT, CLIENT_ID, CLIENT_SECRET, EVENTSUB_SECRET, EXTENSION_ID, EXTENSION_SECRET, OWNER,
    STREAMER, Setup, TwitchSim,
};

const USAGE: &str = "twitch-sim [--listen 127.0.0.1:8090] [--panel-listen 127.0.0.1:8091] [--panel FOLDER] \
                     [--server http://127.0.0.1:8080] [--channel show]";

#[tokio::main]
async fn main() -> Result<()> {
    let setup = setup(std::env::args().skip(1))?;
    let (server, channel) = (setup.server.clone(), setup.channel.clone());
    let sim = TwitchSim::start_with(setup).await?;
    say(&instructions(&sim, &server, &channel));
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn setup(arguments: impl Iterator<Item = String>) -> Result<Setup> {
    let mut setup = Setup {
        listen: "127.0.0.1:8090".parse()?,
        panel_listen: "127.0.0.1:8091".parse()?,
        ..Setup::default()
    };
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        if name == "--help" {
            bail!("{USAGE}");
        }
        let mut value = || {
            arguments
                .next()
                .with_context(|| format!("{name} of what? {USAGE}"))
        };
        match name.as_str() {
            "--listen" => setup.listen = value()?.parse()?,
            "--panel-listen" => setup.panel_listen = value()?.parse()?,
            "--panel" => setup.panel = Some(PathBuf::from(value()?)),
            "--server" => setup.server = value()?.trim_end_matches('/').to_owned(),
            "--channel" => setup.channel = value()?,
            _ => bail!("{name} is not known; {USAGE}"),
        }
    }
    Ok(setup)
}

fn instructions(sim: &TwitchSim, server: &str, channel: &str) -> String {
    let (url, panel) = (sim.url(), sim.panel_url());
    format!(
        "A stand-in for Twitch runs at {url}

1. Start a server that takes it for Twitch, in another terminal:

export REVERIE__TWITCH__CLIENT_ID={CLIENT_ID}
export REVERIE__TWITCH__CLIENT_SECRET={CLIENT_SECRET}
export REVERIE__TWITCH__EXTENSION_CLIENT_ID={EXTENSION_ID}
export REVERIE__TWITCH__EXTENSION_CLIENT_SECRET={CLIENT_SECRET}
export REVERIE__TWITCH__EXTENSION_SECRETS={EXTENSION_SECRET}
export REVERIE__TWITCH__EXTENSION_OWNER_ID={OWNER}
export REVERIE__TWITCH__EVENTSUB_SECRET={EVENTSUB_SECRET}
export REVERIE__TWITCH__BOT_USER_ID={BOT}
export REVERIE__TWITCH__PUBLIC_URL={server}
export REVERIE__TWITCH__HELIX_URL={url}/helix
export REVERIE__TWITCH__ID_URL={url}/oauth2
export REVERIE__TWITCH__PRODUCTS=rain:100:15,snow:200:30
export REVERIE__HTTP__ALLOWED_ORIGINS={panel},{url}
reverie serve

2. Publish to channel {channel}: {server}/bridge/{channel}
3. Open {url}/ for the channel's page with the panel in it. The streamer is user {STREAMER}.

What goes wrong on demand, for instance three calls of the chat:

curl -d '{{\"route\":\"chat/messages\",\"status\":503,\"times\":3}}' -H 'content-type: application/json' {url}/sim/faults
curl -d '{{\"route\":\"chat/messages\",\"calls\":1,\"window_s\":10}}' -H 'content-type: application/json' {url}/sim/limits

What was heard: {url}/sim/chat {url}/sim/pokes {url}/sim/transactions {url}/sim/subscriptions
It ends with Ctrl-C."
    )
}

#[expect(clippy::print_stdout, reason = "it is a program for people")]
fn say(text: &str) {
    println!("{text}");
}
