/** What was deleted, and the way back. */

import { html } from "../../vendor/preact-htm.js";
import { Button } from "../../ui.js";

/** `files`: names in the trash; `onRestore`: called with one */
export function Trash({ files, onRestore }) {
  return html`
    <details class="trash">
      <summary>Trash (${files.length})</summary>
      ${files.length === 0 && html`<p class="hint">Nothing was deleted.</p>`}
      <ul class="tags" aria-label="Trash">
        ${files.map((file) => html`
          <li key=${file} class="tag"><span>${file.replace(/\.json$/, "")}</span>
            <${Button} label=${`Bring back ${file.replace(/\.json$/, "")}`} onClick=${() => onRestore(file)}>
              Bring back<//></li>`)}
      </ul>
    </details>`;
}
