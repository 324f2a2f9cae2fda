/** Play one preview at a time, as soon as something is pointed at. */

import { FLOOR_DB } from "../stems/levels.js";
import { levelOf, metersOf } from "../stems/mixer.js";

const DELAY = 120; // ms on one item before it sounds: a pointer passes over many
const KEPT = 40; // decoded sounds
const FADE = 0.02; // seconds, so that the end does not click

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
    source.connect(gain).connect(this.bus);
    source.start();
    this.voice = { source, gain: gain.gain };
    source.onended = () => this.voice?.source === source && this.end();
    this.tell();
  }

  /** Whether a preview sounds. */
  get sounding() {
    return Boolean(this.voice);
  }

  /** Silence. */
  stop() {
    clearTimeout(this.timer);
    this.wanted = "";
    this.fade();
  }

  /** The level of what is heard just now, dB re full scale. */
  level() {
    if (!this.sounding) return FLOOR_DB;
    return levelOf(this.meters);
  }

  /** Silence for good. */
  close() {
    this.stop();
    return this.context?.close();
  }

  open() {
    if (this.context) return;
    this.context = new AudioContext();
    this.bus = new GainNode(this.context, { channelCount: 2, channelCountMode: "explicit" });
    this.bus.connect(this.context.destination);
    this.meters = metersOf(this.bus, 2);
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
    this.end();
  }

  end() {
    this.voice = null;
    this.tell();
  }

  tell() {
    this.dispatchEvent(new Event("change"));
  }

  fail(error) {
    this.dispatchEvent(new CustomEvent("fail", { detail: error }));
  }
}
