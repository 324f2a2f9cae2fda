/** The room Patch: from a prompt to a patch on the keyboard, and from there to the library and other synths. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { Bench } from "./patch/bench.js";
import { Candidates } from "./patch/candidates.js";
import { SearchForm } from "./patch/form.js";
import { libraryPreset } from "./patch/picker.js";
import { Search, useSearch } from "./patch/search.js";
import { rendered } from "./patch/sound.js";

const style = document.createElement("link");
style.rel = "stylesheet";
style.href = new URL("./patch/patch.css", import.meta.url).href;
document.head.append(style);

let taken = 0;

/** @param props.rest of the address: `library/FILE` opens a preset of the library */
export default function Patch({ api, say, rest = "", active = true }) {
  const [bench, setBench] = useState(null);
  const started = useRef(null);
  const take = (one) => setBench({ ...one, key: ++taken });
  const startOf = (start) => start && { name: "what the search began with", buffer: start, note: 60 };
  const { search, begin, cancel } = useSearch(api, say, async (id, patches) => {
    const [first] = patches;
    if (!first?.presetUrl) return;
    const [preset, buffer] = await Promise.all([api.get(first.presetUrl), api.audio(first.wavUrl)]);
    started.current = { id, first: { ...first, preset, buffer } };
    setBench((now) => now ?? { preset, buffer, file: first.library, start: null, job: id, key: ++taken });
  });
  useEffect(() => {
    const file = /^library\/(.+)$/.exec(rest)?.[1];
    if (!file) return;
    open(api, file).then(take).catch((error) => say(error.reason ?? error.message, "error"));
  }, [rest]);
  const withStart = (one) => ({ ...one, start: { ...startOf(search.start), note: one.preset.note } });
  const found = (one) => take(search.start ? withStart(one) : one);
  useEffect(() => {
    // The bench came with the end of the search: its B is what that search began with.
    setBench((now) => (now?.job === search.id && !now.start && search.start ? withStart(now) : now));
  }, [bench, search.start]);
  return html`
    <h2>Patch</h2>
    <${SearchForm} api=${api} say=${say} live=${["waiting", "running"].includes(search.state)} onBegin=${begin} />
    ${search.state !== "none" && html`
      <${Search} search=${search} onCancel=${cancel} onTake=${found} />`}
    ${search.patches.length > 0 && html`
      <${Candidates} api=${api} say=${say} title="What was found" patches=${search.patches}
        onTake=${(one) => found({ ...one, file: one.library })} />`}
    ${bench && html`<${Bench} api=${api} say=${say} taken=${bench} onTake=${take} active=${active} />`}`;
}

/** A preset of the library with its sound; it is its own start. */
async function open(api, file) {
  const entry = await libraryPreset(api, file);
  const buffer = await rendered(entry.preset);
  const start = { name: "as saved", preset: entry.preset, buffer, note: entry.preset.note };
  return { preset: entry.preset, buffer, file: entry.file, start };
}
