/** What to search for: words, synth, model, recipe, and where to begin. */

import { html, useState } from "../../vendor/preact-htm.js";
import { parseNumber, wrongNumber } from "../../numbers.js";
import { Button, Choice, Field, NumberField } from "../../ui.js";
import { refOf } from "./jobs.js";
import { PresetPicker } from "./picker.js";

const RENDERERS = [
  { value: "auto", label: "the one that comes nearer" },
  { value: "fm", label: "FM" },
  { value: "impact", label: "impact (modes and noise)" },
];
const MODELS = [
  { value: "", label: "the server's own" },
  { value: "default", label: "default" },
  { value: "edm", label: "edm" },
  { value: "gaussian", label: "gaussian (no learned model, for tests)" },
];
const RECIPES = ["default", "fast", "paper"];
const LIMITS = { duration: [0.25, 10], steps: [1, 5000], seed: [0, 2 ** 31 - 1] };

/**
 * The fields of a job of kind `patch`; what is left empty is the server's choice.
 * @returns {{body?: import("../../api.js").JobBody, wrong?: string}}
 */
export function bodyOf(form) {
  const { prompt, renderer, recipe, model, count } = form;
  if (!prompt.trim()) return { wrong: "prompt: say in words what the patch is to sound like" };
  /** @type {import("../../api-types").DesignPatch} */
  const body = { kind: "patch", prompt, renderer, recipe, count };
  if (model) body.model = model;
  for (const [name, [low, high]] of Object.entries(LIMITS)) {
    if (!form[name].trim()) continue;
    const wrong = wrongNumber(form[name], low, high);
    if (wrong) return { wrong: `${name}: ${wrong}` };
    body[name] = parseNumber(form[name]);
  }
  return { body };
}

/** `onBegin`: called with the job */
export function SearchForm(/** @type {import("../../api.js").Props} */ { api, say, live, onBegin }) {
  const [form, setForm] = useState({ prompt: "", renderer: "auto", recipe: "default", model: "",
    count: 4, duration: "", steps: "", seed: "" });
  const [start, setStart] = useState(null);
  const [asking, setAsking] = useState(false);
  const set = (name) => (value) => setForm((now) => ({ ...now, [name]: value }));
  const submit = async (event) => {
    event.preventDefault();
    const { body, wrong } = bodyOf(form);
    if (wrong) return say(wrong, "error");
    setAsking(true);
    try {
      await onBegin(start ? { ...body, start: await refOf(api, start.preset) } : body);
    } catch (error) {
      say(error.reason ?? error.message, "error");
    }
    return setAsking(false);
  };
  return html`
    <form class="card" onSubmit=${submit} aria-label="Search for a patch">
      <${Field} label="Prompt" value=${form.prompt} onInput=${set("prompt")} maxlength="300"
        placeholder="glass bell, long, with a hall" required />
      <div class="fields">
        <${Choice} label="Renderer" value=${form.renderer} options=${RENDERERS} onChange=${set("renderer")} />
        <${Choice} label="Model" value=${form.model} options=${MODELS} onChange=${set("model")} />
        <${Choice} label="Recipe" value=${form.recipe} options=${RECIPES} onChange=${set("recipe")} />
        <${PresetPicker} api=${api} say=${say} label="Start from a preset" chosen=${start} onChoose=${setStart} />
      </div>
      <details>
        <summary>More</summary>
        <div class="fields">
          <${NumberField} label="Patches to choose from" value=${form.count} min=${1} max=${8}
            onChange=${(value) => set("count")(Math.round(value))} />
          <${Field} label="Seconds of sound" value=${form.duration} inputmode="decimal"
            onInput=${set("duration")} hint="0.25 to 10; empty: as the prompt says, else 2" />
          <${Field} label="Distillation steps" value=${form.steps} inputmode="numeric"
            onInput=${set("steps")} hint="1 to 5000; empty: those of the recipe" />
          <${Field} label="Seed" value=${form.seed} inputmode="numeric" onInput=${set("seed")}
            hint="the same seed finds the same; empty: 0" />
        </div>
      </details>
      <${Button} type="submit" kind="main" disabled=${asking}>
        ${live ? "Start another search" : "Start"}<//>
    </form>`;
}
