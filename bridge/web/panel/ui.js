/** What all rooms are made of: fields, buttons, progress, pictures of sounds, tabs, dialogs. */

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { duration, formatNumber, parseNumber, wrongNumber } from "./numbers.js";
import { HIGHEST_HZ, LOWEST_HZ, colour, levels, mono } from "./spectrogram.js";

let made = 0;

/** An id of this page's own, the same at every drawing of a component. */
export function useId() {
  const ref = useRef("");
  if (!ref.current) ref.current = `id${++made}`;
  return ref.current;
}

/** A line of text with its label. `onInput`: called with the text */
export function Field({ label, value, onInput, hint, type = "text", ...rest }) {
  const id = useId();
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      <input id=${id} type=${type} value=${value} aria-describedby=${hint ? `${id}h` : undefined}
        onInput=${(event) => onInput(event.currentTarget.value)} ...${rest} />
      ${hint && html`<small id=${`${id}h`}>${hint}</small>`}
    </div>`;
}

/** One of some values. `options`: texts, or objects of value and label */
export function Choice({ label, value, options, onChange, hint, ...rest }) {
  const id = useId();
  const rows = options.map((one) => (typeof one === "string" ? { value: one, label: one } : one));
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      <select id=${id} value=${value} aria-describedby=${hint ? `${id}h` : undefined}
        onChange=${(event) => onChange(event.currentTarget.value)} ...${rest}>
        ${rows.map((one) => html`
          <option value=${one.value} selected=${one.value === value}>${one.label}</option>`)}
      </select>
      ${hint && html`<small id=${`${id}h`}>${hint}</small>`}
    </div>`;
}

/**
 * A number typed with a point or a comma; taken on Enter or when the field is left. Arrow keys go
 * by `step`. `onChange`: called with the number when it is within min .. max
 */
export function NumberField({ label, value, onChange, unit, min, max, step = 1, hint, ...rest }) {
  const id = useId();
  const [text, setText] = useState(null); // what is typed and not taken yet
  const wrong = text === null ? "" : wrongNumber(text, min, max);
  const take = () => {
    if (text === null || wrong) return;
    setText(null);
    onChange(parseNumber(text));
  };
  const key = (event) => {
    const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (event.key === "Enter") take();
    else if (way) {
      event.preventDefault();
      const moved = Number(value) + way * step;
      onChange(Number(Math.min(max ?? moved, Math.max(min ?? moved, moved)).toPrecision(12)));
      setText(null);
    }
  };
  const described = [hint && `${id}h`, wrong && `${id}w`].filter(Boolean).join(" ");
  return html`
    <div class="field">
      <label for=${id}>${label}${unit && html` <span class="unit">${unit}</span>`}</label>
      <input id=${id} type="text" inputmode="decimal" value=${text ?? formatNumber(value)}
        aria-invalid=${wrong ? "true" : undefined} aria-describedby=${described || undefined}
        onInput=${(event) => setText(event.currentTarget.value)} onBlur=${take} onKeyDown=${key}
        ...${rest} />
      ${hint && html`<small id=${`${id}h`}>${hint}</small>`}
      ${wrong && html`<small id=${`${id}w`} class="error" role="alert">${wrong}</small>`}
    </div>`;
}

/** `kind`: main, plain or danger; `label`: read aloud in place of a sign */
export function Button({ onClick, children, kind = "normal", label, type = "button", ...rest }) {
  return html`
    <button type=${type} class=${kind} onClick=${onClick} aria-label=${label} title=${label}
      ...${rest}>${children}</button>`;
}

/** `fraction`: 0 to 1; `seconds`: left, null where nobody can say */
export function Progress({ fraction, seconds = null, label }) {
  const percent = Math.round(100 * fraction);
  const left = seconds === null ? "" : `, about ${duration(seconds)} left`;
  return html`
    <div class="progress">
      <progress max="1" value=${fraction} aria-label=${label}></progress>
      <span>${percent} %${left}</span>
    </div>`;
}

/** Time to the right, frequency upwards (logarithmic), louder is lighter. */
export function Spectrogram({ buffer, label, height = 120 }) {
  const ref = useRef(null);
  useEffect(() => {
    const canvas = ref.current;
    if (!buffer || !canvas) return;
    const columns = Math.min(800, Math.max(200, canvas.clientWidth || 400));
    [canvas.width, canvas.height] = [columns, height];
    const values = levels(mono(buffer), buffer.sampleRate, columns, height);
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, height);
    values.forEach((db, i) => {
      const at = 4 * ((height - 1 - (i % height)) * columns + Math.floor(i / height));
      image.data.set([...colour(db), 255], at);
    });
    context.putImageData(image, 0, 0);
  }, [buffer, height]);
  const text = `${label}: spectrogram, ${LOWEST_HZ} Hz to ${HIGHEST_HZ / 1000} kHz`;
  return html`<canvas ref=${ref} class="spectrogram" role="img" aria-label=${text}
    style=${{ height: `${height}px` }}></canvas>`;
}

/** Tabs as the ARIA practices have them. `tabs`: objects of id and label */
export function Tabs({ label, tabs, selected, onSelect }) {
  const move = (event) => {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const at = tabs.findIndex(({ id }) => id === selected);
    const next = (at + way + tabs.length) % tabs.length;
    onSelect(tabs[next].id);
    event.currentTarget.children[next].focus();
  };
  return html`
    <div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move}>
      ${tabs.map(({ id, label: name }) => html`
        <button type="button" role="tab" key=${id} aria-selected=${id === selected ? "true" : "false"}
          tabindex=${id === selected ? 0 : -1} onClick=${() => onSelect(id)}>${name}</button>`)}
    </div>`;
}

/** A question before the rest of the page goes on; Escape closes it. */
export function Dialog({ title, open, onClose, children }) {
  const ref = useRef(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    if (open && !dialog.open) dialog.showModal();
    if (!open && dialog.open) dialog.close();
  }, [open]);
  return html`
    <dialog ref=${ref} aria-labelledby=${id} onClose=${onClose}>
      <h3 id=${id}>${title}</h3>
      ${open && children}
    </dialog>`;
}
