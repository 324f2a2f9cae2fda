/** Choose a preset by typing: of the library, and of those that come with Scorewire. */

import { html, useEffect, useRef, useState } from "../../vendor/preact-htm.js";
import { Button, Field } from "../../ui.js";

const PAUSE_MS = 150; // after the last letter
const SHOWN = 8;

/**
 * `chosen`: the entry that is chosen, or null
 * `onChoose`: called with {file, name, preset}, or null when it is taken back
 */
export function PresetPicker(/** @type {import("../../api.js").Props} */ { api, say, label, chosen, onChoose }) {
  const [words, setWords] = useState("");
  const [found, setFound] = useState(null);
  const newest = useRef("");
  useEffect(() => {
    newest.current = words;
    if (!words.trim()) {
      setFound(null);
      return undefined;
    }
    const timer = setTimeout(async () => {
      try {
        const presets = await search(api, words);
        if (newest.current === words) setFound(presets);
      } catch (error) {
        say(error.reason ?? error.message, "error");
      }
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [words]);
  const choose = async (entry) => {
    try {
      onChoose(await wholePreset(api, entry));
      setWords("");
    } catch (error) {
      say(error.reason ?? error.message, "error");
    }
  };
  if (chosen) {
    return html`
      <div class="field"><span>${label}</span>
        <div class="row"><strong class="name">${chosen.name}</strong>
          <${Button} label=${`${label}: another one`} onClick=${() => onChoose(null)}>Another<//></div>
      </div>`;
  }
  return html`
    <div>
      <${Field} label=${label} type="search" value=${words} onInput=${setWords}
        placeholder="name, tag or prompt" autocomplete="off" />
      ${found && html`
        <ul class="found" aria-label=${`${label}: found`}>
          ${found.map((entry) => html`
            <li key=${`${entry.from}/${entry.file}`}>
              <${Button} onClick=${() => choose(entry)}>${entry.name}${entry.from === "factory" ? " (factory)" : ""}<//>
            </li>`)}
          ${found.length === 0 && html`<li class="quiet">No preset is called so.</li>`}
        </ul>`}
    </div>`;
}

/** Presets with all these words, those of the library first. */
async function search(/** @type {import("../../api.js").Api} */ api, words) {
  const query = new URLSearchParams({ words, limit: String(SHOWN) });
  const [library, factory] = await Promise.all([
    api.get(`/v1/library?${query}`), api.get("/v1/factory"),
  ]);
  const own = library.presets.map((entry) => ({ ...entry, from: "library" }));
  const shipped = matching(factory.presets, words).map((entry) => ({ ...entry, from: "factory" }));
  return [...own, ...shipped].slice(0, SHOWN);
}

/** The entries that have each word, or the beginning of one, in name, tags or prompt. */
export function matching(entries, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return entries.filter(({ name, tags, prompt }) => {
    const here = [name, prompt, ...tags].join(" ").toLowerCase().split(/[\s,]+/);
    return wanted.every((word) => here.some((one) => one.startsWith(word)));
  });
}

/** What is in a preset. @returns {Promise<import("../../api-types").WholePreset & {from: string}>} */
export async function wholePreset(/** @type {import("../../api.js").Api} */ api, { file, from = "library" }) {
  return { ...(await api.get(`/v1/${from}/${encodeURIComponent(file)}`)), from };
}
