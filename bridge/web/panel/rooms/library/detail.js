/** The preset that was chosen: its name and tags, its slot, its exports, the trash. */

import { html, useEffect, useState } from "../../vendor/preact-htm.js";
import { Button, Field, NumberField } from "../../ui.js";
import { Export } from "./export.js";
import { SLOTS, formatsOf, freeSlot, presetUrl, tagsOf } from "./queries.js";

/** What every preset can do: sound, and go to the keyboard. */
function Head({ go, preset, shelf, onPlay, children }) {
  return html`
    <h3>${preset.name}</h3>
    ${preset.prompt && html`<p class="hint">${preset.prompt}</p>`}
    <div class="buttons">
      <${Button} kind="main" disabled=${!preset.preview} onClick=${() => onPlay(preset)}>Play<//>
      <${Button} onClick=${() => go(`#/patch/${shelf}/${encodeURIComponent(preset.file)}`)}>Open on the keyboard<//>
      ${children}
    </div>
    ${!preset.preview && html`<p class="hint">No sound lies beside it: the keyboard renders it.</p>`}`;
}

/** A preset that comes with Scorewire. `onKeep`: called with it */
export function FactoryDetail({ go, preset, onPlay, onKeep }) {
  return html`
    <section class="card detail" aria-label=${`Preset ${preset.name}`}>
      <${Head} go=${go} preset=${preset} shelf="factory" onPlay=${onPlay}>
        <${Button} onClick=${() => onKeep(preset)}>Keep in my library<//>
      <//>
    </section>`;
}

/**
 * A preset of the library.
 * `onChange`: called with fields to change; `onSlot`: called with slot and preset
 */
export function Detail(/** @type {import("../../api.js").Props} */ { api, say, go, preset, formats, slots, onPlay, onChange, onTrash, onLike, onSlot }) {
  const [name, setName] = useState(preset.name);
  const [tag, setTag] = useState("");
  const [slot, setSlot] = useState(freeSlot(slots));
  useEffect(() => setName(preset.name), [preset.file, preset.name]);
  useEffect(() => setSlot(freeSlot(slots)), [preset.file]);
  const submit = (action) => (event) => {
    event.preventDefault();
    action();
  };
  const addTags = () => {
    onChange({ add_tags: tagsOf(tag) });
    setTag("");
  };
  return html`
    <section class="card detail" aria-label=${`Preset ${preset.name}`}>
      <${Head} go=${go} preset=${preset} shelf="library" onPlay=${onPlay}>
        <${Button} onClick=${() => onLike(preset)}>Similar ones<//>
        <${Button} kind="danger" onClick=${() => onTrash(preset)}>To the trash<//>
      <//>
      <form class="add" onSubmit=${submit(() => onChange({ name }))}>
        <${Field} label="Name" value=${name} onInput=${setName} maxlength="200" />
        <${Button} type="submit" disabled=${!name.trim() || name === preset.name}>Rename<//>
      </form>
      <ul class="tags" aria-label="Tags">
        ${preset.tags.map((one) => html`
          <li key=${one} class="tag"><span>${one}</span>
            <${Button} kind="plain" label=${`Remove the tag ${one}`}
              onClick=${() => onChange({ remove_tags: [one] })}>×<//></li>`)}
      </ul>
      <form class="add" onSubmit=${submit(addTags)}>
        <${Field} label="Add tags" value=${tag} onInput=${setTag} maxlength="200" />
        <${Button} type="submit" disabled=${!tagsOf(tag).length}>Add<//>
      </form>
      <form class="add" onSubmit=${submit(() => onSlot(slot, preset))}>
        <${NumberField} label="Slot" value=${slot} min=${1} max=${SLOTS}
          onChange=${(number) => setSlot(Math.round(number))} />
        <${Button} type="submit">Put into the slot<//>
      </form>
      <${Export} api=${api} say=${say} preset=${preset} formats=${formatsOf(formats, preset)} />
    </section>`;
}

/** Copy a preset that comes with Scorewire, and its sound, into the library. */
export async function keepFactory(/** @type {import("../../api.js").Api} */ api, { file, name, preview }) {
  const { preset } = await api.get(presetUrl(file, "", "factory"));
  const body = { preset };
  if (preview) {
    const sound = await (await fetch(presetUrl(file, "/sound", "factory"))).blob();
    body.sound = (await api.upload(new File([sound], `${name}.wav`))).ref;
  }
  return api.send("POST", "/v1/library", body);
}
