/** Addresses and texts of the library: pure functions. */

export const SLOTS = 128;
export const LIMIT = 200; // presets that are listed at most
export const DRAGGED = "application/x-scorewire-preset"; // what a preset is while it is dragged

/** The address of a search. @param {{words, tags, renderer, like}} asked */
export function searchUrl({ words = "", tags = [], renderer = "", like = "" }, limit = LIMIT) {
  const query = new URLSearchParams({ limit: String(limit) });
  if (words.trim()) query.set("words", words.trim());
  if (tags.length) query.set("tags", tags.join(","));
  if (renderer) query.set("renderer", renderer);
  if (like) query.set("like", like);
  return `/v1/library?${query}`;
}

/** The address of a preset of the library. @param {string} file */
export function keptUrl(file) {
  return /** @type {const} */ (`/v1/library/${encodeURIComponent(file)}`);
}

/** The address of a preset of the library, or with `shelf` "factory" of those that come along. */
export function presetUrl(file, rest = "", shelf = "library") {
  return `/v1/${shelf}/${encodeURIComponent(file)}${rest}`;
}

/**
 * Search among presets that are here already, as the server does: every word is the beginning of
 * one in name, tags or prompt, and every tag is there.
 */
export function among(presets, { words = "", tags = [], renderer = "" }) {
  const asked = wordsOf(words);
  const fits = (preset) => {
    const has = wordsOf([preset.name, preset.prompt, ...preset.tags].join(" "));
    return asked.every((word) => has.some((other) => other.startsWith(word)))
      && tags.every((tag) => preset.tags.includes(tag))
      && (!renderer || preset.renderer === renderer);
  };
  return presets.filter(fits);
}

function wordsOf(text) {
  const plain = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  return plain.match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** All tags of some presets, in order. */
export function allTags(presets) {
  return [...new Set(presets.flatMap((preset) => preset.tags))].sort();
}

/** The formats that presets of this renderer can be exported to. */
export function formatsOf(formats, preset) {
  return formats.filter((one) => !one.renderers || one.renderers.includes(preset.renderer));
}

/** `tag` added to the tags, or taken away if it is among them. */
export function toggled(tags, tag) {
  return tags.includes(tag) ? tags.filter((other) => other !== tag) : [...tags, tag];
}

/** The tags that a text names, with commas between them. */
export function tagsOf(text) {
  return [...new Set(text.split(",").map((tag) => tag.trim()).filter(Boolean))];
}

/** A pad for each slot, empty ones too. @param {Record<string, {file, name}>} slots */
export function padsOf(slots) {
  return Array.from({ length: SLOTS }, (_, i) => ({ number: i + 1, ...slots[String(i + 1)] }));
}

/** The first empty slot, or 1. */
export function freeSlot(slots) {
  return padsOf(slots).find((pad) => !pad.file)?.number ?? 1;
}

/** What a browser is told so that a drag out of the window becomes a file (Chromium only). */
export function dragAddress(file, format, origin) {
  const name = file.replace(/\.json$/i, "") + format.suffix;
  const path = format.name === "sound" ? "/sound" : `/export/${format.name}`;
  const url = new URL(presetUrl(file, path), origin).href;
  return { url, download: `application/octet-stream:${name}:${url}` };
}

/** How far a preset is from the one that was asked for, in words. */
export function likeness(distance) {
  return distance === null || distance === undefined ? "" : `${Math.round(100 * (1 - distance))} % alike`;
}
