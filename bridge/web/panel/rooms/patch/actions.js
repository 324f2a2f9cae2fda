/** What is made of the patch on the keyboard: kept, put in a slot, changed, varied, exported. */

import { html, useEffect, useState } from "../../vendor/preact-htm.js";
import { Button, Field, NumberField, Progress } from "../../ui.js";
import { Candidates } from "./candidates.js";
import { ExportPanel } from "./export.js";
import { patchesOf, refOf, useJob } from "./jobs.js";
import { PresetPicker } from "./picker.js";
import { tagsOf } from "./preset.js";

const WORDS = ["darker", "brighter", "longer", "shorter", "softer attack", "more noise"];

/** @param props.sound of the preset as it is now, kept as its preview */
export function Actions({ api, say, taken, preset, sound, onTake }) {
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
      ${WORDS.map((word) => html`<${Button} key=${word} disabled=${now} onClick=${edit(word)}>${word}<//>`)}
    </div>
    <form class="row" onSubmit=${(event) => { event.preventDefault(); edit(words)(); }}>
      <${Field} label="In other words" value=${words} onInput=${setWords} maxlength="300"
        placeholder="like glass" />
      <${Button} type="submit" disabled=${now || !words.trim()}>Change<//>
    </form>
    <div class="columns">
      <div><h4>Near it</h4>
        <div class="row">
          <${NumberField} label="How far" value=${near} min=${0.01} max=${1} step=${0.05} onChange=${setNear} />
          <${Button} disabled=${now} onClick=${vary}>10 near this<//>
        </div></div>
      <div><h4>Morph</h4>
        <${PresetPicker} api=${api} say=${say} label="Towards" chosen=${other} onChoose=${setOther} />
        <div class="row">
          <${NumberField} label="Steps" value=${steps} min=${2} max=${100} onChange=${(n) => setSteps(Math.round(n))} />
          <${Button} disabled=${now || !other} onClick=${morph}>Morph<//>
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

/** Save, tag, slot. A patch that was turned, or is not there yet, is saved as a new one first. */
function Keep({ api, say, taken, preset }) {
  const [name, setName] = useState(preset.name);
  const [tags, setTags] = useState(preset.tags.join(", "));
  const [kept, setKept] = useState(null); // {file, text}: what is in the library, as it was saved
  const [slot, setSlot] = useState(1);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if (taken.file) setKept({ file: taken.file, text: textOf(taken.preset) });
  }, [taken]);
  const wanted = () => ({ ...preset, name: name.trim() || preset.name, tags: tagsOf(tags) });

  const saved = async () => {
    const next = wanted();
    if (kept && kept.text === textOf(next)) return kept.file;
    const before = kept && kept.text === textOf({ ...next, tags: JSON.parse(kept.text).tags });
    const entry = before
      ? await retag(api, kept.file, JSON.parse(kept.text).tags, next.tags)
      : await api.send("POST", "/v1/library", { preset: next });
    setKept({ file: entry.file, text: textOf(next) });
    return entry.file;
  };
  const guarded = (work) => async () => {
    setBusy(true);
    try {
      await work();
    } catch (error) {
      say(error.reason ?? error.message, "error");
    }
    setBusy(false);
  };
  const save = guarded(async () => say(`in the library as ${await saved()}`));
  const put = guarded(async () => {
    const file = await saved();
    await api.send("PUT", `/v1/slots/${slot}`, { preset: file });
    say(`${file} is in slot ${slot}`);
  });
  const isKept = kept && kept.text === textOf(wanted());
  return html`
    <h4>Keep it</h4>
    <div class="fields">
      <${Field} label="Name" value=${name} onInput=${setName} maxlength="200" />
      <${Field} label="Tags" value=${tags} onInput=${setTags} placeholder="bass, warm" hint="with commas" />
    </div>
    <div class="row">
      <${Button} kind="main" disabled=${busy || isKept} onClick=${save}>
        ${isKept ? "Saved" : "Save to the library"}<//>
      <${NumberField} label="Slot" value=${slot} min=${1} max=${128} onChange=${(n) => setSlot(Math.round(n))} />
      <${Button} disabled=${busy} onClick=${put}>Put in slot ${slot}<//>
    </div>`;
}

function textOf(preset) {
  return JSON.stringify({ values: preset.values, effects: preset.effects, name: preset.name, tags: preset.tags });
}

function retag(api, file, before, after) {
  return api.send("PATCH", `/v1/library/${encodeURIComponent(file)}`, {
    add_tags: after.filter((tag) => !before.includes(tag)),
    remove_tags: before.filter((tag) => !after.includes(tag)),
  });
}
