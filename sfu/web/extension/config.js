/**
 * The streamer's configuration page on Twitch: which server the panel asks, and whether it answers.
 */

import { serverVersion } from '../assets/api.js';
import { moveTo } from '../assets/home.js';
import { enter } from '../assets/shop.js';
import { bridgePath } from '../assets/route.js';
import { byId, messageOf, say, show } from '../assets/ui.js';
import { SERVER } from './server.js';
import { followTheme, helper, namedServer } from './twitch.js';

const field = byId('server', HTMLInputElement);
const trouble = byId('trouble', HTMLElement);
const words = byId('words', HTMLElement);
const bridge = byId('bridge', HTMLAnchorElement);

/** Whether the server answers, and which of its channels this one is. @param {string} server @param {string} token */
async function look(server, token) {
  say(trouble, '');
  say(words, 'Asking…');
  moveTo(server);
  try {
    const { name, version } = await serverVersion();
    const { channel } = await enter(token);
    say(words, channel ? `${name} ${version} knows you as ${channel}.` : `${name} ${version} has no channel for you: sign in there by Twitch.`);
    show(bridge, channel !== null);
    if (channel !== null) bridge.href = server + bridgePath(channel);
    return true;
  } catch (error) {
    say(words, '');
    say(trouble, messageOf(error));
    return false;
  }
}

function begin() {
  const ext = helper();
  followTheme(ext);
  let token = '';
  show(byId('server-form', HTMLElement), SERVER === '');
  ext.onAuthorized((authorized) => {
    ({ token } = authorized);
    const server = SERVER || namedServer(ext);
    if (server !== '') {
      field.value = server;
      void look(server, token);
    }
  });
  byId('server-form', HTMLFormElement).addEventListener('submit', async (event) => {
    event.preventDefault();
    const server = new URL(field.value).origin;
    if (await look(server, token)) ext.configuration.set('broadcaster', '1', JSON.stringify({ server }));
  });
}

try {
  begin();
} catch (error) {
  say(trouble, messageOf(error));
}
