/** Play the parts of a stem set as one, sample by sample, with gain, mute and solo of each. */

import { dbToGain, energy, gainsOf, meanSquare, powerDb } from "./levels.js";

const AHEAD = 0.05; // seconds between the command and the first sample: all sources are ready then
const SMOOTH = 0.005; // seconds in which a gain moves, so that it does not click
const WINDOW = 2048; // samples that the level is measured over

/**
 * Make a source and a gain for each sound, all of which start at one time.
 * @param {BaseAudioContext} context @param {{buffer: AudioBuffer, gain: number}[]} sounds
 * @param {AudioNode} target @param {number} time @param {number} offset seconds into the sounds
 */
export function startTogether(context, sounds, target, time, offset = 0) {
  return sounds.map(({ buffer, gain }) => {
    const source = new AudioBufferSourceNode(context, { buffer });
    const node = new GainNode(context, { gain });
    source.connect(node).connect(target);
    source.start(time, offset);
    return { source, gain: node.gain };
  });
}

/**
 * Play sounds together into a buffer.
 * @param {{buffer: AudioBuffer, gain: number}[]} sounds @returns {Promise<AudioBuffer>}
 */
export function renderTogether(sounds, { channels, frames, rate }) {
  const context = new OfflineAudioContext(channels, frames, rate);
  startTogether(context, sounds, context.destination, 0);
  return context.startRendering();
}

/**
 * How deep parts and original cancel out: the power of original - sum of gain * part, dB re the
 * original's. What plays them is what adds them up.
 * @param {{buffer: AudioBuffer, gainDb: number}[]} parts @param {AudioBuffer} original
 */
export async function nullDepth(parts, original) {
  const sounds = parts.map(({ buffer, gainDb }) => ({ buffer, gain: dbToGain(gainDb) }));
  const rest = await renderTogether([...sounds, { buffer: original, gain: -1 }], {
    channels: original.numberOfChannels,
    frames: original.length,
    rate: original.sampleRate,
  });
  return powerDb(energy(rest), energy(original));
}

/** An analyser for each channel of a node: one alone would hear left + right, which may cancel out. */
export function metersOf(node, channels) {
  const splitter = new ChannelSplitterNode(node.context, { numberOfOutputs: channels });
  node.connect(splitter);
  return Array.from({ length: channels }, (_, i) => {
    const meter = new AnalyserNode(node.context, { fftSize: WINDOW });
    splitter.connect(meter, i);
    return meter;
  });
}

/** The level that meters hear just now, over all channels, dB re full scale. */
export function levelOf(meters = []) {
  const samples = new Float32Array(WINDOW);
  const powers = meters.map((meter) => {
    meter.getFloatTimeDomainData(samples);
    return meanSquare(samples);
  });
  return powerDb(powers.reduce((sum, power) => sum + power, 0) / Math.max(1, powers.length));
}

/** One player for a stem set. Fires "change" when anything about it has changed. */
export class Mixer extends EventTarget {
  /** @param {{parts: {buffer: AudioBuffer, gainDb: number}[], original: AudioBuffer}} set */
  constructor({ parts, original }) {
    super();
    this.parts = parts;
    this.original = original;
    this.rows = parts.map(({ gainDb }) => ({ gainDb, mute: false, solo: false }));
    this.hearsOriginal = false;
    this.voices = null; // sources and gains while it plays: parts, then the original
    this.offset = 0; // seconds, where it stands or began to play
  }

  get duration() {
    return this.original.duration;
  }

  get playing() {
    return this.voices !== null;
  }

  /** Seconds. */
  get position() {
    if (!this.playing) return this.offset;
    const since = Math.max(0, this.context.currentTime - this.began);
    return Math.min(this.duration, this.offset + since);
  }

  /** The factors of the parts, then of the original: the one or the other sounds. */
  get gains() {
    const parts = gainsOf(this.rows);
    return this.hearsOriginal ? [...parts.map(() => 0), 1] : [...parts, 0];
  }

  async play() {
    if (this.playing) return;
    if (!this.context) {
      this.context = new AudioContext({ sampleRate: this.original.sampleRate });
      this.bus = new GainNode(this.context);
      this.bus.connect(this.context.destination);
      this.meters = metersOf(this.bus, this.original.numberOfChannels);
    }
    await this.context.resume();
    if (this.offset >= this.duration) this.offset = 0;
    const gains = this.gains;
    const sounds = [...this.parts.map(({ buffer }) => buffer), this.original];
    this.began = this.context.currentTime + AHEAD;
    const voices = startTogether(
      this.context,
      sounds.map((buffer, i) => ({ buffer, gain: gains[i] })),
      this.bus,
      this.began,
      this.offset,
    );
    this.voices = voices;
    voices.at(-1).source.onended = () => this.voices === voices && this.stop(0);
    this.tell();
  }

  pause() {
    if (this.playing) this.stop(this.position);
  }

  /** Go to a place, and play on from there. @param {number} seconds */
  async seek(seconds) {
    const playing = this.playing;
    this.stop(Math.min(Math.max(0, seconds), this.duration));
    if (playing) await this.play();
  }

  stop(offset) {
    for (const { source } of this.voices ?? []) source.stop();
    this.voices = null;
    this.offset = offset;
    this.tell();
  }

  /** Change gain, mute or solo of one row. */
  change(index, fields) {
    this.rows = this.rows.map((row, i) => (i === index ? { ...row, ...fields } : row));
    this.move();
  }

  /** Hear the original in place of the parts, or the parts again. */
  compare(hearsOriginal) {
    this.hearsOriginal = hearsOriginal;
    this.move();
  }

  move() {
    this.gains.forEach((gain, i) => {
      this.voices?.[i].gain.setTargetAtTime(gain, this.context.currentTime, SMOOTH);
    });
    this.tell();
  }

  /** The level of what is heard just now, dB re full scale. */
  level() {
    return levelOf(this.meters);
  }

  /** Silence for good. */
  async close() {
    this.stop(0);
    await this.context?.close();
  }

  tell() {
    this.dispatchEvent(new Event("change"));
  }
}
