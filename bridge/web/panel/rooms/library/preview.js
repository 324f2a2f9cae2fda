/** Play one preview at a time, as soon as something is pointed at. */

import { rmsDb } from "../stems/levels.js";

const DELAY = 120; // ms on one item before it sounds: a pointer passes over many
const KEPT = 40; // decoded sounds
const FADE = 0.02; // seconds, so that the end does not click
const WINDOW = 2048; // samples that the level is measured over

export class Previewer extends EventTarget {
  constructor(api) {
    super();
    this.api = api;
    this.sounds = new Map(); // the last ones by address
    this.wanted = "";
  }

  /** Play the sound at an address in a moment, unless something else is wanted by then. */
  point(url) {
    clearTimeout(this.timer);
    this.wanted = url;
    this.timer = setTimeout(() => this.play(url).catch((error) => this.fail(error)), DELAY);
  }

  /** Play the sound at an address now. */
  async play(url) {
    clearTimeout(this.timer);
    this.wanted = url;
    this.open();
    const buffer = await this.fetch(url);
    await this.context.resume();
    if (this.wanted !== url) return;
    this.fade();
    const source = new AudioBufferSourceNode(this.context, { buffer });
    const gain = new GainNode(this.context);
    source.connect(gain).connect(this.meter);
    source.start();
    this.voice = { source, gain: gain.gain };
  }

  /** Silence. */
  stop() {
    clearTimeout(this.timer);
    this.wanted = "";
    this.fade();
  }

  /** The level of what is heard just now, dB re full scale. */
  level() {
    const samples = new Float32Array(WINDOW);
    this.meter?.getFloatTimeDomainData(samples);
    return rmsDb(samples);
  }

  /** Silence for good. */
  close() {
    this.stop();
    return this.context?.close();
  }

  open() {
    if (this.context) return;
    this.context = new AudioContext();
    this.meter = new AnalyserNode(this.context, { fftSize: WINDOW });
    this.meter.connect(this.context.destination);
  }

  async fetch(url) {
    const known = this.sounds.get(url) ?? (await this.api.audio(url));
    this.sounds.delete(url);
    this.sounds.set(url, known);
    if (this.sounds.size > KEPT) this.sounds.delete(this.sounds.keys().next().value);
    return known;
  }

  fade() {
    if (!this.voice) return;
    const { source, gain } = this.voice;
    const now = this.context.currentTime;
    gain.setTargetAtTime(0, now, FADE / 4);
    source.stop(now + FADE);
    this.voice = null;
  }

  fail(error) {
    this.dispatchEvent(new CustomEvent("fail", { detail: error }));
  }
}
