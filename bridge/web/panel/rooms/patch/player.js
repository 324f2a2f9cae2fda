/** Play sounds at any key by Web Audio: as they were rendered, or for now resampled from the nearest. */

import { isLinear, keySeconds, releaseOf } from "./preset.js";
import { rendered } from "./sound.js";

const DAMP = 0.03; // seconds in which a sound is cut where another one of its key begins
const SILENT = 6; // time constants after which nothing is heard
const LAYER = 16; // velocities that share a sound where the level changes it

let shared = null;

/** The one context of the page, begun by the first that plays. @returns {AudioContext} */
export function audioContext() {
  shared ??= new AudioContext({ latencyHint: "interactive" });
  if (shared.state === "suspended") shared.resume();
  return shared;
}

/** Amplitude of a velocity, as `Note.gain` of Scorewire has it: 1 at 100. */
export function gainOf(velocity) {
  return (velocity / 100) ** 2;
}

/** One sound at the keys where it is known; with a preset others are rendered when asked for. */
export class Instrument {
  /** @param {{preset?: object, buffer: AudioBuffer, note: number}} sound */
  constructor({ preset = null, buffer, note }) {
    this.preset = preset;
    this.note = note;
    this.base = buffer;
    this.linear = !preset || isLinear(preset);
    this.release = preset ? releaseOf(preset) : null;
    this.known = new Map();
    this.asked = new Set();
  }

  /** What to play for a key: a buffer, and how many times as fast. */
  sounding(note, velocity) {
    const layer = this.layer(velocity);
    const exact = this.known.get(`${note}:${layer}`);
    const loud = gainOf(velocity) / (exact && !this.linear ? gainOf(layer) : 1);
    if (exact) return { buffer: exact, speed: 1, gain: loud, exact: true };
    const speed = 2 ** ((note - this.note) / 12);
    return { buffer: this.base, speed, gain: gainOf(velocity), exact: note === this.note };
  }

  layer(velocity) {
    return this.linear ? 100 : Math.min(127, Math.max(1, Math.round(velocity / LAYER) * LAYER));
  }

  /** Have a key rendered, once; it is played from the next stroke on. */
  async want(note, velocity = 100) {
    const layer = this.layer(velocity);
    const key = `${note}:${layer}`;
    if (!this.preset || this.asked.has(key)) return;
    this.asked.add(key);
    try {
      const duration = keySeconds(this.preset);
      const asked = { note, velocity: layer, duration };
      this.known.set(key, await rendered(this.preset, asked));
    } catch (error) {
      this.asked.delete(key);
      throw error;
    }
  }
}

/** Strikes and releases keys of one instrument after another; what sounds rings out. */
export class Player {
  constructor() {
    this.down = new Map(); // what sounds, by note
    this.instrument = null;
  }

  /** Press a key. @returns {{exact: boolean} | null} */
  press(note, velocity) {
    if (!this.instrument) return null;
    const context = audioContext();
    this.cut(note);
    const { buffer, speed, gain, exact } = this.instrument.sounding(note, velocity);
    const source = new AudioBufferSourceNode(context, { buffer, playbackRate: speed });
    const level = new GainNode(context, { gain });
    source.connect(level).connect(context.destination);
    source.start();
    const voice = { source, level, release: this.instrument.release };
    this.down.set(note, voice);
    source.onended = () => {
      level.disconnect();
      if (this.down.get(note) === voice) this.down.delete(note);
    };
    return { exact };
  }

  /** Let a key go: a sound with releases falls silent in as long as they say, another rings on. */
  lift(note) {
    const voice = this.down.get(note);
    if (voice && voice.release !== null) fade(voice, Math.max(DAMP, voice.release) / SILENT);
  }

  cut(note) {
    const voice = this.down.get(note);
    if (voice) fade(voice, DAMP / SILENT);
    this.down.delete(note);
  }

  /** Silence all keys. */
  stop() {
    for (const note of [...this.down.keys()]) this.cut(note);
  }
}

function fade({ source, level }, constant) {
  const now = audioContext().currentTime;
  level.gain.setTargetAtTime(0, now, constant);
  source.stop(now + SILENT * constant);
}

let once = null;

/** Play one sound from its beginning; the one before ends. @param {AudioBuffer} buffer */
export function playOnce(buffer) {
  const context = audioContext();
  if (once) fade(once, DAMP / SILENT);
  const source = new AudioBufferSourceNode(context, { buffer });
  const level = new GainNode(context);
  source.connect(level).connect(context.destination);
  source.start();
  once = { source, level };
}
