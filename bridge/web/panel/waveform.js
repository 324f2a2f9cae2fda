/** A waveform of wavesurfer.js whose sound is played by Web Audio, not by an element of its own. */

import { html, useEffect, useRef } from "./vendor/preact-htm.js";
import WaveSurfer from "./vendor/wavesurfer/wavesurfer.esm.js";
import Regions from "./vendor/wavesurfer/regions.esm.js";

const PEAKS = 2000; // values of a whole sound: more are no more seen

/** The largest value of each piece of a channel, with its sign. @param {Float32Array} samples */
export function peaks(samples, count = PEAKS) {
  const size = Math.max(1, Math.ceil(samples.length / count));
  const most = [];
  for (let at = 0; at < samples.length; at += size) {
    let peak = 0;
    for (let i = at; i < Math.min(at + size, samples.length); i++) {
      if (Math.abs(samples[i]) > Math.abs(peak)) peak = samples[i];
    }
    most.push(peak);
  }
  return most;
}

/**
 * `buffer`: the sound; `label`: what it is, for who cannot see it
 * `time`: seconds: where the cursor stands; `onSeek`: called with seconds
 * `region`: {start, end} in seconds; `onRegion`: called as one is dragged
 */
export function Waveform({ buffer, label, height = 64, color, time = 0, onSeek, region, onRegion }) {
  const box = useRef(null);
  const parts = useRef(null);
  const heard = useRef(/** @type {{onSeek?: Function, onRegion?: Function}} */ ({}));
  heard.current = { onSeek, onRegion };
  useEffect(() => {
    if (!buffer) return undefined;
    const style = getComputedStyle(box.current);
    const regions = Regions.create();
    const wave = WaveSurfer.create({
      container: box.current,
      height,
      peaks: [peaks(buffer.getChannelData(0))],
      duration: buffer.duration,
      waveColor: color ?? style.getPropertyValue("--wave"),
      progressColor: color ?? style.getPropertyValue("--wave"),
      cursorColor: style.getPropertyValue("--text"),
      cspNonce: document.querySelector("meta[name=style-nonce]").getAttribute("content"),
      plugins: [regions],
    });
    wave.on("interaction", (seconds) => heard.current.onSeek?.(seconds));
    if (heard.current.onRegion) {
      regions.enableDragSelection({ color: style.getPropertyValue("--region") });
    }
    const tell = (one) => heard.current.onRegion?.({ start: one.start, end: one.end });
    regions.on("region-created", (one) => {
      for (const other of regions.getRegions()) if (other !== one) other.remove();
      tell(one);
    });
    regions.on("region-updated", tell);
    parts.current = { wave, regions, color: style.getPropertyValue("--region") };
    return () => wave.destroy();
  }, [buffer, height, color]);
  useEffect(() => {
    parts.current?.wave.setTime(time);
  }, [time, buffer]);
  useEffect(() => {
    const { regions, color: tint } = parts.current ?? {};
    const known = regions?.getRegions()[0];
    if (!regions || (region && known?.start === region.start && known?.end === region.end)) return;
    if (!region) regions.clearRegions();
    else if (known) known.setOptions({ start: region.start, end: region.end });
    else regions.addRegion({ start: region.start, end: region.end, color: tint });
  }, [region?.start, region?.end, buffer]);
  return html`<div ref=${box} class="waveform" role="img" aria-label=${`${label}: waveform`}></div>`;
}
