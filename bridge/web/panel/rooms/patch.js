/** The room Patch: from a prompt to a patch on the keyboard, and on to the library and other synths. */

import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { Elsewhere } from "../going_on.js";
import { Button } from "../ui.js";
import { Bench } from "./patch/bench.js";
import { Candidates } from "./patch/candidates.js";
import { SearchForm } from "./patch/form.js";
import { wholePreset } from "./patch/picker.js";
import { playOnce } from "./patch/player.js";
import { Search, useSearch } from "./patch/search.js";
import { soundOf } from "./patch/sound.js";

const style = document.createElement("link");
style.rel = "stylesheet";
style.href = new URL("./patch/patch.css", import.meta.url).href;
document.head.append(style);

let count = 0;

/** What goes to the keyboard: a patch, where it is kept, and the sound that it began with. */
function placed(one, began) {
  const start = began && { name: "what the search began with", buffer: began, note: one.preset.note };
  return { file: null, start: null, ...one, ...(start ? { start } : {}), key: ++count };
}

/** `rest`: of the address: `library/FILE` or `factory/FILE` opens a preset */
export default function Patch(/** @type {import("../api.js").Props} */ { api, say, rest = "", active = true }) {
  const [bench, setBench] = useState(null);
  const { search, begin, cancel, goOn, take: follow } = useSearch(api, say, async ({ patches: [first], start }) => {
    const [preset, buffer] = await Promise.all([api.get(first.presetUrl), api.audio(first.wavUrl)]);
    setBench((now) => now ?? placed({ ...first, preset, buffer, file: null }, start));
  });
  useEffect(() => {
    const [, from, file] = /^(library|factory)\/(.+)$/.exec(rest) ?? [];
    if (!file) return;
    open(api, { from, file }).then(setBench).catch((error) => say(error.reason ?? error.message, "error"));
  }, [rest]);
  const take = (one) => setBench(placed(one, null));
  const found = (one) => setBench(placed(one, search.start));
  const first = (file) => open(api, { from: "factory", file }).then((one) => {
    playOnce(one.buffer);
    setBench(one);
  }).catch((error) => say(error.reason ?? error.message, "error"));
  const live = ["waiting", "running"].includes(search.state);
  return html`
    <h2>Patch</h2>
    <${SearchForm} api=${api} say=${say} live=${live} onBegin=${begin} />
    <${Elsewhere} api=${api} say=${say} kinds=${["patch"]} own=${[search.id]} active=${active}
      titleOf=${({ job }) => `Search: ${job.prompt}`} onFollow=${follow} />
    ${search.state !== "none" && html`
      <${Search} search=${search} onCancel=${cancel} onGoOn=${goOn} onTake=${found} />`}
    ${search.patches.length > 0 && html`
      <${Candidates} api=${api} say=${say} title="What was found" patches=${search.patches} onTake=${found} />`}
    ${!bench && search.state === "none" && html`<${First} api=${api} say=${say} onOpen=${first} />`}
    ${bench && html`<${Bench} api=${api} say=${say} taken=${bench} onTake=${take} active=${active} />`}`;
}

const FIRST = ["kalimba", "organ", "church-bell", "warm-pad", "synth-bass", "hall-snare"]; // of the factory

/** What can be heard before anything was searched: presets that come with Scorewire. */
function First(/** @type {import("../api.js").Props} */ { onOpen }) {
  return html`
    <section class="card" aria-labelledby="first-title">
      <h3 id="first-title">Or play what comes with Scorewire</h3>
      <div class="row">
        ${FIRST.map((name) => html`
          <${Button} key=${name} onClick=${() => onOpen(`${name}.json`)}>${name.replace("-", " ")}<//>`)}
      </div>
    </section>`;
}

/** A preset with its sound; it is its own start. */
async function open(/** @type {import("../api.js").Api} */ api, entry) {
  const whole = await wholePreset(api, entry);
  const { preset } = whole;
  const buffer = await soundOf(api, whole);
  const start = { name: "as saved", preset, buffer, note: preset.note };
  const file = entry.from === "library" ? entry.file : null;
  return placed({ preset, buffer, file, start }, null);
}
