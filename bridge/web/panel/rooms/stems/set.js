/** A finished stem set: what its manifest says, and its sounds. */

export const GREY = "#808080"; // of the residual, as in bridge.stems.manifest

/** The addresses of a set's parts and of what they add up to. */
export function describeSet(/** @type {import("../../api.js").Api} */ api, id, manifest, folder = "") {
  const url = (name) => api.fileUrl(id, folder + name);
  const parts = manifest.stems.map((stem) => ({ ...stem, gainDb: stem.gain_db, url: url(stem.wav) }));
  if (manifest.residual) {
    parts.push({
      name: "Residual", prompt: "", colour: GREY, gainDb: 0, wav: manifest.residual,
      url: url(manifest.residual), rms_db: manifest.residual_rms_db, isResidual: true,
    });
  }
  const separated = manifest.task === "prompts" || manifest.task === "stems";
  const original = separated ? `/v1/jobs/${id}/source` : url(manifest.source_wav);
  return { id, manifest, parts, original, separated };
}

/**
 * Fetch and decode a set, one file after the other.
 * @param {(fraction: number) => void} onFraction
 */
export async function loadSet(/** @type {import("../../api.js").Api} */ api, id, name = "stems.json", onFraction = () => {}) {
  const folder = name.slice(0, name.lastIndexOf("/") + 1);
  const set = describeSet(api, id, await api.get(api.fileUrl(id, name)), folder);
  const urls = [...set.parts.map((part) => part.url), set.original];
  const sounds = [];
  for (const url of urls) {
    sounds.push(await api.audio(url));
    onFraction(sounds.length / urls.length);
  }
  return {
    ...set,
    parts: set.parts.map((part, i) => ({ ...part, buffer: sounds[i] })),
    originalUrl: set.original,
    original: sounds.at(-1),
  };
}

/** The names of the manifests among the files of a job: one, or one a set. */
export function manifestsOf(files) {
  return files.map((file) => file.name).filter((name) => /(^|\/)stems\.json$/.test(name));
}

const CLASSES = { bass: ["bass", "basses"], drums: ["drum", "drums"], guitar: ["guitar", "guitars"], piano: ["piano", "pianos"] };

/** The four classes of stems that are generated, accompanied and taken apart without prompts. */
export const STEMS = Object.keys(CLASSES);

/** The class that a stem is called after, or "": as `stem_of` of the server. */
export function stemOf(name) {
  const words = (name.toLowerCase().match(/[a-z]+/g) ?? []).join(" ").replaceAll("bass guitar", "bass");
  const said = words.split(" ");
  const found = STEMS.filter((stem) => CLASSES[stem].some((form) => said.includes(form)));
  return found.length === 1 ? found[0] : "";
}
