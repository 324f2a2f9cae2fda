/** Save the patch on the keyboard in the library, tag it, put it in a slot. */

import { html, useState } from "../../vendor/preact-htm.js";
import { Button, Field, NumberField } from "../../ui.js";
import { tagsOf } from "./preset.js";
import { wavOf } from "./sound.js";

/** Whether two presets sound the same and have the same name: only their tags may differ. */
export function sameButTags(a, b) {
  const parts = ({ name, values, effects, seconds, held, note }) =>
    JSON.stringify([name, values, effects, seconds, held, note]);
  return parts(a) === parts(b);
}

/** What to ask for so that `after` is the tags instead of `before`; null where they are the same. */
export function tagChange(before, after) {
  const add_tags = after.filter((tag) => !before.includes(tag));
  const remove_tags = before.filter((tag) => !after.includes(tag));
  return add_tags.length || remove_tags.length ? { add_tags, remove_tags } : null;
}

/**
 * Have `wanted` in the library: as it is there, with other tags, kept of a search, or as a new one.
 * @param {{file: string, preset: object} | null} known what is there of it
 * @param {{job?: string, number?: number, preset: object}} taken what came to the keyboard
 * @returns {Promise<{file: string, preset: object}>}
 */
export async function saved(/** @type {import("../../api.js").Api} */ api, wanted, known, taken) {
  let there = known && sameButTags(known.preset, wanted) ? known : null;
  if (!there && taken.job && sameButTags(taken.preset, wanted)) {
    const { number, job } = taken;
    const kept = await api.send("POST", "/v1/keep", { number, job });
    const file = kept.preset.split(/[/\\]/).at(-1);
    there = { file, preset: { ...wanted, tags: kept.tags } };
    wanted = { ...wanted, tags: [...new Set([...kept.tags, ...wanted.tags])] };
  }
  if (!there) {
    const wav = new File([await wavOf(wanted)], "preview.wav");
    const sound = (await api.upload(wav)).ref;
    const { file } = await api.send("POST", "/v1/library", { preset: wanted, sound });
    return { file, preset: wanted };
  }
  const change = tagChange(there.preset.tags, wanted.tags);
  if (change) await api.send("PATCH", `/v1/library/${encodeURIComponent(there.file)}`, change);
  return { file: there.file, preset: wanted };
}

/** `taken`: what came to the keyboard; `preset`: how it is now */
export function Keep(/** @type {import("../../api.js").Props} */ { api, say, taken, preset }) {
  const [name, setName] = useState(preset.name);
  const [tags, setTags] = useState(preset.tags.join(", "));
  const [known, setKnown] = useState(taken.file ? { file: taken.file, preset: taken.preset } : null);
  const [slot, setSlot] = useState(1);
  const [busy, setBusy] = useState(false);
  const wanted = { ...preset, name: name.trim() || preset.name, tags: tagsOf(tags) };
  const isKept = known && sameButTags(known.preset, wanted) && !tagChange(known.preset.tags, wanted.tags);
  const keep = async () => {
    const now = isKept ? known : await saved(api, wanted, known, taken);
    setKnown(now);
    setTags(now.preset.tags.join(", "));
    return now.file;
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
  const save = guarded(async () => say(`in the library as ${await keep()}`));
  const put = guarded(async () => {
    const file = await keep();
    await api.send("PUT", `/v1/slots/${slot}`, { preset: file });
    say(`${file} is in slot ${slot}`);
  });
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
