/** One patch on the keyboard: its knobs, what it is compared with, what is made of it. */

import { html, useEffect, useMemo, useRef, useState } from "../../vendor/preact-htm.js";
import { Button, NumberField, Spectrogram } from "../../ui.js";
import { Actions } from "./actions.js";
import { Keyboard } from "./keyboard.js";
import { Knobs } from "./knobs.js";
import { PresetPicker } from "./picker.js";
import { Instrument, Player, playOnce } from "./player.js";
import { withSetting, withValue } from "./preset.js";
import { newestOnly, rendered, soundOf } from "./sound.js";

const AHEAD_MS = 500; // of rest, before the keys around are rendered
const REACH = 12; // keys to both sides of the patch's own

/**
 * The preset as it is turned, its sound rendered again after each turn, and how long that took.
 * @param {{preset: object, buffer: AudioBuffer}} taken what came to the keyboard
 */
function useTurned(taken, say) {
  const [preset, setPreset] = useState(taken.preset);
  const [heard, setHeard] = useState(null); // {instrument, ms}
  const [waits, setWaits] = useState(false); // for the sound of what was turned last
  const latest = useRef(taken.preset);
  const shown = useRef(taken);
  const render = useMemo(() => newestOnly(async ({ wanted, of, aloud, asked }) => {
    try {
      const buffer = await rendered(wanted);
      if (of !== shown.current) return; // another patch has come meanwhile
      const ms = performance.now() - asked;
      setHeard({ instrument: new Instrument({ preset: wanted, buffer, note: wanted.note }), ms });
      if (aloud) playOnce(buffer);
    } catch (error) {
      say(error.reason ?? error.message, "error");
    }
    if (wanted === latest.current) setWaits(false);
  }), []);
  const change = (next, aloud) => {
    latest.current = next;
    setPreset(next);
    setWaits(true);
    render({ wanted: next, of: taken, aloud, asked: performance.now() });
  };
  useEffect(() => {
    const { preset: wanted, buffer } = taken;
    [shown.current, latest.current] = [taken, wanted];
    setPreset(wanted);
    setWaits(false);
    setHeard({ instrument: new Instrument({ preset: wanted, buffer, note: wanted.note }), ms: null });
  }, [taken]);
  const told = heard?.ms ? `rendered in ${Math.round(heard.ms)} ms` : "";
  return { preset, heard, waits, told: waits ? "rendering ..." : told, latest, change };
}

/** Render the keys around the patch's own while nothing is turned, the nearest first. */
function useKeysAhead(instrument, active) {
  useEffect(() => {
    if (!instrument?.preset || !active) return undefined;
    let stopped = false;
    const timer = setTimeout(async () => {
      const middle = Math.round(instrument.note);
      for (let away = 0; away <= REACH && !stopped; away++) {
        for (const note of new Set([middle - away, middle + away])) {
          if (stopped || note < 0 || note > 127) continue;
          await instrument.want(note).catch(() => { stopped = true; });
        }
      }
    }, AHEAD_MS);
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [instrument, active]);
}

/**
 * `taken`: {preset, buffer, start: {name, preset?, buffer, note}, file, key, job, number}
 * `onTake`: puts another patch in its place
 */
export function Bench(/** @type {import("../../api.js").Props} */ { api, say, taken, onTake, active }) {
  const { preset, heard, waits, told, latest, change } = useTurned(taken, say);
  const [velocity, setVelocity] = useState(100);
  const [aloud, setAloud] = useState(true);
  const [side, setSide] = useState("now");
  const [other, setOther] = useState(null); // {name, instrument}
  const [table, setTable] = useState(null);
  const player = useMemo(() => new Player(), []);
  const start = useMemo(() => taken.start && new Instrument(taken.start), [taken]);
  const sides = { now: heard?.instrument, start, other: other?.instrument };
  const instrument = sides[side] ?? heard?.instrument;
  player.instrument = instrument ?? null;
  useKeysAhead(instrument, active && !waits);
  useEffect(() => () => player.stop(), []);
  useEffect(() => setSide("now"), [taken]);
  useEffect(() => {
    setTable(null);
    api.send("POST", "/v1/knobs", { preset: taken.preset }).then(setTable)
      .catch((error) => say(error.reason, "error"));
  }, [taken]);

  const turn = (next) => {
    setSide("now");
    change(next, aloud);
  };
  const compare = async (entry) => {
    if (!entry) return setOther(null);
    try {
      const buffer = await soundOf(api, entry);
      const sound = { preset: entry.preset, buffer, note: entry.preset.note };
      setOther({ ...entry, instrument: new Instrument(sound) });
      setSide("other");
    } catch (error) {
      say(error.reason ?? error.message, "error");
    }
  };
  const press = (note, strength) => {
    player.press(note, strength);
    instrument?.want(note, strength).catch(() => {}); // the sound at hand goes on to be played
  };
  const choices = [["now", "A: now"], ["start", `B: ${taken.start?.name ?? "start"}`],
    ["other", `C: ${other?.name ?? "a library preset"}`]];
  return html`
    <section class="card" aria-labelledby="bench-title">
      <h3 id="bench-title" class="name">On the keyboard: ${preset.name}</h3>
      <p class="quiet">${facts(preset)}</p>
      <div class="columns">
        <div>
          <div class="row" role="group" aria-label="What sounds">
            ${choices.map(([id, label]) => html`
              <${Button} key=${id} aria-pressed=${side === id ? "true" : "false"}
                disabled=${!sides[id]} onClick=${() => setSide(id)}>${label}<//>`)}
            <${Button} onClick=${() => playOnce(instrument.base)} disabled=${!instrument}>Play<//>
          </div>
          <${PresetPicker} api=${api} say=${say} label="Compare with a library preset"
            chosen=${other} onChoose=${compare} />
        </div>
        <${Spectrogram} buffer=${instrument?.base} label=${preset.name} />
      </div>
      <${Keyboard} around=${Math.round(preset.note)} velocity=${velocity} active=${active} say=${say}
        onPress=${press} onLift=${(note) => player.lift(note)} />
      <div class="fields">
        <${NumberField} label="Velocity" value=${velocity} min=${1} max=${127}
          onChange=${(value) => setVelocity(Math.round(value))} />
      </div>
      <div class="row">
        <h4>Knobs</h4>
        <label><input type="checkbox" checked=${aloud}
          onChange=${(event) => setAloud(event.currentTarget.checked)} /> Play each change</label>
        <output class="quiet" aria-label="Rendering time">${told}</output>
        <${Button} disabled=${preset === taken.preset} onClick=${() => turn(taken.preset)}>As it came<//>
      </div>
      ${table && html`<${Knobs} preset=${preset} table=${table}
        onValue=${(name, value) => turn(withValue(latest.current, name, value))}
        onSetting=${(index, name, value) => turn(withSetting(latest.current, index, name, value))} />`}
      <${Actions} key=${taken.key} api=${api} say=${say} taken=${taken} preset=${preset}
        sound=${heard?.instrument.base} onTake=${onTake} />
    </section>`;
}

function facts({ renderer, note, seconds, prompt, effects }) {
  const chain = effects.map(({ kind }) => kind).join(", ");
  return [renderer, `note ${note}`, `${seconds.toFixed(2)} s`, chain, prompt && `“${prompt}”`]
    .filter(Boolean).join(" · ");
}
