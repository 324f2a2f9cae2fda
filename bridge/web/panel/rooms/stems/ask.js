/** What the stems shall hold: prompts, or the four fixed classes; and how they are sought. */

import { html, useState } from "../../vendor/preact-htm.js";
import { Button, Choice, Field, NumberField, Tabs } from "../../ui.js";
import { BY_CLASSES, BY_PROMPTS, MAX_STEMS, withPrompt } from "./bodies.js";
import { STEMS } from "./set.js";

/** What is chosen before anybody has chosen. */
export const FIRST_CHOICE = {
  byClasses: false, prompts: [], negatives: [], stems: STEMS, method: "default", steps: 0, seed: 0,
  auto: false, force: false,
};

/** Words as tags: typed and taken with Enter, taken away with a button. */
export function Words({ label, values, onChange, hint }) {
  const [text, setText] = useState("");
  const add = () => {
    onChange(withPrompt(values, text));
    setText("");
  };
  const key = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    add();
  };
  return html`
    <div class="words">
      <div class="add">
        <${Field} label=${label} value=${text} onInput=${setText} onKeyDown=${key} hint=${hint}
          maxlength="300" />
        <${Button} onClick=${add} disabled=${!text.trim() || values.length >= MAX_STEMS}
          label=${`Add to: ${label}`}>Add<//>
      </div>
      <ul class="tags" aria-label=${`${label}: chosen`}>
        ${values.map((value) => html`
          <li key=${value} class="tag">
            <span>${value}</span>
            <${Button} kind="plain" label=${`Remove ${value}`}
              onClick=${() => onChange(values.filter((other) => other !== value))}>×<//>
          </li>`)}
      </ul>
    </div>`;
}

/** A check box with its label. */
export function Check({ label, checked, onChange, disabled = false }) {
  return html`
    <label class="check">
      <input type="checkbox" checked=${checked} disabled=${disabled}
        onChange=${(event) => onChange(event.currentTarget.checked)} /> ${label}
    </label>`;
}

/** Some of the four classes. */
export function Classes({ label, chosen, onChange, names = STEMS }) {
  const toggle = (name, on) => onChange(STEMS.filter((s) => (s === name ? on : chosen.includes(s))));
  return html`
    <fieldset class="classes">
      <legend>${label}</legend>
      ${names.map((name) => html`
        <${Check} key=${name} label=${name} checked=${chosen.includes(name)}
          onChange=${(on) => toggle(name, on)} />`)}
    </fieldset>`;
}

/** `choice`: as FIRST_CHOICE; `onChoice`: called with the fields that changed */
export function Ask({ choice, onChoice }) {
  const ways = [{ id: "prompts", label: "By prompts" }, { id: "classes", label: "Bass, drums, guitar, piano" }];
  const byClasses = (id) => onChoice({ byClasses: id === "classes", method: "default", steps: 0 });
  return html`
    <div class="ask">
      <${Tabs} label="What the stems hold" tabs=${ways} onSelect=${byClasses}
        selected=${choice.byClasses ? "classes" : "prompts"} />
      ${choice.byClasses
        ? html`<${Classes} label="Stems" chosen=${choice.stems} onChange=${(stems) => onChoice({ stems })} />`
        : html`
          <${Words} label="Prompts" values=${choice.prompts} hint="One stem each, eight at most"
            onChange=${(prompts) => onChoice({ prompts })} />
          <${Words} label="Not in any stem" values=${choice.negatives} hint="It goes to the residual"
            onChange=${(negatives) => onChoice({ negatives })} />
          <${Check} label="Add what is heard by itself" checked=${choice.auto}
            onChange=${(auto) => onChoice({ auto })} />
          <${Check} label="Force: make a stem of what is not heard, too" checked=${choice.force}
            onChange=${(force) => onChoice({ force })} />`}
      <details>
        <summary>Method and seed</summary>
        <div class="fields">
          <${Choice} label="Method" value=${choice.method} onChange=${(method) => onChoice({ method })}
            options=${choice.byClasses ? BY_CLASSES : BY_PROMPTS} />
          <${NumberField} label="Steps" hint="0: those of the method" value=${choice.steps} min=${0}
            max=${5000} onChange=${(steps) => onChoice({ steps: Math.round(steps) })} />
          <${NumberField} label="Seed" value=${choice.seed} min=${0} max=${2 ** 31 - 1}
            onChange=${(seed) => onChoice({ seed: Math.round(seed) })} />
        </div>
      </details>
    </div>`;
}

/** Whether a job can be asked for. */
export function isComplete(choice) {
  if (choice.byClasses) return choice.stems.length > 0;
  return choice.prompts.length > 0 || choice.auto;
}
