/** The room Stems: a recording taken apart, stems generated, and the mixer that plays them. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { Elsewhere, isLost } from "../going_on.js";
import { Button, Choice, Progress, Tabs } from "../ui.js";
import { Absent, Accompany, SendToHost } from "./stems/actions.js";
import { Ask, FIRST_CHOICE, isComplete } from "./stems/ask.js";
import { againBody, excerptOf, forcedBody, isNotHeard, separateBody, withPrompt } from "./stems/bodies.js";
import { Clips, Generate, clipsOf } from "./stems/generate.js";
import { useJob } from "./stems/job.js";
import { MixerView } from "./stems/mixer_view.js";
import { loadSet, manifestsOf } from "./stems/set.js";
import { SourcePicker, SourceView } from "./stems/source.js";
import { Suggestions } from "./stems/suggestions.js";

const WAYS = [
  { id: "separate", label: "Take apart" },
  { id: "generate", label: "Generate" },
  { id: "earlier", label: "Earlier sets" },
];

/** @param {{api: import("../api.js").api, go: Function, say: Function, rest: string}} props */
export default function Room(/** @type {import("../api.js").Props} */ { api, go, say, active = true, rest = "" }) {
  const [way, setWay] = useState("separate");
  const [result, setResult] = useState(null); // {id, set}, {id, clips} or {loading}
  const newest = useRef(""); // the job to be shown: what was asked for before comes too late
  const show = async (id) => {
    newest.current = id;
    const set = (value) => newest.current === id && setResult(value);
    set({ loading: 0 });
    try {
      set({ id, ...(await resultOf(api, id, (loading) => set({ loading }))) });
    } catch (error) {
      set(null);
      say(error.reason ?? `the sounds could not be read: ${error.message}`, "error");
    }
  };
  const opened = /^job\/(j[0-9a-f]+)$/.exec(rest)?.[1];
  const done = ({ id }) => {
    if (active) return go(`#/stems/job/${id}`);
    say("The stems are ready, in the room Stems.");
    return show(id);
  };
  const job = useJob(api, say, { key: "job", done });
  useEffect(() => {
    if (opened && opened !== result?.id) show(opened);
  }, [opened]);
  const busy = job.run !== null;
  /** Another set of the same job. */
  const choose = (name) =>
    oneSet(api, result.id, name).then(
      (one) => newest.current === result.id && setResult({ ...result, ...one }),
      (error) => say(error.reason ?? error.message, "error"),
    );
  return html`
    <link rel="stylesheet" href="rooms/stems/stems.css" />
    <h2>Stems</h2>
    <${Tabs} label="What to do" tabs=${WAYS} selected=${way} onSelect=${setWay} />
    <div hidden=${way !== "separate"}><${TakeApart} api=${api} say=${say} job=${job} /></div>
    <div hidden=${way !== "generate"}><${Generate} busy=${busy} onAsk=${job.start} /></div>
    ${way === "earlier" && html`<${Earlier} api=${api} go=${go} say=${say} />`}
    ${busy && html`
      <div class="running">
        <p role="status">${job.run.stage}</p>
        <${Progress} fraction=${job.run.fraction} seconds=${job.run.eta} label="The job" />
        <${Button} kind="danger" onClick=${job.cancel}>Cancel<//>
      </div>`}
    ${isLost(job.failure) && html`
      <div class="absent" role="alert"><p>${job.failure.reason}</p>
        <${Button} kind="main" onClick=${job.goOn}>Go on with it<//></div>`}
    <${Elsewhere} api=${api} say=${say} kinds=${KINDS} own=${[job.id]} active=${active}
      titleOf=${describe} onFollow=${job.take} />
    ${result?.loading !== undefined && html`
      <${Progress} fraction=${result.loading} label="Loading the stems" />`}
    ${result?.clips && html`<${Clips} api=${api} clips=${result.clips} />`}
    ${result?.set && html`<${Result} api=${api} say=${say} result=${result} job=${job} active=${active}
      onSet=${choose} />`}`;
}

async function oneSet(/** @type {import("../api.js").Api} */ api, id, name, onFraction) {
  return { set: await loadSet(api, id, name, onFraction), name };
}

/** What a job that is done made: a stem set (the first of several), or single sounds. */
async function resultOf(/** @type {import("../api.js").Api} */ api, id, onFraction) {
  const job = await api.get(`/v1/jobs/${encodeURIComponent(id)}`);
  const names = manifestsOf(job.files);
  if (!names.length && job.result?.clips) return { clips: clipsOf(id, job.result) };
  if (!names.length) throw new Error(`job ${id} has no stems (any more)`);
  return { job, names, ...(await oneSet(api, id, names[0], onFraction)) };
}

function TakeApart(/** @type {import("../api.js").Props} */ { api, say, job }) {
  const [source, setSource] = useState(null);
  const [region, setRegion] = useState(null);
  const [found, setFound] = useState(null);
  const [choice, setChoice] = useState(FIRST_CHOICE);
  const change = (fields) => setChoice((known) => ({ ...known, ...fields }));
  const suggesting = useJob(api, say, {
    key: "suggest",
    done: (event) => setFound(event.result),
  });
  const take = (chosen) => {
    setSource(chosen);
    setRegion(null);
    setFound(null);
  };
  const toggle = (prompt) => {
    const without = choice.prompts.filter((other) => other !== prompt);
    const taken = without.length < choice.prompts.length;
    change({ byClasses: false, prompts: taken ? without : withPrompt(choice.prompts, prompt) });
  };
  const start = (part) => job.start(separateBody(source.ref, choice, part));
  const ready = isComplete(choice) && job.run === null;
  const refused = isNotHeard(job.failure) ? job.failure : null;
  return html`
    <${SourcePicker} api=${api} say=${say} onSource=${take} />
    ${source && html`
      <${SourceView} source=${source} region=${region}
        onRegion=${(dragged) => setRegion(excerptOf(dragged))} />
      <${Suggestions} suggesting=${suggesting} found=${found} prompts=${choice.prompts} onToggle=${toggle}
        onAsk=${() => suggesting.start({ kind: "suggest", file: source.ref, top: 12 })} />
      <${Ask} choice=${choice} onChoice=${change} />
      <div class="start">
        ${region && html`<${Button} kind="main" disabled=${!ready} onClick=${() => start(region)}>
          Separate the excerpt<//>`}
        <${Button} kind=${region ? "normal" : "main"} disabled=${!ready} onClick=${() => start(null)}>
          Separate the whole<//>
      </div>`}
    ${refused && html`
      <div class="absent" role="alert"><p>${refused.reason}</p>
        <${Button} onClick=${() => job.start(forcedBody(refused.body))}>Force it<//></div>`}`;
}

function Result(/** @type {import("../api.js").Props} */ { api, say, result, job, active, onSet }) {
  const { set, names, name } = result;
  const asked = result.job.job;
  const force = (absent) => job.start(forcedBody(againBody(asked), absent));
  return html`
    <section class="result" aria-label="Mixer">
      <h3>${set.manifest.words || set.manifest.source}</h3>
      ${names.length > 1 && html`<${Choice} label="Set" value=${name} options=${names} onChange=${onSet} />`}
      <${MixerView} set=${set} active=${active} />
      <${Absent} set=${set} onForce=${force} busy=${job.run !== null} />
      <div class="outputs">
        <a class="button" href=${`/v1/jobs/${set.id}/zip`} download>Download all (ZIP)</a>
        <${SendToHost} api=${api} say=${say} set=${set} />
      </div>
      <${Accompany} api=${api} say=${say} set=${set} busy=${job.run !== null} onAsk=${job.start} />
    </section>`;
}

function Earlier(/** @type {import("../api.js").Props} */ { api, go, say }) {
  const [jobs, setJobs] = useState(null);
  useEffect(() => {
    api.get("/v1/jobs?state=done&limit=200").then(
      ({ jobs: list }) => setJobs(list.filter(hasSound)),
      (error) => say(error.reason, "error"),
    );
  }, []);
  if (jobs === null) return null;
  if (!jobs.length) return html`<p class="hint">No stems were made yet.</p>`;
  return html`
    <ul class="earlier" aria-label="Earlier sets">
      ${jobs.map((job) => html`
        <li key=${job.id}><${Button} onClick=${() => go(`#/stems/job/${job.id}`)}>${titleOf(job)}<//></li>`)}
    </ul>`;
}

const KINDS = ["separate", "accompany", "generate"];
const hasSound = (job) => KINDS.includes(job.kind) && job.files.length > 0;

/** What a job makes, in words. */
function describe({ kind, job }) {
  const named = job.stems?.length ? job.stems : job.prompts ?? [job.prompt, ...(job.add ?? [])];
  const file = job.file ? ` of ${job.file.split(/[\\/]/).at(-1)}` : "";
  return `${kind}${file}: ${named.filter(Boolean).join(", ")}`;
}

function titleOf(entry) {
  return `${describe(entry)} (${new Date(1000 * entry.ended).toLocaleString()})`;
}
