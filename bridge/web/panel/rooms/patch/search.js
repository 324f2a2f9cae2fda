/** A search as it runs: its events into state, and what of it is seen and heard. */

import { html, useEffect, useRef, useState } from "../../vendor/preact-htm.js";
import { again, isLost } from "../../going_on.js";
import { Button, Progress, Spectrogram } from "../../ui.js";
import { Curves, rowOf, rowsOf } from "./curves.js";
import { patchesOf } from "./jobs.js";
import { playOnce } from "./player.js";
import { fileOf, newestOnly } from "./sound.js";

const KEPT = "scorewire.search"; // what this tab follows, so that a reload loses nothing
const EMPTY = { state: "none", id: "", prompt: "", fraction: 0, eta: null, stage: "", rows: [],
  bests: [], start: null, patches: [], note: 60, lost: false };

/**
 * The search that this tab follows: the one that it asked for, else one that runs.
 * @returns {{search: object, begin: (body: object) => Promise<void>, cancel: () => void,
 *   goOn: () => Promise<void>, take: (entry: import("../../api.js").JobEntry) => void}} `goOn` asks
 *   again for a search that was lost, `take` follows one that was asked for elsewhere
 */
export function useSearch(/** @type {import("../../api.js").Api} */ api, say, onDone) {
  const [search, setSearch] = useState(EMPTY);
  const close = useRef(() => {});
  const followed = useRef("");
  const put = (id, change) =>
    setSearch((now) => (followed.current === id ? { ...now, ...change(now) } : now));
  const fail = (error) => say(error.reason ?? error.message, "error");

  const follow = (id, prompt, ended = false) => {
    close.current();
    followed.current = id;
    sessionStorage.setItem(KEPT, id);
    setSearch({ ...EMPTY, state: "waiting", id, prompt });
    const fetchBest = newestOnly((event) => best(api, id, event, put).catch((error) => {
      if (error.code !== "no-file") fail(error); // a preview goes when its search ends
    }));
    close.current = api.events(id, (event) => {
      if (event.kind === "progress") put(id, (now) => progressed(now, event));
      if (event.kind === "best" && !ended) fetchBest(event);
      if (event.kind === "failed" || event.kind === "cancelled") {
        const reason = event.kind === "failed" ? event.reason : "";
        const lost = event.kind === "failed" && isLost(event);
        put(id, () => ({ state: event.kind, eta: null, stage: reason || "cancelled", lost }));
        sessionStorage.removeItem(KEPT);
        if (reason) say(reason, "error");
      }
      if (event.kind === "done") {
        finished(api, id, event, put).then(onDone).catch(fail);
      }
    });
  };
  const begin = async (body) => {
    try {
      const { id } = await api.job(body);
      follow(id, body.prompt);
    } catch (error) {
      fail(error);
    }
  };
  const cancel = () => api.cancel(search.id).catch(fail);
  const goOn = () => again(api, search.id).then((id) => follow(id, search.prompt), fail);
  const take = (entry) => follow(entry.id, entry.job.prompt);
  useEffect(() => {
    resumed(api).then((known) => {
      if (!known || followed.current) return;
      follow(known.id, known.job.prompt, !["queued", "running"].includes(known.state));
    }).catch(fail);
    return () => close.current();
  }, []);
  return { search, begin, cancel, goOn, take };
}

/** The search to go on with: that of this tab, else the newest that runs. */
async function resumed(/** @type {import("../../api.js").Api} */ api) {
  const id = sessionStorage.getItem(KEPT);
  if (id) return api.get(`/v1/jobs/${id}`).catch(() => null);
  const { jobs } = await api.get("/v1/jobs?state=running");
  return jobs.find((one) => one.job.kind === "patch") ?? null;
}

/** The state after a `progress` event. */
export function progressed(now, event) {
  const rows = [...now.rows, rowOf(event, now.rows.at(-1))];
  const { fraction, stage, eta } = event;
  return { state: "running", fraction, stage, eta, rows };
}

async function best(/** @type {import("../../api.js").Api} */ api, id, { step, score, rating }, put) {
  const [preset, buffer] = await Promise.all([
    api.get(api.fileUrl(id, "best.json")), api.audio(api.fileUrl(id, "best.wav")),
  ]);
  put(id, ({ bests }) => ({
    bests: [...bests.filter((one) => one.step !== step), { step, score, rating, preset, buffer }],
  }));
  const began = await api.audio(api.fileUrl(id, "initial.wav"));
  put(id, ({ start }) => ({ start: start ?? began }));
}

async function finished(/** @type {import("../../api.js").Api} */ api, id, event, put) {
  const { result, files } = event;
  const named = (path) => fileOf(files, path)?.url;
  const [start, buffer, curves] = await Promise.all([
    api.audio(named(result.initial_wav)), api.audio(named(result.wav)), api.get(named(result.curves)),
  ]);
  const patches = patchesOf(event).map((one) => ({ ...one, job: id }));
  put(id, ({ rows }) => ({
    state: "done", fraction: 1, eta: null, stage: "done", start, patches,
    found: buffer, rows: rows.length > 1 ? rows : rowsOf(curves),
  }));
  return { patches, start };
}

/** `onTake`: called with a best: its preset and sound go to the keyboard */
export function Search({ search, onCancel, onGoOn, onTake }) {
  const live = ["waiting", "running"].includes(search.state);
  const newest = search.bests.at(-1);
  const heard = search.found ?? newest?.buffer;
  return html`
    <section class="card" aria-labelledby="search-title">
      <h3 id="search-title">Search: ${search.prompt}</h3>
      <${Progress} fraction=${search.fraction} seconds=${live ? search.eta : null}
        label="How far the search is" />
      <div class="row">
        <span role="status">${search.stage || "waiting for its turn"}</span>
        ${live && html`<${Button} kind="danger" onClick=${onCancel}>Cancel<//>`}
        ${search.lost && html`<${Button} kind="main" onClick=${onGoOn}>Search again<//>`}
      </div>
      <${Curves} rows=${search.rows} live=${live} />
      <div class="columns">
        <${Heard} label="What it began with" buffer=${search.start} />
        <${Heard} label=${search.found ? "What was found" : "Best so far"} buffer=${heard} />
      </div>
      ${search.bests.length > 0 && html`
        <h4>Each best</h4>
        <ol class="bests">
          ${search.bests.map((one, i) => html`
            <li key=${one.step}>
              <span>${rated(one)}</span>
              <${Button} label=${`Play best ${i + 1}`} onClick=${() => playOnce(one.buffer)}>Play<//>
              <${Button} label=${`Best ${i + 1} to the keyboard`} onClick=${() => onTake(one)}>To the keyboard<//>
            </li>`)}
        </ol>`}
    </section>`;
}

/** How good a best is, in words: its rating where there is one. */
export function rated({ step, score, rating }) {
  const worth = rating === null || rating === undefined ? `score ${score.toFixed(3)}` : `${Math.round(rating)} of 100`;
  return `step ${step}: ${worth}`;
}

function Heard({ label, buffer }) {
  return html`
    <div>
      <div class="row"><span>${label}</span>
        <${Button} label=${`Play: ${label}`} disabled=${!buffer}
          onClick=${() => playOnce(buffer)}>Play<//></div>
      <${Spectrogram} buffer=${buffer} label=${label} />
    </div>`;
}
