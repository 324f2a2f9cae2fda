/** The queue and the history of jobs. */

import { html } from "../../vendor/preact-htm.js";
import { Button, Progress } from "../../ui.js";
import { about, bytes, clock, kindOf, roomOf, secondsLeft, took } from "./text.js";

/** Jobs that wait or run. */
export function Queue({ jobs, onCancel }) {
  return html`
    <section class="card" aria-labelledby="queue">
      <h3 id="queue">Queue</h3>
      ${!jobs.length && html`<p class="quiet">Nothing waits or runs.</p>`}
      <ul class="jobs">
        ${jobs.map((entry) => html`
          <li key=${entry.id}>
            <p><strong>${kindOf(entry.kind)}</strong> ${about(entry.job)}</p>
            ${entry.state === "queued"
              ? html`<p class="quiet">waits; ${entry.ahead ?? 0} before it</p>`
              : html`<${Progress} fraction=${entry.fraction} label=${`${kindOf(entry.kind)} ${about(entry.job)}`}
                  seconds=${secondsLeft(entry, Date.now() / 1000)} />
                <p class="quiet">${entry.stage}</p>`}
            <${Button} kind="danger" onClick=${() => onCancel(entry)}
              label=${`Cancel ${kindOf(entry.kind)} ${about(entry.job)}`}>Cancel<//>
          </li>`)}
      </ul>
    </section>`;
}

/** Jobs that have ended, newest first. */
export function History({ jobs, onAgain }) {
  return html`
    <section class="card" aria-labelledby="history">
      <h3 id="history">History</h3>
      ${!jobs.length && html`<p class="quiet">No job has ended yet.</p>`}
      ${jobs.length > 0 && html`
        <div class="scroll tall" tabindex="0" role="region" aria-labelledby="history">
          <table>
            <thead><tr><th>Job</th><th class="wide">Ended</th><th class="wide">Took</th><th>How</th><th>Files</th><th>Do</th></tr></thead>
            <tbody>${jobs.map((entry) => html`<${Row} key=${entry.id} entry=${entry} onAgain=${onAgain} />`)}</tbody>
          </table>
        </div>`}
    </section>`;
}

const HOW = { done: "good", cancelled: "quiet" };

function Row({ entry, onAgain }) {
  const name = `${kindOf(entry.kind)} ${about(entry.job)}`;
  return html`
    <tr>
      <td class="about"><strong>${kindOf(entry.kind)}</strong> ${about(entry.job)}</td>
      <td class="wide time">${clock(entry.ended)}</td>
      <td class="wide time">${took(entry)}</td>
      <td class=${HOW[entry.state] ?? "error"}>${entry.state}
        ${entry.reason && html`<small>${entry.reason}</small>`}</td>
      <td><${Files} files=${entry.files} name=${name} /></td>
      <td><div class="row">
        ${roomOf(entry) && html`<a href=${roomOf(entry)} aria-label=${`Open: ${name}`}>Open</a>`}
        ${entry.kind !== "record" && html`
          <${Button} onClick=${() => onAgain(entry)} label=${`Again: ${name}`}>Again<//>`}
      </div></td>
    </tr>`;
}

function Files({ files, name }) {
  if (!files.length) return null;
  return html`
    <details>
      <summary>${files.length}<span class="hidden-text"> files of ${name}</span></summary>
      <ul class="files">${files.map((file) => html`
        <li><a href=${file.url} download>${file.name}</a> <small>${bytes(file.bytes)}</small></li>`)}</ul>
    </details>`;
}
