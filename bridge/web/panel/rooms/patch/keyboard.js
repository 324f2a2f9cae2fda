/** Two octaves of keys: mouse and touch, the computer's keys, a MIDI keyboard. */

import { html, useEffect, useRef, useState } from "../../vendor/preact-htm.js";
import { Button } from "../../ui.js";
import { isBlack, midiKey, noteName, noteOfKey, octaveAround } from "./keys.js";

const COUNT = 25;

/**
 * `around`: the note that is to be in the middle
 * `onPress`: (note, velocity); `onLift`: (note)
 * `active`: whether the computer's keys play: not where another room is shown
 */
export function Keyboard({ around, velocity, onPress, onLift, active, say }) {
  const [lowest, setLowest] = useState(octaveAround(around));
  const [down, setDown] = useState(() => new Set());
  const hands = useRef({});
  useEffect(() => setLowest(octaveAround(around)), [around]);

  const press = (note, strength = velocity) => {
    setDown((keys) => new Set(keys).add(note));
    onPress(note, strength);
  };
  const lift = (note) => {
    setDown((keys) => new Set([...keys].filter((key) => key !== note)));
    onLift(note);
  };
  const shift = (octaves) =>
    setLowest((note) => Math.min(96, Math.max(0, note + 12 * octaves)));
  hands.current = { press, lift, shift, lowest };
  useComputerKeys(hands, active);
  const midi = useMidi(hands, say);

  const notes = Array.from({ length: COUNT }, (_, i) => lowest + i).filter((note) => note < 128);
  return html`
    <div class="row">
      <${Button} label="An octave down" onClick=${() => shift(-1)}>−<//>
      <span>${noteName(lowest)} to ${noteName(notes.at(-1))}</span>
      <${Button} label="An octave up" onClick=${() => shift(1)}>+<//>
      <${Button} onClick=${midi.ask} disabled=${midi.on}>
        ${midi.on ? midi.names : "Use a MIDI keyboard"}<//>
      <small class="quiet">Keys A W S E D F T G Y H U J K play, Z and X change the octave.</small>
    </div>
    <div class="piano" role="group" aria-label="Keyboard">
      ${notes.map((note) => html`
        <${Key} key=${note} note=${note} down=${down.has(note)} press=${press} lift=${lift} />`)}
    </div>`;
}

function Key({ note, down, press, lift }) {
  const end = () => down && lift(note);
  const typed = (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (event.type === "keydown" && !event.repeat) press(note);
    if (event.type === "keyup") lift(note);
  };
  return html`
    <button type="button" class=${isBlack(note) ? "black" : "white"} aria-label=${noteName(note)}
      aria-pressed=${down ? "true" : "false"}
      onPointerDown=${(event) => {
        const key = event.currentTarget; // a finger's is kept by the key, and could not slide
        if (key.hasPointerCapture(event.pointerId)) key.releasePointerCapture(event.pointerId);
        press(note);
      }}
      onPointerEnter=${(event) => event.buttons === 1 && !down && press(note)}
      onPointerUp=${end} onPointerLeave=${end} onPointerCancel=${end}
      onKeyDown=${typed} onKeyUp=${typed} onBlur=${end}></button>`;
}

/** Play by the computer's keys, wherever the focus is but in a field that takes letters. */
function useComputerKeys(hands, active) {
  useEffect(() => {
    if (!active) return undefined;
    const pressed = new Map(); // the note by key: the octave may change while it is down
    const meant = (event) => !(event.ctrlKey || event.metaKey || event.altKey) && !typing(event.target);
    const press = (event) => {
      if (!meant(event) || event.repeat) return;
      if (event.code === "KeyZ") hands.current.shift(-1);
      if (event.code === "KeyX") hands.current.shift(1);
      const note = noteOfKey(event.code, hands.current.lowest);
      if (note === null || pressed.has(event.code)) return;
      pressed.set(event.code, note);
      hands.current.press(note);
    };
    const lift = (event) => {
      if (!pressed.has(event.code)) return;
      hands.current.lift(pressed.get(event.code));
      pressed.delete(event.code);
    };
    const leave = () => {
      for (const note of pressed.values()) hands.current.lift(note);
      pressed.clear();
    };
    addEventListener("keydown", press);
    addEventListener("keyup", lift);
    addEventListener("blur", leave);
    return () => {
      leave();
      removeEventListener("keydown", press);
      removeEventListener("keyup", lift);
      removeEventListener("blur", leave);
    };
  }, [active]);
}

function typing(target) {
  return target instanceof HTMLElement &&
    (target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName) ||
      (target.tagName === "INPUT" && !["range", "checkbox", "radio"].includes(target.getAttribute("type"))));
}

/** A MIDI keyboard, once the user has asked for it: the browser asks for leave. */
function useMidi(hands, say) {
  const [names, setNames] = useState("");
  const access = useRef(null);
  const listen = () => {
    const inputs = [...access.current.inputs.values()];
    for (const input of inputs) {
      input.onmidimessage = ({ data }) => {
        const key = midiKey(data);
        if (key?.on) hands.current.press(key.note, key.velocity);
        else if (key) hands.current.lift(key.note);
      };
    }
    setNames(inputs.map(({ name }) => name).join(", ") || "No MIDI keyboard is connected");
  };
  const ask = async () => {
    if (!navigator.requestMIDIAccess) {
      say("this browser has no Web MIDI; Chromium, Edge and Firefox have it", "error");
      return;
    }
    try {
      access.current = await navigator.requestMIDIAccess();
    } catch (error) {
      say(`the browser does not give its MIDI devices: ${error.message}`, "error");
      return;
    }
    access.current.onstatechange = listen;
    listen();
  };
  useEffect(() => () => {
    for (const input of access.current?.inputs.values() ?? []) input.onmidimessage = null;
  }, []);
  return { ask, names, on: names !== "" };
}
