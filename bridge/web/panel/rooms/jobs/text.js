/** What the room says of jobs, bytes and times: pure functions. */

import { duration } from "../../numbers.js";

/** @typedef {import("../../api.js").JobEntry} JobEntry */

const KINDS = {
  patch: "Patch", generate: "Clips", accompany: "Accompany", separate: "Stems", suggest: "Suggestions",
  render: "Render", export: "Export", vary: "Variations", morph: "Morph", edit: "Edit", record: "Recording",
  convert: "Convert", eval: "Evaluation", evaluate: "Evaluation", copycheck: "Copy check", probe: "Probe",
};

/** The kind of a job in words. */
export function kindOf(kind) {
  return KINDS[kind] ?? kind;
}

/** The last part of a path of the server's machine, whichever way its slashes lean. */
export function fileName(path) {
  return path.split(/[\\/]/).pop();
}

/** What a job is about: its prompts, else the file that it reads. @param {JobEntry["job"]} job */
export function about(job) {
  if (job.prompt) return job.prompt;
  if (job.prompts?.length) return job.prompts.join(", ");
  const file = job.file ?? job.preset ?? job.given?.[Object.keys(job.given)[0]];
  return file ? fileName(file) : "";
}

/** Where what a job made is opened, "" where no room shows it. @param {JobEntry} entry */
export function roomOf(entry) {
  if (entry.state !== "done") return "";
  if (["separate", "accompany", "generate"].includes(entry.kind)) return `#/stems/job/${entry.id}`;
  const kept = entry.kind === "patch" && entry.result?.library;
  return kept ? `#/patch/library/${encodeURIComponent(fileName(kept))}` : "";
}

/**
 * Seconds until a job ends, from how far it came since it began; null where nobody can say.
 * @param {JobEntry} entry @param {number} now
 */
export function secondsLeft(entry, now) {
  if (entry.state !== "running" || !entry.started || entry.fraction < 0.02) return null;
  return ((now - entry.started) * (1 - entry.fraction)) / entry.fraction;
}

/** How long a job took. @param {JobEntry} entry */
export function took(entry) {
  return entry.started && entry.ended ? duration(entry.ended - entry.started) : "";
}

/** Bytes as people read them. */
export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = count;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size < 10 && unit ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/** A time of the ledger (seconds since 1970): the clock, with the date when it is not today's. */
export function clock(seconds, now = new Date()) {
  if (!seconds) return "";
  const then = new Date(seconds * 1000);
  const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return then.toDateString() === now.toDateString() ? time : `${then.toLocaleDateString()} ${time}`;
}
