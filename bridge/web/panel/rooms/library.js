/** The room Library: presets found, heard, tagged, put into slots, exported, deleted, brought back. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { Button, Choice, Field, Tabs } from "../ui.js";
import { Detail, FactoryDetail, keepFactory } from "./library/detail.js";
import { PresetList } from "./library/list.js";
import { Meter } from "./library/meter.js";
import { Pads } from "./library/pads.js";
import { keptUrl, presetUrl, toggled } from "./library/queries.js";
import { NOTHING, useFactory, usePreviewer, useSearch, useShelves } from "./library/shelves.js";
import { Trash } from "./library/trash.js";
import { Check } from "./stems/ask.js";

const SHELVES = [
  { id: "library", label: "My library" },
  { id: "factory", label: "Comes with Scorewire" },
];
const RENDERERS = [{ value: "", label: "all" }, "fm", "impact"];
const SOUND = { name: "sound", suffix: ".wav", text: "Its sound (WAV)" }; // beside the formats of export

/** @param {{api: import("../api.js").api, go: Function, say: Function, active: boolean}} props */
export default function Room(/** @type {import("../api.js").Props} */ { api, go, say, active = true }) {
  const [shelf, setShelf] = useState("library");
  const [asked, setAsked] = useState(NOTHING);
  const [turn, setTurn] = useState(0); // another one, and the library is asked again
  const [chosen, setChosen] = useState(null);
  const [formats, setFormats] = useState([]);
  const [dragged, setDragged] = useState("sound");
  const [hover, setHover] = useState(true);
  const [gone, setGone] = useState(null); // what was deleted last
  const mine = useSearch(api, say, asked, turn);
  const factory = useFactory(api, say, asked, shelf === "factory");
  const shelves = useShelves(api, say);
  const previewer = usePreviewer(api, say);
  const ask = (fields) => setAsked((known) => ({ ...known, ...fields }));
  const renew = () => {
    setTurn((number) => number + 1);
    return shelves.look();
  };
  useEffect(() => {
    if (active) renew();
    else previewer.stop();
  }, [active]);
  useChangesElsewhere(api, active, () => {
    renew();
    if (!chosen || shelf !== "library") return;
    const put = (entry) => setChosen((now) => (now?.file === chosen.file ? entry : now));
    again(api, chosen).then(put, () => {});
  });
  useEffect(() => {
    api.get("/v1/formats").then((answer) => setFormats(answer.formats), () => {});
  }, []);

  /** Do something that may be refused; what is shown follows it. */
  const attempt = async (work) => {
    try {
      const answer = (await work()) ?? {};
      await renew();
      return answer;
    } catch (error) {
      say(error.reason ?? error.message, "error");
      return null;
    }
  };
  const play = ({ file }, from = shelf) =>
    previewer.play(presetUrl(file, "/sound", from)).catch((error) => previewer.fail(error));
  const put = async (slot, { file, name }) => {
    const done = await attempt(() => api.send("PUT", `/v1/slots/${slot}`, { preset: file }));
    if (done) say(`${name} is in slot ${slot}.`);
  };
  const strike = ({ number, file }) => {
    if (!shelves.playing) return play({ file }, "library");
    return attempt(() => api.send("POST", `/v1/slots/${number}/trigger`, {}));
  };
  const change = async (fields) => {
    const entry = await attempt(() => api.send("PATCH", keptUrl(chosen.file), fields));
    if (entry) setChosen(entry);
  };
  const remove = async (preset) => {
    const answer = await attempt(() => api.send("DELETE", keptUrl(preset.file)));
    if (!answer) return;
    setChosen(null);
    if (asked.like === preset.file) ask({ like: "" });
    setGone({ file: answer.trashed, name: preset.name });
  };
  const restore = async (file) => {
    const place = encodeURIComponent(file);
    if (await attempt(() => api.send("POST", `/v1/trash/${place}/restore`))) setGone(null);
  };
  const keep = async (preset) => {
    const entry = await attempt(() => keepFactory(api, preset));
    if (entry) say(`${entry.name} is in your library.`);
  };
  const choose = (id) => {
    setShelf(id);
    setChosen(null);
    ask({ tags: [], like: "" });
  };
  const found = shelf === "library" ? mine : factory;
  const ways = [SOUND, ...formats];
  return html`
    <link rel="stylesheet" href="rooms/stems/stems.css" />
    <link rel="stylesheet" href="rooms/library/library.css" />
    <h2>Library</h2>
    <${Tabs} label="Which presets" tabs=${SHELVES} selected=${shelf} onSelect=${choose} />
    <div class="search" role="search">
      <${Field} label="Search" type="search" value=${asked.words} onInput=${(words) => ask({ words })}
        hint="Words of name, tags or prompt, or their beginnings" />
      <${Choice} label="Renderer" value=${asked.renderer} options=${RENDERERS}
        onChange=${(renderer) => ask({ renderer })} />
      <${Choice} label="Drag out as" value=${dragged} onChange=${setDragged}
        options=${ways.map((one) => ({ value: one.name, label: one.text ?? one.name }))} />
      <${Check} label="Play what is pointed at" checked=${hover} onChange=${setHover} />
      <${Meter} previewer=${previewer} />
    </div>
    <${TagFilter} tags=${found.tags} chosen=${asked.tags}
      onToggle=${(tag) => ask({ tags: toggled(asked.tags, tag) })} />
    ${asked.like && html`<p>The most similar to <strong>${asked.like.replace(/\.json$/, "")}</strong> first.
      ${" "}<${Button} onClick=${() => ask({ like: "" })}>By name again<//></p>`}
    ${gone && html`<p role="status">${gone.name} is in the trash.
      ${" "}<${Button} onClick=${() => restore(gone.file)}>Undo<//></p>`}
    <div class="columns">
      <div>
        <p class="hint" role="status">${found.presets.length} of ${found.count} presets</p>
        <${PresetList} presets=${found.presets} shelf=${shelf} chosen=${chosen?.file} hover=${hover}
          previewer=${previewer} format=${ways.find((one) => one.name === dragged)} onChoose=${setChosen} />
      </div>
      ${chosen && shelf === "library" && html`
        <${Detail} api=${api} say=${say} go=${go} preset=${chosen} formats=${formats} slots=${shelves.slots} onPlay=${play}
          onChange=${change} onTrash=${remove} onSlot=${put} onLike=${({ file }) => ask({ like: file })} />`}
      ${chosen && shelf === "factory" && html`
        <${FactoryDetail} go=${go} preset=${chosen} onPlay=${play} onKeep=${keep} />`}
      ${!chosen && html`<p class="hint">Choose a preset to hear, tag, export or keep it.</p>`}
    </div>
    <h3>Slots</h3>
    <p class="hint">${shelves.playing ? "Struck pads sound in the player." : "No player runs: struck pads sound here."}
      ${" "}Drag a preset onto a pad; Delete empties one.</p>
    <${Pads} slots=${shelves.slots} onStrike=${strike} onDrop=${put}
      onClear=${(slot) => attempt(() => api.send("DELETE", `/v1/slots/${slot}`))} />
    <${Trash} files=${shelves.trash} onRestore=${restore} />`;
}

/** Call `look` when another tab changes what is kept, this one is looked at, the server is back. */
function useChangesElsewhere(/** @type {import("../api.js").Api} */ api, active, look) {
  const latest = useRef(look);
  latest.current = look;
  useEffect(() => {
    if (!active) return undefined;
    const tell = () => latest.current();
    const stop = api.onOtherTab(tell);
    addEventListener("focus", tell);
    api.connection.addEventListener("up", tell);
    return () => {
      stop();
      removeEventListener("focus", tell);
      api.connection.removeEventListener("up", tell);
    };
  }, [active]);
}

/** The preset that is chosen, as it is now; null where it is no more. */
async function again(/** @type {import("../api.js").Api} */ api, { file }) {
  try {
    return await api.get(keptUrl(file));
  } catch (error) {
    if (error.code === "no-preset") return null;
    throw error;
  }
}

function TagFilter({ tags, chosen, onToggle }) {
  if (!tags.length) return null;
  return html`
    <ul class="tags filter" aria-label="Only with these tags">
      ${tags.map((tag) => html`
        <li key=${tag}><button type="button" class="tag" aria-pressed=${chosen.includes(tag) ? "true" : "false"}
          onClick=${() => onToggle(tag)}>${tag}</button></li>`)}
    </ul>`;
}
