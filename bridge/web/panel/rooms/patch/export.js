/** Files for other synths: what was written, how near it sounds there, what was lost. */

import { html, useEffect, useState } from "../../vendor/preact-htm.js";
import { Button, Choice, Progress } from "../../ui.js";
import { refOf, useJob } from "./jobs.js";
import { fileOf } from "./sound.js";

/** How far a format is from our sound, in words: docs/patches.md says what the bounds mean. */
export function fidelity({ fidelity_db: far, rms, engine, unchecked }) {
  if (far === null || far === undefined) return `not measured: ${unchecked}`;
  const verdict = far >= 10 ? "another sound" : far <= 3 ? "near" : "similar";
  return `${verdict}: ${far.toFixed(2)} dB, rms ${(100 * rms).toPrecision(2)} %, in ${engine}`;
}

/** The entries of a result of `export`, with the addresses of their files. */
export function entriesOf({ result, files }) {
  return Object.entries(result.formats).map(([name, entry]) => ({
    name,
    ...entry,
    links: (entry.files ?? []).map((path) => fileOf(files, path)).filter(Boolean),
  }));
}

/** `preset`: as it is now */
export function ExportPanel(/** @type {import("../../api.js").Props} */ { api, say, preset }) {
  const { now, run, cancel } = useJob(api, say);
  const [formats, setFormats] = useState([]);
  const [chosen, setChosen] = useState("all");
  const [written, setWritten] = useState(null);
  useEffect(() => {
    api.get("/v1/formats").then((answer) => setFormats(answer.formats))
      .catch((error) => say(error.reason, "error"));
  }, []);
  const write = async () => {
    try {
      const done = await run({ kind: "export", preset: await refOf(api, preset), formats: [chosen] });
      if (done) setWritten(entriesOf(done));
    } catch (error) {
      say(error.reason ?? error.message, "error");
    }
  };
  const options = [{ value: "all", label: "all formats" },
    ...formats.filter(({ renderers }) => renderers.includes(preset.renderer))
      .map(({ name, text }) => ({ value: name, label: text }))];
  return html`
    <h4>Export</h4>
    <div class="row">
      <${Choice} label="Format" value=${chosen} options=${options} onChange=${setChosen} />
      <${Button} disabled=${!!now} onClick=${write}>Export<//>
    </div>
    ${now && html`<div class="row" role="status">
      <${Progress} fraction=${now.fraction} seconds=${now.eta} label="Export" />
      <span>${now.stage}</span>
      <${Button} kind="danger" disabled=${!now.id} onClick=${cancel}>Cancel<//></div>`}
    ${written && html`<${Written} entries=${written} />`}`;
}

function Written({ entries }) {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="What was exported">
      <table>
        <thead><tr><th scope="col">Format</th><th scope="col">Files</th>
          <th scope="col">Fidelity</th><th scope="col">Lost</th></tr></thead>
        <tbody>${entries.map((entry) => html`
          <tr key=${entry.name}>
            <th scope="row">${entry.title}</th>
            ${entry.refused
              ? html`<td colspan="3">Not written: ${entry.refused}</td>`
              : html`<td><${Files} links=${entry.links} /></td>
                <td>${fidelity(entry)}</td>
                <td>${entry.lost.length ? html`<ul>${entry.lost.map((what) => html`<li>${what}</li>`)}</ul>` : "nothing"}</td>`}
          </tr>`)}</tbody>
      </table>
    </div>`;
}

const SHOWN = 3;

function Files({ links }) {
  const [all, setAll] = useState(false);
  return html`
    ${links.slice(0, all ? links.length : SHOWN).map(({ name, url }) => html`
      <a key=${url} href=${url} download=${name.split("/").at(-1)}>${name}</a> `)}
    ${links.length > SHOWN && !all && html`
      <${Button} onClick=${() => setAll(true)}>${links.length - SHOWN} more<//>`}`;
}
