/** Jobs that go on: those that another tab or program asked for, and those that were lost. */

import { html } from "./vendor/preact-htm.js";
import { usePolled } from "./polled.js";
import { Button, Progress } from "./ui.js";

const LOOK_MS = 3000;
const LIVE = ["queued", "running"];

/**
 * What waits or runs of a room's kinds and this tab does not follow: another one asked for it.
 * `own`: the ids that it does follow; `titleOf`: a job in words; `onFollow`: called with a job
 */
export function Elsewhere(/** @type {import("./api.js").Props} */ { api, kinds, own, titleOf, active, onFollow }) {
  /** @type {[import("./api-types").JobList | null, Function]} */
  const [told] = usePolled(api, "/v1/jobs?limit=20", LOOK_MS, active);
  const jobs = (told?.jobs ?? []).filter(({ id, kind, state }) =>
    LIVE.includes(state) && kinds.includes(kind) && !own.includes(id));
  if (!jobs.length) return null;
  return html`
    <ul class="jobs" aria-label="Also under way">
      ${jobs.map((entry) => html`
        <li key=${entry.id}>
          <p><span class="quiet">Also under way:</span> ${titleOf(entry)}</p>
          <div class="row">
            <${Progress} fraction=${entry.fraction} label=${titleOf(entry)} />
            <${Button} onClick=${() => onFollow(entry)} label=${`Follow: ${titleOf(entry)}`}>Follow<//>
          </div>
        </li>`)}
    </ul>`;
}

/** Whether a job ended because its server did: asked for again, it goes on where it can. */
export function isLost(failure) {
  return failure?.code === "interrupted";
}

/** Ask once more for a job that was lost. @param {string} id @returns {Promise<string>} the new id */
export async function again(/** @type {import("./api.js").Api} */ api, id) {
  return (await api.send("POST", `/v1/jobs/${id}/again`)).id;
}
