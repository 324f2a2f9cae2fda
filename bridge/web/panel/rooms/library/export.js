/** A preset as a file of another synth: what is written, what was lost, how near it sounds. */

import { html, useEffect, useState } from "../../vendor/preact-htm.js";
import { Button, Choice, Progress } from "../../ui.js";
import { useJob } from "../stems/job.js";

/** `formats`: those that can carry the preset */
export function Export(/** @type {import("../../api.js").Props} */ { api, say, preset, formats }) {
  const [format, setFormat] = useState("");
  const [made, setMade] = useState(null);
  const job = useJob(api, say, { key: "export", done: (event) => setMade(event) });
  useEffect(() => setMade(null), [preset.file]);
  const chosen = formats.find((one) => one.name === format) ?? formats[0];
  if (!chosen) return null;
  const start = () => {
    setMade(null);
    job.start({ kind: "export", preset: `library:${preset.file}`, formats: [chosen.name] });
  };
  return html`
    <div class="add">
      <${Choice} label="Export as" value=${chosen.name} onChange=${setFormat}
        options=${formats.map((one) => ({ value: one.name, label: one.text ?? one.name }))} />
      <${Button} onClick=${start} disabled=${job.run !== null}>Export<//>
    </div>
    ${job.run && html`
      <${Progress} fraction=${job.run.fraction} seconds=${job.run.eta} label="The export" />`}
    ${made && html`<${Exported} made=${made} />`}`;
}

function Exported({ made }) {
  const { lost = [], fidelity_db: fidelity, engine, unchecked } = made.result;
  const many = made.files.length > 1;
  const href = many ? `/v1/jobs/${made.id}/zip` : made.files[0].url;
  return html`
    <div class="exported" role="status">
      <a class="button" download href=${href}>
        ${many ? `Download ${made.files.length} files (ZIP)` : `Download ${made.files[0].name}`}</a>
      ${fidelity !== null && fidelity !== undefined
        ? html`<p>Played by ${engine} it is ${fidelity.toFixed(1)} dB from our sound.</p>`
        : html`<p class="hint">Not compared with its synth: ${unchecked}</p>`}
      ${lost.length > 0 && html`<p>What the format cannot carry:</p>
        <ul>${lost.map((sentence) => html`<li>${sentence}</li>`)}</ul>`}
    </div>`;
}
