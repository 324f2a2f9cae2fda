/** A preset as data: its knobs in groups, values as positions and as words. Pure functions. */

/**
 * @typedef {{name: string, low: number, high: number, unit: string, scale: "linear" | "log"}} Param
 * @typedef {{name: string, renderer: string, values: Object<string, number>, note: number,
 *   seconds: number, held?: number, effects: {kind: string, values: Object<string, number>}[],
 *   prompt: string, tags: string[]}} Preset
 */

/** Where a value stands between low and high, 0 .. 1, as `Param.position` of Scorewire has it. */
export function positionOf(param, value) {
  const inside = Math.min(param.high, Math.max(param.low, value));
  if (param.scale === "log") return Math.log(inside / param.low) / Math.log(param.high / param.low);
  return (inside - param.low) / (param.high - param.low);
}

/** The value at a position, clipped to the range. The inverse of `positionOf`. */
export function valueAt(param, position) {
  const u = Math.min(1, Math.max(0, position));
  if (param.scale === "log") return param.low * (param.high / param.low) ** u;
  return param.low + (param.high - param.low) * u;
}

const UNITS = { semitone: "st", octave: "oct", cent: "ct" };

/** A value in three digits with its unit: `1.07 kHz`, `24 ms`, `0.3`. */
export function words(param, value) {
  const [scaled, unit] = scaledUnit(param.unit, value);
  const text = String(Number(scaled.toPrecision(3)));
  return unit ? `${text} ${unit}` : text;
}

function scaledUnit(unit, value) {
  if (unit === "Hz" && Math.abs(value) >= 1000) return [value / 1000, "kHz"];
  if (unit === "s" && Math.abs(value) < 1) return [value * 1000, "ms"];
  return [value, UNITS[unit] ?? unit];
}

/** `filter_hz` as people say it: `filter frequency`. Other units that end a name the value says. */
export function title(name) {
  return name
    .replace(/^(op|mode|band)(\d+)_/, "")
    .replace(/_?hz$/, " frequency")
    .replace(/_(db|ms|seconds)$/, "")
    .replace(/^from_op(\d)$/, "from op $1")
    .replaceAll("_", " ")
    .trim();
}

const MODES = 16; // of an impact patch in one group

/** The group that a knob belongs to, in words. */
export function groupOf(name) {
  const op = /^op(\d)_/.exec(name);
  if (op) return `Operator ${op[1]}`;
  const mode = /^mode(\d+)_/.exec(name);
  if (mode) {
    const first = MODES * Math.floor((Number(mode[1]) - 1) / MODES) + 1;
    return `Modes ${first} to ${first + MODES - 1}`;
  }
  if (name.startsWith("band")) return "Bands of noise";
  if (name.startsWith("filter_")) return "Filter";
  if (name.startsWith("noise_")) return "Noise";
  if (name.startsWith("lfo_")) return "LFO";
  if (name.startsWith("pitch_")) return "Pitch";
  if (/^(strike|burst|hit)/.test(name)) return "Strike";
  return "Whole sound";
}

/**
 * The knobs of a preset in groups, those of the whole sound first.
 * @param {Param[]} params @returns {{group: string, params: Param[]}[]}
 */
export function groups(params) {
  const made = new Map();
  for (const param of params) {
    const group = groupOf(param.name);
    made.set(group, [...(made.get(group) ?? []), param]);
  }
  const order = ["Whole sound", "Strike", "Filter", "LFO", "Pitch", "Noise"];
  const rank = (group) => (order.includes(group) ? order.indexOf(group) : order.length);
  return [...made]
    .map(([group, list]) => ({ group, params: list }))
    .sort((a, b) => rank(a.group) - rank(b.group));
}

/** The preset with one value changed. */
export function withValue(preset, name, value) {
  return { ...preset, values: { ...preset.values, [name]: value } };
}

/** The preset with one setting of effect `index` changed. */
export function withSetting(preset, index, name, value) {
  const effects = preset.effects.map((effect, i) =>
    i === index ? { ...effect, values: { ...effect.values, [name]: value } } : effect);
  return { ...preset, effects };
}

/** Effects whose sound depends on the level: a softer key is then not only a softer sound. */
const BENT = ["Bitcrush", "Clipping", "Compressor", "Distortion", "Limiter", "NoiseGate", "VST3"];

/** Whether a key struck softer only plays the same samples softer. */
export function isLinear(preset) {
  return !preset.effects.some(({ kind }) => BENT.includes(kind));
}

/** Whether the sound goes on for as long as its key is down. */
export function holds({ values }) {
  return Object.keys(values).some((name) => {
    const part = /^(op\d|noise)_sustain$/.exec(name)?.[1];
    const level = part && (values[part === "noise" ? "noise_level" : `${part}_mix`] ?? 0);
    return part && values[name] > 0 && level > 0;
  });
}

/** Seconds in which a sound falls silent when its key goes up; null where it rings on. */
export function releaseOf({ values }) {
  const releases = Object.keys(values).filter((name) => /^(op\d|noise)_release$/.test(name));
  return releases.length ? Math.max(...releases.map((name) => values[name])) : null;
}

const KEY_SECONDS = 3; // for which a key can be kept down
const LONGEST = 12;

/** Seconds to render for a key: enough to keep down a sound that holds. */
export function keySeconds(preset) {
  if (!holds(preset) || !preset.held || preset.held >= KEY_SECONDS) return preset.seconds;
  return Math.min(LONGEST, (preset.seconds * KEY_SECONDS) / preset.held);
}

/** Tags of a text with commas between them, each once. */
export function tagsOf(text) {
  const tags = text.split(",").map((tag) => tag.trim()).filter(Boolean);
  return [...new Set(tags)];
}
