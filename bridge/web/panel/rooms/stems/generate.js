/** Generate from words: stems that belong together, or single sounds. */

import { html, useState } from "../../vendor/preact-htm.js";
import { Button, Field, NumberField } from "../../ui.js";
import { Check, Classes } from "./ask.js";
import { generateBody } from "./bodies.js";
import { STEMS } from "./set.js";

const FIRST = {
  prompt: "", stems: STEMS, seconds: 10, byBars: false, bars: 4, tempo: 120, count: 1, seed: 0,
};

/** `onAsk`: called with a job */
export function Generate({ busy, onAsk }) {
  const [choice, setChoice] = useState(FIRST);
  const set = (fields) => setChoice({ ...choice, ...fields });
  const submit = (event) => {
    event.preventDefault();
    onAsk(generateBody(choice));
  };
  return html`
    <form class="generate" onSubmit=${submit}>
      <${Field} label="What is to be heard" value=${choice.prompt} maxlength="300"
        onInput=${(prompt) => set({ prompt })} />
      <${Classes} label="Stems that belong together (none: single sounds)" chosen=${choice.stems}
        onChange=${(stems) => set({ stems })} />
      <${Check} label="Length in bars" checked=${choice.byBars} onChange=${(byBars) => set({ byBars })} />
      <div class="fields">
        ${choice.byBars
          ? html`
            <${NumberField} label="Bars of four beats" value=${choice.bars} min=${1} max=${512}
              onChange=${(bars) => set({ bars: Math.round(bars) })} />
            <${NumberField} label="Tempo" unit="beats a minute" value=${choice.tempo} min=${20} max=${300}
              onChange=${(tempo) => set({ tempo })} />`
          : html`<${NumberField} label="Length" unit="s" value=${choice.seconds} min=${0.25}
              max=${choice.stems.length ? 600 : 60} step=${0.5} onChange=${(seconds) => set({ seconds })} />`}
        <${NumberField} label="How many" value=${choice.count} min=${1} max=${100}
          onChange=${(count) => set({ count: Math.round(count) })} />
        <${NumberField} label="Seed" value=${choice.seed} min=${0} max=${2 ** 31 - 1}
          onChange=${(seed) => set({ seed: Math.round(seed) })} />
      </div>
      <${Button} kind="main" type="submit" disabled=${busy || !choice.prompt.trim()}>Generate<//>
    </form>`;
}

/** Single sounds that were generated, each to be heard and fetched. */
export function Clips(/** @type {import("../../api.js").Props} */ { api, clips }) {
  return html`
    <ul class="clips" aria-label="Generated sounds">
      ${clips.list.map(({ name, prompt, warning }) => html`
        <li key=${name}>
          <span>${prompt}</span>
          <audio controls preload="none" src=${api.fileUrl(clips.id, name)} aria-label=${name}></audio>
          <a class="button" href=${api.fileUrl(clips.id, name)} download>WAV</a>
          ${warning && html`<small class="warning">${warning}</small>`}
        </li>`)}
    </ul>`;
}

/** The clips of a job: its files, with prompt and warning of each. */
export function clipsOf(id, result) {
  const list = (result.clips ?? []).map(({ wav, prompt, warning }) => ({
    name: wav.split(/[\\/]/).at(-1), prompt, warning,
  }));
  return { id, list };
}
