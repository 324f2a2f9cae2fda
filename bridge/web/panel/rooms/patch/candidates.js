/** Patches to choose from: of a search, near another one, on the way between two. */

import { html } from "../../vendor/preact-htm.js";
import { Button } from "../../ui.js";
import { playOnce } from "./player.js";

/**
 * `patches`: as of `patchesOf`
 * `onTake`: called with one and its preset and sound
 */
export function Candidates(/** @type {import("../../api.js").Props} */ { api, say, title, patches, onTake, onClose }) {
  const fail = (error) => say(error.reason ?? error.message, "error");
  const play = (one) => api.audio(one.wavUrl).then(playOnce).catch(fail);
  const take = async (one) => {
    try {
      const [preset, buffer] = await Promise.all([api.get(one.presetUrl), api.audio(one.wavUrl)]);
      onTake({ ...one, preset, buffer });
    } catch (error) {
      fail(error);
    }
  };
  return html`
    <section class="card" aria-label=${title}>
      <div class="row"><h3>${title}</h3>
        ${onClose && html`<${Button} kind="plain" onClick=${onClose}>Close<//>`}</div>
      <ol class="bests">
        ${patches.map((one) => html`
          <li key=${one.presetUrl}>
            <span>${one.number}${one.rating === null ? "" : `: ${Math.round(one.rating)} of 100`}${one.verdict && `, ${one.verdict}`}</span>
            <${Button} label=${`Play ${one.number}`} onClick=${() => play(one)}>Play<//>
            <${Button} label=${`${one.number} to the keyboard`} onClick=${() => take(one)}>To the keyboard<//>
          </li>`)}
      </ol>
    </section>`;
}
