/**
 * The overlay for a scene of OBS: the output's picture with nothing around it, and whose moment it is.
 * `?card=1` shows the card alone, `?sound=1` lets the sound be heard.
 */

import { Feed } from './feed.js';
import { Link } from './link.js';
import { afterLoad, every, onLeave, onReturn, openPage } from './page.js';
import { expose } from './surface.js';
import { byId, mark, say, show } from './ui.js';
import { subscribe } from './whep.js';

const channel = openPage();
const query = new URLSearchParams(location.search);
const video = byId('video', HTMLVideoElement);
const stream = new MediaStream();
const onlyCard = query.get('card') === '1';
let refusal = '';

const link = new Link({
  connect: (signal) => subscribe(channel, stream, signal),
  changed: ({ phase }) => {
    if (phase === 'live') void video.play().catch(() => {});
    render();
  },
  denied: (error) => void (refusal = error.message),
});
const feed = new Feed(channel, {
  changed: () => render(),
  denied: (error) => {
    refusal = error.message;
    render();
  },
});

function render() {
  const { moment } = feed.view;
  const running = moment?.state === 'active';
  // The words stay while the card goes away.
  if (running) {
    say(byId('card-name', HTMLElement), moment.viewer ? `${moment.viewer}: ` : '');
    say(byId('card-prompt', HTMLElement), moment.prompt);
  }
  mark(byId('card', HTMLElement), running ? 'active' : 'none');
  // Without a picture there is nothing to see; a frozen one would cover the scene.
  video.classList.toggle('away', !feed.view.live || link.state.phase !== 'live');
  show(byId('trouble', HTMLElement), refusal !== '');
  say(byId('trouble', HTMLElement), refusal);
}

onLeave(() => {
  void link.stop({ keepalive: true });
  feed.stop();
});
onReturn(() => {
  link.retryNow();
  feed.retryNow();
});
expose(link, feed, () => null);
video.muted = query.get('sound') !== '1';
show(video, !onlyCard);
if (!onlyCard) {
  afterLoad(() => {
    video.srcObject = stream;
  });
  link.start();
}
feed.start();
every(500, render);
