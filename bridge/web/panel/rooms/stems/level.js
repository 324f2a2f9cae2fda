/** How loud something is, as a meter and in dB. */

import { html } from "../../vendor/preact-htm.js";
import { decibels } from "./levels.js";

const FLOOR = -60; // dB: the left end of the meter

export function Level({ db }) {
  return html`<span class="level">
    <meter min=${FLOOR} max="0" value=${Math.max(FLOOR, db)} data-db=${db} aria-label="Level"></meter>
    <small>${decibels(db)}</small></span>`;
}
