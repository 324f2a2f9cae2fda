/** Presets to sounds: rendered by the server at once, as the page asks for them. */

import { ApiError, rateOf } from "../../api.js";

/**
 * A preset, rendered now.
 * @param {object} preset @param {{note?: number, velocity?: number, duration?: number}} [played]
 * @returns {Promise<AudioBuffer>}
 */
export async function rendered(preset, played = {}) {
  return decoded(await wavOf(preset, played));
}

/** The bytes of the WAV of a preset. @returns {Promise<ArrayBuffer>} */
export async function wavOf(preset, played = {}) {
  let response;
  try {
    response = await fetch("/v1/preview", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ preset, ...played }),
    });
  } catch {
    throw new ApiError(0, "no-server", "the server does not answer; turn the knob again");
  }
  if (!response.ok) {
    const { error } = await response.json();
    throw new ApiError(response.status, error.code, error.reason);
  }
  return response.arrayBuffer();
}

/** The sound of a preset: that beside it where there is one, which is there at once, else rendered. */
export function soundOf(/** @type {import("../../api.js").Api} */ api, { from, file, preview, preset }) {
  if (!preview) return rendered(preset);
  return api.audio(`/v1/${from}/${encodeURIComponent(file)}/sound`);
}

/** A WAV as samples at its own rate, so that none of them changes. */
export function decoded(bytes) {
  return new OfflineAudioContext(1, 1, rateOf(bytes)).decodeAudioData(bytes);
}

/**
 * A function that runs `work` with the newest argument only: while it runs, of those that come
 * only the last waits. @param {(value: any) => Promise<void>} work
 */
export function newestOnly(work) {
  let running = false;
  let waiting = null;
  return async function ask(value) {
    if (running) {
      waiting = { value };
      return;
    }
    running = true;
    try {
      await work(value);
    } finally {
      running = false;
    }
    if (waiting) {
      const next = waiting.value;
      waiting = null;
      await ask(next);
    }
  };
}

/**
 * The file of a result that a path names: by its end, since the page knows no folder.
 * @param {import("../../api.js").JobFile[]} files @param {string} path
 */
export function fileOf(files, path) {
  const plain = String(path).replaceAll("\\", "/");
  const fits = files.filter(({ name }) => plain === name || plain.endsWith(`/${name}`));
  return fits.sort((a, b) => b.name.length - a.name.length)[0] ?? null;
}
