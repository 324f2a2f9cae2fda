/** The mixer: a row a stem with waveform, spectrogram, mute, solo and gain, and the transport. */

import { html, useEffect, useState } from "../../vendor/preact-htm.js";
import { Button, Spectrogram } from "../../ui.js";
import { Waveform } from "../../waveform.js";
import { clock } from "./bodies.js";
import { Level } from "./level.js";
import { FLOOR_DB, decibels } from "./levels.js";
import { Mixer, nullDepth } from "./mixer.js";
import { Activity } from "./suggestions.js";

const ROW = 56; // pixels of a picture

/** A mixer of a set, whose changes draw the component again. */
function useMixer(set) {
  const [mixer, setMixer] = useState(null);
  const [, draw] = useState(0);
  useEffect(() => {
    const made = new Mixer(set);
    const changed = () => draw((count) => count + 1);
    made.addEventListener("change", changed);
    setMixer(made);
    return () => {
      made.removeEventListener("change", changed);
      made.close();
    };
  }, [set]);
  return mixer;
}

/** Where it plays, and how loud, some times a second while it plays. */
function useClock(mixer) {
  const [now, setNow] = useState({ position: 0, level: FLOOR_DB });
  const playing = mixer?.playing ?? false;
  useEffect(() => {
    if (!mixer) return undefined;
    const look = () => setNow({ position: mixer.position, level: playing ? mixer.level() : FLOOR_DB });
    look();
    const timer = playing ? setInterval(look, 60) : undefined;
    return () => clearInterval(timer);
  }, [mixer, playing, mixer?.offset]);
  return now;
}

/** `set`: as `loadSet` gives it; `active`: whether the room is the one shown */
export function MixerView({ set, active }) {
  const mixer = useMixer(set);
  const now = useClock(mixer);
  const [depth, setDepth] = useState(null);
  useEffect(() => {
    setDepth(null);
    let current = true;
    nullDepth(set.parts, set.original).then((db) => current && setDepth(db));
    return () => {
      current = false;
    };
  }, [set]);
  useEffect(() => {
    if (!active) mixer?.pause();
  }, [active]);
  if (!mixer || mixer.original !== set.original) return null;
  const toggle = () => (mixer.playing ? mixer.pause() : mixer.play());
  return html`
    <div class="mixer">
      <div class="transport">
        <${Button} kind="main" onClick=${toggle}>${mixer.playing ? "Pause" : "Play"}<//>
        <${Button} onClick=${() => mixer.seek(0)}>To the start<//>
        <input type="range" class="seek" aria-label="Position" min="0" max=${mixer.duration} step="0.1"
          value=${now.position} aria-valuetext=${clock(now.position)}
          onInput=${(event) => mixer.seek(Number(event.currentTarget.value))} />
        <output class="time">${clock(now.position)} / ${clock(mixer.duration)}</output>
        <${Button} aria-pressed=${mixer.hearsOriginal ? "true" : "false"}
          onClick=${() => mixer.compare(!mixer.hearsOriginal)}>
          ${mixer.hearsOriginal ? "Original (press for the sum)" : "Sum (press for the original)"}<//>
        <${Level} db=${now.level} />
        <${NullDepth} depth=${depth} said=${set.manifest.null_db} />
      </div>
      ${set.parts.map((part, i) => html`
        <${Row} key=${part.wav} part=${part} row=${mixer.rows[i]} time=${now.position}
          onChange=${(fields) => mixer.change(i, fields)} onSeek=${(at) => mixer.seek(at)} />`)}
    </div>`;
}

function NullDepth({ depth, said }) {
  const measured = depth === null ? "measuring" : `${depth.toFixed(1)} dB`;
  const title = "What is left of the original when the sum of the stems is taken from it";
  return html`<span class="null" title=${title}>Null depth${" "}
    <output data-db=${depth ?? ""}>${measured}</output>
    ${said !== null && said !== undefined && html` <small>(${said.toFixed(1)} dB by the server)</small>`}</span>`;
}

function Row({ part, row, time, onChange, onSeek }) {
  const { name, buffer, colour } = part;
  const pressed = (on) => (on ? "true" : "false");
  const gain = `${row.gainDb > 0 ? "+" : ""}${row.gainDb.toFixed(1)} dB`;
  return html`
    <section class="track" aria-label=${name}>
      <div class="strip">
        <span class="swatch" style=${{ backgroundColor: colour }} aria-hidden="true"></span>
        <h4>${name}</h4>
        <div class="buttons">
          <${Button} label=${`Mute ${name}`} aria-pressed=${pressed(row.mute)}
            onClick=${() => onChange({ mute: !row.mute })}>M<//>
          <${Button} label=${`Solo ${name}`} aria-pressed=${pressed(row.solo)}
            onClick=${() => onChange({ solo: !row.solo })}>S<//>
          <a class="button" href=${part.url} download=${part.wav} draggable="true"
            onDragStart=${(event) => dragOut(event, part)} aria-label=${`WAV of ${name}`}>WAV</a>
        </div>
        <label class="gain"><span class="unseen">Gain of ${name}</span>
          <input type="range" min="-60" max="12" step="0.5" value=${row.gainDb} aria-valuetext=${gain}
            onInput=${(event) => onChange({ gainDb: Number(event.currentTarget.value) })} />
          <output>${gain}</output></label>
        <small>${about(part)}</small>
        ${part.activity?.length > 0 && html`<${Activity} values=${part.activity} label=${name} />`}
      </div>
      <div class="pictures">
        <${Waveform} buffer=${buffer} label=${name} color=${colour} height=${ROW} time=${time} onSeek=${onSeek} />
        <${Spectrogram} buffer=${buffer} label=${name} height=${ROW} />
      </div>
    </section>`;
}

/** What is known of a stem, in words. */
export function about(part) {
  const facts = [];
  if (part.rms_db !== undefined) facts.push(decibels(part.rms_db));
  if (part.presence !== null && part.presence !== undefined) {
    const heard = part.present === false ? "not heard, forced" : "heard";
    facts.push(`${heard}: ${Math.round(100 * part.presence)} %`);
  }
  if (part.given) facts.push("given");
  return facts.join(", ");
}

/** Dropped on the desktop or a DAW, a stem is its file (Chromium only; elsewhere a link). */
function dragOut(event, part) {
  const address = new URL(part.url, location.href).href;
  event.dataTransfer.setData("DownloadURL", `audio/wav:${part.wav}:${address}`);
  event.dataTransfer.setData("text/uri-list", address);
}
