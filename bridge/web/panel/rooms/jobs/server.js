/** How the server is: processes, models, player; what doctor says; its log. */

import { html, useEffect, useRef } from "../../vendor/preact-htm.js";
import { Button } from "../../ui.js";
import { duration } from "../../numbers.js";
import { usePolled } from "../../polled.js";
import { bytes, clock } from "./text.js";

/** Processes with their memory, models on disk, the player. */
export function Server(/** @type {import("../../api.js").Props} */ { api, active }) {
  /** @type {[import("../../api-types").Health | null, Function]} */
  const [health] = usePolled(api, "/v1/health", 5000, active);
  const signOut = async () => {
    await api.send("DELETE", "/v1/panel/session");
    location.reload();
  };
  return html`
    <section class="card" aria-labelledby="server">
      <h3 id="server">This server</h3>
      ${health && html`
        <dl>
          <dt>Scorewire</dt><dd>${health.version}, ${health.state}, up for ${duration(health.seconds)}</dd>
          <dt>Data</dt><dd>${health.data}</dd>
          <dt>Model of jobs</dt><dd>${health.model}</dd>
          <dt>Models here</dt>
          <dd>${health.models.map(({ name, bytes: size }) => `${name} (${bytes(size)})`).join(", ") || "none"}</dd>
          <dt>Memory</dt>
          <dd>${health.processes.map(({ name, bytes: size }) => `${name} ${bytes(size)}`).join(", ")
            || "this system does not say"}</dd>
          ${health.cluster && html`<dt>Cluster</dt><dd>${cluster(health.cluster)}</dd>`}
          <dt>Player</dt><dd><${Player} player=${health.player} /></dd>
        </dl>
        <${Button} onClick=${signOut}>Sign this browser out<//>`}
    </section>`;
}

/** The machines on which jobs run. */
function cluster(/** @type {import("../../api-types").Cluster} */ { machines, workers, waiting, problem }) {
  return `${machines} machines, ${workers} workers, ${waiting} waiting${problem ? `; ${problem}` : ""}`;
}

function Player({ player }) {
  if (!player) return html`none: <code>scorewire serve --play</code> starts one`;
  const { device, reason, slots } = player;
  const filled = `${Object.keys(slots).length} of 128 slots filled`;
  if (!device) return `${reason || "its device is being opened"}; ${filled}`;
  const midi = device.output === "jack" ? `${device.name}:midi_in` : device.name;
  return `${device.output} (${device.name}), ${device.rate} Hz, ${device.frames} frames a block; ` +
    `${device.output === "offline" ? "no MIDI input" : `MIDI input ${midi}`}; ${filled}`;
}

const MARKS = { ok: "good", absent: "quiet", missing: "error" };

/** The examination of `scorewire doctor`, begun by a button. */
export function Doctor(/** @type {import("../../api.js").Props} */ { api, active, say }) {
  /** @type {[import("../../api-types").Examined | null, () => void]} */
  const [state, refresh] = usePolled(api, "/v1/doctor", 2000, active);
  const begin = () => api.send("POST", "/v1/doctor").then(refresh, (error) => say(error.reason, "error"));
  const checks = state?.report?.checks ?? [];
  return html`
    <section class="card" aria-labelledby="doctor">
      <h3 id="doctor">Doctor</h3>
      <div class="row">
        <${Button} onClick=${begin} disabled=${!state || state.running}>Examine now<//>
        <span role="status">${state?.running ? "Trying a kernel, a player and the model ..."
          : state?.ended ? `Examined ${clock(state.ended)}.` : "Not examined since the server started."}</span>
      </div>
      ${checks.length > 0 && html`
        <div class="scroll"><table>
          <thead><tr><th>State</th><th>What</th><th>What was seen</th></tr></thead>
          <tbody>${checks.map((check) => {
            const mark = check.ok ? "ok" : check.optional ? "absent" : "missing";
            return html`<tr key=${check.name}><td class=${MARKS[mark]}>${mark}</td><td>${check.name}</td>
              <td>${check.text}${check.fix && html`<small>${check.fix}</small>`}</td></tr>`;
          })}</tbody>
        </table></div>`}
    </section>`;
}

/** The newest lines of the server's log, the newest below. */
export function Log(/** @type {import("../../api.js").Props} */ { api, active }) {
  /** @type {[import("../../api-types").Log | null, Function]} */
  const [log] = usePolled(api, "/v1/log", 3000, active);
  const box = useRef(null);
  const lines = log?.lines ?? [];
  const newest = lines[lines.length - 1]?.number;
  useEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [newest]);
  return html`
    <section class="card" aria-labelledby="log">
      <h3 id="log">Log</h3>
      ${log && !lines.length && html`<p class="quiet">Nothing was logged yet.</p>`}
      ${lines.length > 0 && html`
        <pre class="log" ref=${box} tabindex="0" role="region" aria-labelledby="log">${lines
          .map(({ time, level, text }) => `${clock(time)} ${level} ${text}`).join("\n")}</pre>`}
    </section>`;
}
