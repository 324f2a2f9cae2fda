/** Which key means which note: of a computer, of a MIDI keyboard. Pure functions. */

/** Keys of a computer by their place, as on a piano: the row of A white, that of W black. */
const PLACES = [
  "KeyA", "KeyW", "KeyS", "KeyE", "KeyD", "KeyF", "KeyT", "KeyG", "KeyY", "KeyH", "KeyU", "KeyJ",
  "KeyK", "KeyO", "KeyL", "KeyP", "Semicolon", "Quote",
];
const NAMES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
const BLACK = [1, 3, 6, 8, 10];

/** The note of a computer's key above the lowest C, or null. @param {string} code of the event */
export function noteOfKey(code, lowest) {
  const step = PLACES.indexOf(code);
  return step < 0 || lowest + step > 127 ? null : lowest + step;
}

/** `C4` of 60. */
export function noteName(note) {
  const whole = Math.round(note);
  return `${NAMES[((whole % 12) + 12) % 12]}${Math.floor(whole / 12) - 1}`;
}

/** Whether a note is a black key. */
export function isBlack(note) {
  return BLACK.includes(note % 12);
}

/** The C at or below a note, from which two octaves hold it in their middle. */
export function octaveAround(note) {
  return Math.min(96, Math.max(0, 12 * Math.floor((note - 6) / 12)));
}

/**
 * What a MIDI message says of a key; null where it says something else.
 * @param {Uint8Array} data @returns {{on: boolean, note: number, velocity: number} | null}
 */
export function midiKey(data) {
  const [status, note, velocity] = data;
  const kind = status & 0xf0;
  if (kind === 0x90 && velocity > 0) return { on: true, note, velocity };
  if (kind === 0x80 || kind === 0x90) return { on: false, note, velocity: 0 };
  return null;
}
