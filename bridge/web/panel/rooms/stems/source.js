/** Choose the recording: a file dropped or picked, or an upload that is there; and a part of it. */

import { html, useEffect, useState } from "../../vendor/preact-htm.js";
import { rateOf } from "../../api.js";
import { Button, Choice, NumberField, Progress } from "../../ui.js";
import { Waveform } from "../../waveform.js";
import { MAX_EXCERPT, clock } from "./bodies.js";

/** Decode a sound at its own rate; null where this browser cannot read it, the server may. */
async function decoded(bytes) {
  try {
    return await new OfflineAudioContext(1, 1, rateOf(bytes)).decodeAudioData(bytes);
  } catch {
    return null;
  }
}

/** `onSource`: called with {ref, name, buffer} */
export function SourcePicker(/** @type {import("../../api.js").Props} */ { api, say, onSource }) {
  const [uploads, setUploads] = useState([]);
  const [sending, setSending] = useState(null); // how far an upload is
  const [over, setOver] = useState(false);
  const list = () => api.get("/v1/blobs").then(({ blobs }) => setUploads(blobs), () => {});
  useEffect(() => {
    list();
  }, []);

  const take = async (file) => {
    if (!file) return;
    setSending(0);
    try {
      const { ref, hash } = await api.upload(file, setSending);
      const buffer = await decoded(await file.arrayBuffer());
      onSource({ ref, name: file.name, buffer, url: `/v1/blobs/sha256/${hash}` });
      list();
    } catch (error) {
      say(error.reason ?? `${file.name} could not be read: ${error.message}`, "error");
    } finally {
      setSending(null);
    }
  };
  const choose = async (id) => {
    const blob = uploads.find((one) => one.id === id);
    if (!blob) return;
    const url = `/v1/blobs/sha256/${id.replace("sha256:", "")}`;
    const name = blob.names[0] ?? "upload";
    const buffer = await api.audio(url).catch(() => null);
    onSource({ ref: blob.names.length ? `${id}/${name}` : id, name, buffer, url });
  };
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files[0]);
  };
  const drag = (event) => {
    event.preventDefault();
    setOver(true);
  };
  return html`
    <div class=${`drop${over ? " over" : ""}`} onDragOver=${drag} onDragLeave=${() => setOver(false)}
      onDrop=${drop}>
      <label class="pick">Drop a recording here, or choose a file
        <input type="file" accept="audio/*,.wav,.flac,.aif,.aiff,.mp3,.ogg"
          onChange=${(event) => take(event.currentTarget.files[0])} />
      </label>
      ${uploads.length > 0 && html`
        <${Choice} label="Or one that is here" value="" onChange=${choose}
          options=${[{ value: "", label: "choose an upload" }, ...uploads.map(uploadOption)]} />`}
      ${sending !== null && html`<${Progress} fraction=${sending} label="Upload" />`}
    </div>`;
}

/** How an upload is called in the list. */
export function uploadOption({ id, names, bytes }) {
  const size = bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  return { value: id, label: `${names[0] ?? `upload ${id.slice(7, 15)}`}, ${size}` };
}

/** The recording, seen and heard; a region dragged on it is the excerpt. */
export function SourceView({ source, region, onRegion }) {
  const { buffer, name, url } = source;
  const set = (fields) => onRegion({ ...region, ...fields });
  return html`
    <div class="source">
      <h3>${name}</h3>
      ${buffer
        ? html`
          <${Waveform} buffer=${buffer} label=${name} height=${80} region=${region} onRegion=${onRegion} />
          <p class="hint">${clock(buffer.duration)}, ${buffer.numberOfChannels === 1 ? "mono" : "stereo"},${" "}
            ${buffer.sampleRate} Hz. Drag across it to try a part of it first.</p>`
        : html`<p class="hint">This browser cannot show it; the server may be able to read it.</p>`}
      <audio controls preload="none" src=${url} aria-label=${`Listen to ${name}`}></audio>
      ${region
        ? html`<div class="fields">
          <${NumberField} label="Excerpt from" unit="s" value=${region.start} min=${0}
            max=${buffer ? buffer.duration - 0.1 : undefined} step=${0.5}
            onChange=${(start) => set({ start, end: start + (region.end - region.start) })} />
          <${NumberField} label="Length" unit="s" value=${region.end - region.start} min=${1}
            max=${MAX_EXCERPT} step=${0.5} onChange=${(length) => set({ end: region.start + length })} />
          <${Button} onClick=${() => onRegion(null)}>The whole recording<//>
        </div>`
        : html`<${Button} onClick=${() => onRegion({ start: 0, end: Math.min(5, buffer?.duration ?? 5) })}>
          Choose an excerpt<//>`}
    </div>`;
}
