/** How loss and match went, as lines that grow while a search runs. */

import { html } from "../../vendor/preact-htm.js";

const WIDTH = 300;
const HEIGHT = 80;

/**
 * The points of an SVG line through `key` of the rows that have it; "" of fewer than two.
 * @param {{x: number}[]} rows with x 0 .. 1 to the right @param {string} key
 */
export function line(rows, key, width = WIDTH, height = HEIGHT) {
  const known = rows.filter((row) => Number.isFinite(row[key]));
  if (known.length < 2) return "";
  const values = known.map((row) => row[key]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const span = high - low || 1;
  const y = (value) => height - 2 - ((value - low) / span) * (height - 4);
  return known.map((row) => `${(row.x * width).toFixed(1)},${y(row[key]).toFixed(1)}`).join(" ");
}

/**
 * The row of a `progress` event: how far, its loss, and the best match up to it.
 * @param {import("../../api-types").Progress} event
 */
export function rowOf({ fraction, figures = {} }, before) {
  const known = [before?.score, figures.score].filter(Number.isFinite);
  return { x: fraction, loss: figures.loss, score: known.length ? Math.max(...known) : undefined };
}

/** The rows of a finished search: curves.json, of which `t` and `stage` are not drawn. */
export function rowsOf(curves) {
  const most = Math.max(1, ...curves.step);
  return curves.step.map((step, i) => ({
    x: step / most, loss: curves.loss[i] ?? undefined, score: curves.score[i] ?? undefined,
  }));
}

/** `rows`: as of `rowOf`; `live`: whether more may come */
export function Curves({ rows, live }) {
  const none = live ? "not yet" : "none";
  return html`
    <div class="columns curves">
      <${Curve} rows=${rows} name="score" label="Match of the best so far" none=${none} />
      <${Curve} rows=${rows} name="loss" label="Loss of fit and distillation" none=${none} />
    </div>`;
}

function Curve({ rows, name, label, none }) {
  const last = rows.findLast((row) => Number.isFinite(row[name]))?.[name];
  const said = last === undefined ? none : last.toPrecision(3);
  return html`
    <figure>
      <figcaption>${label}: <output>${said}</output></figcaption>
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img"
        aria-label=${`${label} over the search, now ${said}`}>
        <polyline class=${`curve ${name}`} points=${line(rows, name)} />
      </svg>
    </figure>`;
}
