/** The 128 slots as pads: struck with a click or Enter, filled by a drop, emptied with Delete. */

import { html, useState } from "../../vendor/preact-htm.js";
import { DRAGGED, padsOf } from "./queries.js";

/** `onDrop`: called with slot and {file, name}; `onClear`: called with a slot */
export function Pads({ slots, onStrike, onDrop, onClear }) {
  const [over, setOver] = useState(0);
  const [here, setHere] = useState(1); // the one that Tab leads to; arrow keys lead to the others
  const drag = (event, number) => {
    if (!event.dataTransfer.types.includes(DRAGGED)) return;
    event.preventDefault();
    setOver(number);
  };
  const drop = (event, number) => {
    event.preventDefault();
    setOver(0);
    const text = event.dataTransfer.getData(DRAGGED);
    if (text) onDrop(number, JSON.parse(text));
  };
  const key = (event, pad) => {
    const pads = event.currentTarget.parentElement.children;
    const columns = getComputedStyle(event.currentTarget.parentElement).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (step) {
      event.preventDefault();
      pads[pad.number - 1 + step]?.focus();
    }
    if ((event.key === "Delete" || event.key === "Backspace") && pad.file) onClear(pad.number);
  };
  return html`
    <div class="pads" role="group" aria-label="Slots 1 to 128">
      ${padsOf(slots).map((pad) => html`
        <button type="button" key=${pad.number} aria-label=${labelOf(pad)}
          class=${`pad-slot${pad.file ? " filled" : ""}${over === pad.number ? " over" : ""}`}
          onDragOver=${(event) => drag(event, pad.number)} onDragLeave=${() => setOver(0)}
          onDrop=${(event) => drop(event, pad.number)} onKeyDown=${(event) => key(event, pad)}
          tabindex=${pad.number === here ? 0 : -1} onFocus=${() => setHere(pad.number)}
          onClick=${() => pad.file && onStrike(pad)}>
          <span>${pad.number}</span><small>${pad.name ?? ""}</small>
        </button>`)}
    </div>`;
}

function labelOf({ number, file, name }) {
  return file ? `Slot ${number}: ${name}` : `Slot ${number}: empty`;
}
