/** A knob a parameter: turned by mouse, wheel, touch or arrow keys, or typed as a number. */

import { html, useEffect, useRef, useState } from "../../vendor/preact-htm.js";
import { formatNumber, parseNumber, wrongNumber } from "../../numbers.js";
import { groups, positionOf, title, valueAt, words } from "./preset.js";

const TRAVEL = 180; // pixels from one end to the other
const SWEEP = 270; // degrees
const STEPS = { ArrowUp: 0.01, ArrowRight: 0.01, ArrowDown: -0.01, ArrowLeft: -0.01,
  PageUp: 0.1, PageDown: -0.1 };

/** `onChange`: called with the value at each movement */
export function Knob({ param, value, label = title(param.name), group = "", onChange }) {
  const held = useRef(null);
  const dial = useRef(null);
  const place = positionOf(param, value);
  const turned = useRef(place);
  turned.current = place;
  const move = (position) => onChange(valueAt(param, position));
  const press = (event) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    event.currentTarget.focus();
    held.current = { y: event.clientY, place };
  };
  const drag = (event) => {
    if (!held.current) return;
    const fine = event.shiftKey ? 10 : 1;
    move(held.current.place + (held.current.y - event.clientY) / (TRAVEL * fine));
  };
  const key = (event) => {
    const step = STEPS[event.key];
    const end = { Home: 0, End: 1 }[event.key];
    if (step === undefined && end === undefined) return;
    event.preventDefault();
    move(end ?? place + step / (event.shiftKey ? 10 : 1));
  };
  useEffect(() => {
    const turn = (event) => {
      if (document.activeElement !== dial.current) return;
      event.preventDefault();
      move(turned.current - Math.sign(event.deltaY) * 0.01);
    };
    dial.current.addEventListener("wheel", turn, { passive: false });
    const node = dial.current;
    return () => node.removeEventListener("wheel", turn);
  });
  const named = group ? `${group}, ${label}` : label;
  return html`
    <div class="knob">
      <div ref=${dial} class="dial" role="slider" tabindex="0" aria-label=${named}
        aria-valuemin=${param.low} aria-valuemax=${param.high} aria-valuenow=${value}
        aria-valuetext=${words(param, value)}
        onPointerDown=${press} onPointerMove=${drag} onKeyDown=${key}
        onPointerUp=${() => { held.current = null; }}
        onPointerCancel=${() => { held.current = null; }}>
        <svg viewBox="0 0 40 40" width="40" height="40" aria-hidden="true">
          <circle cx="20" cy="20" r="16" class="dial-face" />
          <line x1="20" y1="20" x2="20" y2="6" class="dial-hand"
            transform=${`rotate(${SWEEP * (place - 0.5)} 20 20)`} />
        </svg>
      </div>
      <span class="knob-name" aria-hidden="true">${label}</span>
      <${Typed} param=${param} value=${value} label=${named} onChange=${onChange} />
    </div>`;
}

/** The value as words; a click makes it a field that takes a number, with a point or a comma. */
function Typed({ param, value, label, onChange }) {
  const [text, setText] = useState(null);
  const field = useRef(null);
  useEffect(() => {
    if (text !== null && document.activeElement !== field.current) field.current?.select();
  }, [text === null]);
  if (text === null) {
    return html`<button type="button" class="plain knob-value"
      aria-label=${`${label}: ${words(param, value)}, type a value`}
      onClick=${() => setText(formatNumber(value))}>${words(param, value)}</button>`;
  }
  const wrong = wrongNumber(text, param.low, param.high);
  const take = () => {
    if (!wrong && text !== formatNumber(value)) onChange(parseNumber(text));
    setText(null);
  };
  return html`
    <input ref=${field} type="text" inputmode="decimal" class="knob-value" value=${text}
      aria-label=${`${label} in ${param.unit || "units"}, ${param.low} to ${param.high}`}
      aria-invalid=${wrong ? "true" : undefined} title=${wrong}
      onInput=${(event) => setText(event.currentTarget.value)} onBlur=${take}
      onKeyDown=${(event) => {
        if (event.key === "Enter") take();
        if (event.key === "Escape") setText(null);
      }} />`;
}

/**
 * All knobs of a preset and of its effects, a group at a time: an impact patch has hundreds.
 * `table`: what POST /v1/knobs answered
 * `onValue`: (name, value); `onSetting`: (index, name, value)
 */
export function Knobs({ preset, table, onValue, onSetting }) {
  return html`
    ${groups(table.params).map(({ group, params }, i) => html`
      <${Group} key=${group} name=${group} open=${i === 0}>
        ${() => params.map((param) => html`
          <${Knob} key=${param.name} param=${param} group=${group} value=${preset.values[param.name]}
            onChange=${(value) => onValue(param.name, value)} />`)}
      <//>`)}
    ${preset.effects.map((effect, index) => {
      const params = (table.effects[effect.kind] ?? []).filter(({ name }) => name in effect.values);
      const name = `Effect ${index + 1}: ${effect.kind}`;
      return params.length > 0 && html`
        <${Group} key=${name} name=${name}>
          ${() => params.map((param) => html`
            <${Knob} key=${param.name} param=${param} group=${name} value=${effect.values[param.name]}
              onChange=${(value) => onSetting(index, param.name, value)} />`)}
        <//>`;
    })}`;
}

function Group({ name, open = false, children }) {
  const [shown, setShown] = useState(open);
  return html`
    <details open=${shown} onToggle=${(event) => setShown(event.currentTarget.open)}>
      <summary>${name}</summary>
      ${shown && html`<div class="knobs" role="group" aria-label=${name}>${children()}</div>`}
    </details>`;
}
