/** The room Library: presets found, heard, tagged, put into slots, exported, deleted and brought back. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { Button, Choice, Field } from "../ui.js";
import { Detail, play } from "./library/detail.js";
import { PresetList } from "./library/list.js";
import { Pads } from "./library/pads.js";
import { Previewer } from "./library/preview.js";
import { presetUrl, searchUrl, toggled } from "./library/queries.js";
import { Trash } from "./library/trash.js";
import { Check } from "./stems/ask.js";

const TYPING = 120; // ms without a key before it is searched
const RENDERERS = [{ value: "", label: "all" }, "fm", "impact"];
const SOUND = { name: "sound", suffix: ".wav" }; // the preview, beside the formats of export

const NOTHING = { words: "", tags: [], renderer: "", like: "" };

/** Search as one types; the answers come in the order of the questions. */
function useSearch(api, say) {
  const [asked, setAsked] = useState(NOTHING);
  const [found, setFound] = useState({ presets: [], count: 0, tags: [] });
  const [turn, setTurn] = useState(0);
  const newest = useRef(0);
  useEffect(() => {
    const number = ++newest.current;
    const look = async () => {
      try {
        const answer = await api.get(searchUrl(asked));
        if (number === newest.current) setFound(answer);
      } catch (error) {
        say(error.reason, "error");
      }
    };
    const timer = setTimeout(look, TYPING);
    return () => clearTimeout(timer);
  }, [asked, turn]);
  const ask = (fields) => setAsked((known) => ({ ...known, ...fields }));
  return { asked, found, ask, again: () => setTurn((number) => number + 1) };
}

/** One previewer for the room; what it cannot play is said. */
function usePreviewer(api, say) {
  const [previewer] = useState(() => new Previewer(api));
  useEffect(() => {
    const failed = ({ detail }) => say(detail.reason ?? detail.message, "error");
    previewer.addEventListener("fail", failed);
    return () => {
      previewer.removeEventListener("fail", failed);
      previewer.close();
    };
  }, []);
  return previewer;
}

/** The slots and the trash as the server has them. */
function useShelves(api, say) {
  const [slots, setSlots] = useState({ slots: {}, playing: false });
  const [trash, setTrash] = useState([]);
  const look = async () => {
    try {
      setSlots(await api.get("/v1/slots"));
      setTrash((await api.get("/v1/trash")).presets);
    } catch (error) {
      say(error.reason, "error");
    }
  };
  return { ...slots, trash, look };
}

/** @param {{api: import("../api.js").api, go: Function, say: Function, active: boolean}} props */
export default function Room({ api, go, say, active = true }) {
  const { asked, found, ask, again } = useSearch(api, say);
  const shelves = useShelves(api, say);
  const previewer = usePreviewer(api, say);
  const [hover, setHover] = useState(true);
  const [chosen, setChosen] = useState(null);
  const [formats, setFormats] = useState([]);
  const [dragged, setDragged] = useState("sound");
  const [gone, setGone] = useState(null); // what was deleted last
  const renew = () => {
    again();
    return shelves.look();
  };
  useEffect(() => {
    if (active) renew();
    else previewer.stop();
  }, [active]);
  useEffect(() => {
    api.get("/v1/formats").then((answer) => setFormats(answer.formats), () => {});
  }, []);
  /** Ask the server for a change; what is shown follows it. */
  const change = async (method, path, body) => {
    try {
      const answer = await api.send(method, path, body);
      await renew();
      return answer ?? {};
    } catch (error) {
      say(error.reason, "error");
      return null;
    }
  };
  const put = (slot, { file, name }) =>
    change("PUT", `/v1/slots/${slot}`, { preset: file }).then((done) => done && say(`${name} is in slot ${slot}.`));
  const strike = async ({ number, file }) => {
    if (!shelves.playing) return play(previewer, { file }, say);
    return api.send("POST", `/v1/slots/${number}/trigger`, {}).catch((error) => say(error.reason, "error"));
  };
  const remove = async (preset) => {
    const answer = await change("DELETE", presetUrl(preset.file));
    if (!answer) return;
    setChosen(null);
    setGone({ file: answer.trashed, name: preset.name });
  };
  const restore = async (file) => {
    if (await change("POST", `/v1/trash/${encodeURIComponent(file)}/restore`)) setGone(null);
  };
  const ways = [SOUND, ...formats];
  return html`
    <link rel="stylesheet" href="rooms/stems/stems.css" />
    <link rel="stylesheet" href="rooms/library/library.css" />
    <h2>Library</h2>
    <div class="search" role="search">
      <${Field} label="Search" type="search" value=${asked.words} onInput=${(words) => ask({ words })}
        hint="Words of name, tags or prompt, or their beginnings" />
      <${Choice} label="Renderer" value=${asked.renderer} options=${RENDERERS}
        onChange=${(renderer) => ask({ renderer })} />
      <${Choice} label="Drag out as" value=${dragged} onChange=${setDragged}
        options=${ways.map((one) => ({ value: one.name, label: `${one.name} (${one.suffix})` }))} />
      <${Check} label="Play what is pointed at" checked=${hover} onChange=${setHover} />
    </div>
    <${TagFilter} tags=${found.tags} chosen=${asked.tags} onToggle=${(tag) => ask({ tags: toggled(asked.tags, tag) })} />
    ${asked.like && html`<p>The most similar to <strong>${asked.like.replace(/\.json$/, "")}</strong> first.
      <${Button} onClick=${() => ask({ like: "" })}>No more<//></p>`}
    ${gone && html`<p role="status">${gone.name} is in the trash. <${Button} onClick=${() => restore(gone.file)}>Undo<//></p>`}
    <div class="columns">
      <div>
        <p class="hint" role="status">${found.presets.length} of ${found.count}</p>
        <${PresetList} presets=${found.presets} chosen=${chosen?.file} previewer=${previewer} hover=${hover}
          format=${ways.find((one) => one.name === dragged)} onChoose=${setChosen} />
      </div>
      ${chosen
        ? html`<${Detail} api=${api} go=${go} say=${say} preset=${chosen} formats=${formats} slots=${shelves.slots}
            previewer=${previewer} onTrash=${remove} onLike=${({ file }) => ask({ like: file })} onSlot=${put}
            onChange=${(entry) => {
              setChosen({ ...chosen, ...entry });
              renew();
            }} />`
        : html`<p class="hint">Choose a preset to tag, export or keep it in a slot.</p>`}
    </div>
    <h3>Slots</h3>
    <p class="hint">${shelves.playing ? "Struck pads sound in the player." : "No player runs: pads sound here."}
      ${" "}Drag a preset onto a pad; Delete empties one.</p>
    <${Pads} slots=${shelves.slots} onStrike=${strike} onDrop=${put} onClear=${(slot) => change("DELETE", `/v1/slots/${slot}`)} />
    <${Trash} files=${shelves.trash} onRestore=${restore} />`;
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
