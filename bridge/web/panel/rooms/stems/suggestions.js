/** What is heard in the recording, as tags with their activity over time. */

import { html } from "../../vendor/preact-htm.js";
import { Button, Progress } from "../../ui.js";
import { bars } from "./bodies.js";

const HEIGHT = 18;
const LEAST = 10; // bars that there is room for: those of a short recording are no blocks

/** A bar a second (of long recordings fewer), as high as the sound is likely. */
export function Activity({ values, label }) {
  const heights = bars(values);
  return html`
    <svg class="activity" viewBox=${`0 0 ${Math.max(LEAST, heights.length)} ${HEIGHT}`} role="img"
      preserveAspectRatio="none" aria-label=${`${label}: activity over time`}>
      ${heights.map((value, i) => html`
        <rect x=${i + 0.1} width="0.8" y=${HEIGHT * (1 - value)} height=${HEIGHT * value} />`)}
    </svg>`;
}

/** A tag for each suggestion; pressed, it is a prompt. */
export function Suggestions({ suggesting, found, prompts, onAsk, onToggle }) {
  const { run } = suggesting;
  return html`
    <div class="suggestions">
      <${Button} onClick=${onAsk} disabled=${run !== null}>What is in there?<//>
      ${run && html`<${Progress} fraction=${run.fraction} seconds=${run.eta} label="Listening" />`}
      ${found && html`
        ${found.unsure && html`<p class="hint">Nothing is heard for sure: these are guesses.</p>`}
        <ul class="tags" aria-label="What is heard">
          ${found.suggestions.map((sound) => html`
            <li key=${sound.prompt}>
              <button type="button" class="tag" aria-pressed=${prompts.includes(sound.prompt) ? "true" : "false"}
                onClick=${() => onToggle(sound.prompt)}>
                <span>${sound.prompt}</span>
                <${Activity} values=${sound.activity ?? []} label=${sound.prompt} />
                <small>${sound.likelihood}, ${Math.round(100 * sound.score)} %</small>
              </button>
            </li>`)}
        </ul>`}
    </div>`;
}
