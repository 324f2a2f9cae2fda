/** Choose a preset of the library by typing: what is typed is searched for. */

import { html, useEffect, useRef, useState } from "../../vendor/preact-htm.js";
import { Button, Field } from "../../ui.js";

const PAUSE_MS = 150; // after the last letter
const SHOWN = 8;

/**
 * @param props.chosen the entry that is chosen, or null
 * @param props.onChoose called with {file, name, preset}, or null when it is taken back
 */
export function PresetPicker({ api, say, label, chosen, onChoose }) {
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
        const query = new URLSearchParams({ words, limit: String(SHOWN) });
        const { presets } = await api.get(`/v1/library?${query}`);
        if (newest.current === words) setFound(presets);
      } catch (error) {
        say(error.reason ?? error.message, "error");
      }
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [words]);
  const choose = async (entry) => {
    try {
      onChoose(await libraryPreset(api, entry.file));
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
            <li key=${entry.file}><${Button} onClick=${() => choose(entry)}>${entry.name}<//></li>`)}
          ${found.length === 0 && html`<li class="quiet">The library has nothing of that name.</li>`}
        </ul>`}
    </div>`;
}

/** A preset of the library with what is in it. @returns {Promise<{file, name, tags, preset}>} */
export function libraryPreset(api, file) {
  return api.get(`/v1/library/${encodeURIComponent(file)}`);
}
