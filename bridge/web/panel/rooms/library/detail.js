/** The preset that was chosen: its name and tags, its slot, its exports, the trash. */

import { html, useEffect, useState } from "../../vendor/preact-htm.js";
import { Button, Choice, Field, NumberField } from "../../ui.js";
import { dragAddress, freeSlot, presetUrl, SLOTS, tagsOf } from "./queries.js";

/** @param props.onChange called with the entry when it has changed @param props.onTrash called */
export function Detail({ api, go, say, preset, formats, slots, previewer, onChange, onTrash, onLike, onSlot }) {
  const [name, setName] = useState(preset.name);
  const [tag, setTag] = useState("");
  const [slot, setSlot] = useState(freeSlot(slots));
  const [format, setFormat] = useState("");
  useEffect(() => setName(preset.name), [preset.file, preset.name]);
  useEffect(() => setSlot(freeSlot(slots)), [preset.file]);
  const change = async (fields) => {
    try {
      onChange(await api.send("PATCH", presetUrl(preset.file), fields));
    } catch (error) {
      say(error.reason, "error");
    }
  };
  const submit = (action) => (event) => {
    event.preventDefault();
    action();
  };
  const addTags = () => {
    change({ add_tags: tagsOf(tag) });
    setTag("");
  };
  const exported = formats.find((one) => one.name === format) ?? formats[0];
  return html`
    <section class="card detail" aria-label=${`Preset ${preset.name}`}>
      <h3>${preset.name}</h3>
      ${preset.prompt && html`<p class="hint">${preset.prompt}</p>`}
      <div class="buttons">
        <${Button} kind="main" onClick=${() => play(previewer, preset, say)}>Play<//>
        <${Button} onClick=${() => go(`#/patch/library/${encodeURIComponent(preset.file)}`)}>Open on the keyboard<//>
        <${Button} onClick=${() => onLike(preset)}>Similar ones<//>
        <${Button} kind="danger" onClick=${() => onTrash(preset)}>To the trash<//>
      </div>
      <form class="add" onSubmit=${submit(() => change({ name }))}>
        <${Field} label="Name" value=${name} onInput=${setName} maxlength="200" />
        <${Button} type="submit" disabled=${!name.trim() || name === preset.name}>Rename<//>
      </form>
      <ul class="tags" aria-label="Tags">
        ${preset.tags.map((one) => html`
          <li key=${one} class="tag"><span>${one}</span>
            <${Button} kind="plain" label=${`Remove the tag ${one}`}
              onClick=${() => change({ remove_tags: [one] })}>×<//></li>`)}
      </ul>
      <form class="add" onSubmit=${submit(addTags)}>
        <${Field} label="Add tags" value=${tag} onInput=${setTag} maxlength="200" />
        <${Button} type="submit" disabled=${!tagsOf(tag).length}>Add<//>
      </form>
      <form class="add" onSubmit=${submit(() => onSlot(slot, preset))}>
        <${NumberField} label="Slot" value=${slot} min=${1} max=${SLOTS} onChange=${(n) => setSlot(Math.round(n))} />
        <${Button} type="submit">Put into the slot<//>
      </form>
      ${exported && html`
        <div class="add">
          <${Choice} label="Export as" value=${exported.name} onChange=${setFormat}
            options=${formats.map((one) => ({ value: one.name, label: `${one.name} (${one.suffix})` }))} />
          <a class="button" download href=${dragAddress(preset.file, exported, location.href).url}
            draggable="true" onDragStart=${(event) => dragOut(event, preset, exported)}>Export</a>
        </div>`}
    </section>`;
}

/** Play a preview at once. */
export function play(previewer, preset, say) {
  return previewer.play(presetUrl(preset.file, "/sound")).catch((error) => say(error.reason ?? error.message, "error"));
}

function dragOut(event, preset, format) {
  const { url, download } = dragAddress(preset.file, format, location.href);
  event.dataTransfer.setData("DownloadURL", download);
  event.dataTransfer.setData("text/uri-list", url);
}
