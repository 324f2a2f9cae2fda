/** What is made of the patch on the keyboard: changed by words, varied, morphed; kept, exported. */

import { html, useState } from "../../vendor/preact-htm.js";
import { Button, Field, NumberField, Progress } from "../../ui.js";
import { Candidates } from "./candidates.js";
import { ExportPanel } from "./export.js";
import { patchesOf, refOf, useJob } from "./jobs.js";
import { Keep } from "./keep.js";
import { PresetPicker } from "./picker.js";

const WORDS = ["darker", "brighter", "longer", "shorter", "softer attack", "more noise"];

/** `sound`: of the preset as it is now, kept as its preview */
export function Actions(/** @type {import("../../api.js").Props} */ { api, say, taken, preset, sound, onTake }) {
  const { now, run, cancel } = useJob(api, say);
  const [words, setWords] = useState("");
  const [near, setNear] = useState(0.3);
  const [other, setOther] = useState(null);
  const [steps, setSteps] = useState(5);
  const [found, setFound] = useState(null); // {title, patches}
  const jobOf = async (kind, fields) => run({ kind, preset: await refOf(api, preset), ...fields });
  const guarded = (work) => () => work().catch((error) => say(error.reason ?? error.message, "error"));
  const bench = { name: preset.name, preset, buffer: sound, note: preset.note };
  const edit = (change) => guarded(async () => {
    const done = await jobOf("edit", { prompt: change });
    if (!done) return;
    const [one] = patchesOf(done);
    const [edited, buffer] = await Promise.all([api.get(one.presetUrl), api.audio(one.wavUrl)]);
    onTake({ preset: edited, buffer, start: bench });
    say(done.result.changed ? `${edited.name} is on the keyboard; B is how it was`
      : `nothing better than before was found for ${change}`);
  });
  const vary = guarded(async () => {
    const done = await jobOf("vary", { count: 10, amount: near });
    if (done) setFound({ title: `10 near ${preset.name}`, patches: patchesOf(done) });
  });
  const morph = guarded(async () => {
    const done = await jobOf("morph", { other: await refOf(api, other.preset), steps });
    if (done) setFound({ title: `From ${preset.name} to ${other.name}`, patches: patchesOf(done) });
  });
  return html`
    <${Keep} api=${api} say=${say} taken=${taken} preset=${preset} />
    <h4>Change it</h4>
    <div class="row" role="group" aria-label="Change it by a word">
      ${WORDS.map((word) => html`<${Button} key=${word} disabled=${!!now} onClick=${edit(word)}>${word}<//>`)}
    </div>
    <form class="row" onSubmit=${(event) => { event.preventDefault(); edit(words)(); }}>
      <${Field} label="In other words" value=${words} onInput=${setWords} maxlength="300"
        placeholder="like glass" />
      <${Button} type="submit" disabled=${!!now || !words.trim()}>Change<//>
    </form>
    <div class="columns">
      <div><h4>Near it</h4>
        <div class="row">
          <${NumberField} label="How far" value=${near} min=${0.01} max=${1} step=${0.05} onChange=${setNear} />
          <${Button} disabled=${!!now} onClick=${vary}>10 near this<//>
        </div></div>
      <div><h4>Morph</h4>
        <${PresetPicker} api=${api} say=${say} label="Towards" chosen=${other} onChoose=${setOther} />
        <div class="row">
          <${NumberField} label="Steps" value=${steps} min=${2} max=${100} onChange=${(n) => setSteps(Math.round(n))} />
          <${Button} disabled=${!!now || !other} onClick=${morph}>Morph<//>
        </div></div>
    </div>
    ${now && html`
      <div class="row" role="status">
        <${Progress} fraction=${now.fraction} seconds=${now.eta} label=${now.kind} />
        <span>${now.stage}</span>
        <${Button} kind="danger" disabled=${!now.id} onClick=${cancel}>Cancel<//>
      </div>`}
    ${found && html`<${Candidates} api=${api} say=${say} title=${found.title} patches=${found.patches}
      onClose=${() => setFound(null)} onTake=${(one) => onTake({ ...one, file: null, start: bench })} />`}
    <${ExportPanel} api=${api} say=${say} preset=${preset} />`;
}
