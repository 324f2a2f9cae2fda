/** The room Jobs. */

import { html } from "../vendor/preact-htm.js";

/** @param {{api: import("../api.js").api, go: Function, say: Function}} props */
export default function Room() {
  return html`<h2>Jobs</h2>`;
}
