/** Jobs and health: what waits, runs and has ended, and how the server is. */

import { html } from "../vendor/preact-htm.js";
import { History, Queue } from "./jobs/lists.js";
import { usePolled } from "../polled.js";
import { Doctor, Log, Server } from "./jobs/server.js";

const LISTED = 100;

/** @param {{api: import("../api.js").api, say: Function, active: boolean}} props */
export default function Room(/** @type {import("../api.js").Props} */ { api, say, active }) {
  /** @type {[import("../api-types").JobList | null, () => void]} */
  const [told, refresh] = usePolled(api, `/v1/jobs?limit=${LISTED}`, 1500, active);
  const jobs = told?.jobs ?? [];
  const live = jobs.filter(({ state }) => state === "queued" || state === "running");
  const ask = (work) => work.then(refresh, (error) => say(error.reason, "error"));
  return html`
    <h2>Jobs and health</h2>
    <div class="columns">
      <div>
        <${Queue} jobs=${live.reverse()} onCancel=${({ id }) => ask(api.cancel(id))} />
        <${History} jobs=${jobs.filter(({ ended }) => ended)}
          onAgain=${({ id }) => ask(api.send("POST", `/v1/jobs/${id}/again`))} />
      </div>
      <div>
        <${Server} api=${api} active=${active} />
        <${Doctor} api=${api} active=${active} say=${say} />
        <${Log} api=${api} active=${active} />
      </div>
    </div>`;
}
