/**
 * Where a picture comes from: camera, screen, test picture or video file. Opening one asks for permission where needed.
 */

import { TestPicture } from './testpicture.js';

/** @typedef {'camera' | 'screen' | 'canvas' | 'file'} SourceKind */
/**
 * @typedef {object} SourceOptions
 * @property {number} width wanted width in pixels; a file keeps its own size
 * @property {number} height
 * @property {number} fps
 * @property {'user' | 'environment'} facing front or back camera
 * @property {File | null} file
 * @property {string} label written on the test picture
 */
/**
 * An open source; `close` stops its devices.
 * @typedef {{ kind: SourceKind, stream: MediaStream, close: () => void }} Source
 */

/**
 * Opens a source. Throws an `Error` whose message is fit to be shown.
 * @param {SourceKind} kind
 * @param {SourceOptions} options
 * @returns {Promise<Source>}
 */
export async function openSource(kind, options) {
  try {
    if (kind === 'camera') return ofStream(kind, await openCamera(options));
    if (kind === 'screen') return ofStream(kind, await openScreen(options));
    if (kind === 'file') return await openFile(options.file);
    const picture = new TestPicture(options);
    return prepared({ kind, stream: picture.stream, close: () => picture.close() });
  } catch (error) {
    throw new Error(wordsFor(error), { cause: error });
  }
}

/** @param {SourceKind} kind @param {MediaStream} stream @returns {Source} */
function ofStream(kind, stream) {
  return prepared({ kind, stream, close: () => stream.getTracks().forEach((track) => track.stop()) });
}

/** Tells the encoder that motion matters more than fine detail. @param {Source} source */
function prepared(source) {
  for (const track of source.stream.getVideoTracks()) track.contentHint = 'motion';
  return source;
}

/** @param {SourceOptions} options @returns {Promise<MediaStream>} */
async function openCamera({ width, height, fps, facing }) {
  const video = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: fps }, facingMode: facing };
  try {
    return await devices().getUserMedia({ video, audio: true });
  } catch (error) {
    // No microphone, or none allowed: a picture without sound is better than nothing, if the camera agrees.
    if (nameOf(error) !== 'NotFoundError') throw error;
    return devices().getUserMedia({ video, audio: false });
  }
}

/** @param {SourceOptions} options */
function openScreen({ width, height, fps }) {
  const video = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: fps } };
  return devices().getDisplayMedia({ video, audio: true });
}

function devices() {
  if (!navigator.mediaDevices) throw new Error('Cameras and screens need a secure page: open this one over https or on localhost.');
  return navigator.mediaDevices;
}

/** @param {File | null} file @returns {Promise<Source>} */
async function openFile(file) {
  if (!file) throw new Error('Choose a video file first.');
  const url = URL.createObjectURL(file);
  const player = document.createElement('video');
  player.src = url;
  player.loop = true;
  player.playsInline = true;
  // The element's sound goes into the stream instead of the loudspeakers.
  const audio = new AudioContext();
  const out = new MediaStreamAudioDestinationNode(audio);
  audio.createMediaElementSource(player).connect(out);
  const close = () => {
    player.pause();
    player.removeAttribute('src');
    player.load();
    void audio.close();
    URL.revokeObjectURL(url);
  };
  try {
    await audio.resume();
    await player.play();
    const captured = capture(player).getVideoTracks();
    if (captured.length === 0) throw new Error('This file has no picture the browser can play.');
    const stream = new MediaStream([...captured, ...out.stream.getAudioTracks()]);
    const stop = () => {
      stream.getTracks().forEach((track) => track.stop());
      close();
    };
    return prepared({ kind: 'file', stream, close: stop });
  } catch (error) {
    close();
    throw error;
  }
}

/** @param {HTMLVideoElement} player @returns {MediaStream} */
function capture(player) {
  const able = /** @type {{ captureStream?: () => MediaStream, mozCaptureStream?: () => MediaStream }} */ (
    /** @type {unknown} */ (player)
  );
  if (able.captureStream) return able.captureStream();
  if (able.mozCaptureStream) return able.mozCaptureStream();
  throw new Error('This browser cannot send a video file.');
}

/** @param {unknown} error */
function nameOf(error) {
  return error instanceof Error ? error.name : '';
}

/** @param {unknown} error */
function wordsFor(error) {
  switch (nameOf(error)) {
    case 'NotAllowedError':
      return 'The browser was not allowed to use this source.';
    case 'NotFoundError':
      return 'No camera was found.';
    case 'NotReadableError':
      return 'The source is in use by another program.';
    case 'OverconstrainedError':
      return 'No camera fits these settings.';
    case 'NotSupportedError':
      return 'The browser cannot play this file.';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
