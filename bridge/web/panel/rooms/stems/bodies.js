/** What the server is asked for, made of what was chosen on the page: pure functions. */

export const MAX_STEMS = 8; // prompts of one separation
export const MAX_EXCERPT = 60; // seconds
export const BY_PROMPTS = ["default", "fast", "best", "masks", "paper"];
export const BY_CLASSES = ["default", "fast", "dirac", "gaussian", "accurate"];

/** A prompt more, unless it is blank, there already, or one too many. @returns {string[]} */
export function withPrompt(prompts, text) {
  const prompt = text.trim();
  if (!prompt || prompts.includes(prompt) || prompts.length >= MAX_STEMS) return prompts;
  return [...prompts, prompt];
}

/** A region as an excerpt may be: 1 to 60 seconds. @param {{start: number, end: number}|null} region */
export function excerptOf(region) {
  if (!region) return null;
  const length = Math.min(MAX_EXCERPT, Math.max(1, region.end - region.start));
  return { start: region.start, end: region.start + length };
}

/** A job that separates; `region` is an excerpt, as `excerptOf` gives it. */
export function separateBody(file, choice, region = null) {
  const body = { kind: "separate", file, seed: choice.seed, method: choice.method };
  if (choice.byClasses) body.stems = choice.stems;
  else {
    body.prompts = choice.prompts;
    if (choice.negatives.length) body.negatives = choice.negatives;
    if (choice.auto) body.auto = true;
    if (choice.force) body.force = true;
  }
  if (choice.steps) body.steps = choice.steps;
  if (region) {
    body.excerpt = Math.round(1e6 * (region.end - region.start)) / 1e6; // not 60.00000000001
    body.excerpt_begin = region.start;
  }
  return body;
}

/** Whether a job failed because none of its prompts is heard, which `force` overrules. */
export function isNotHeard(failure) {
  if (failure?.body.kind !== "separate" || failure.body.force) return false;
  return /\bforce separates all the same$/.test(failure.reason);
}

/** The same job with all that was called absent, too. */
export function forcedBody(body, absent = []) {
  const known = body.prompts ?? [];
  const more = absent.map((sound) => sound.prompt).filter((prompt) => !known.includes(prompt));
  return { ...body, prompts: [...known, ...more], force: true };
}

const AGAIN = [
  "prompts", "negatives", "method", "steps", "seed", "start_samples", "tempo", "excerpt",
  "excerpt_begin", "auto", "force",
]; // what another machine may say, too

/** The job that asks again for what the separation `job` was asked for. */
export function againBody(job) {
  const body = { kind: "separate", file: uploadOf(job.file) };
  for (const name of AGAIN) {
    const value = job[name];
    if (value !== null && value !== undefined && value.length !== 0) body[name] = value;
  }
  return body;
}

/** How a job names the upload that lies at a path of the server; any other path as it is. */
export function uploadOf(path) {
  const found = /[\\/]([0-9a-f]{64})(?:[\\/]([^\\/]+))?$/.exec(path);
  if (!found) return path;
  return found[2] ? `sha256:${found[1]}/${found[2]}` : `sha256:${found[1]}`;
}

/** A job that generates: stems that belong together, or single sounds. */
export function generateBody({ prompt, stems, seconds, bars, tempo, byBars, count, seed }) {
  const body = { kind: "generate", prompts: [prompt.trim()], seed };
  if (stems.length) body.stems = stems;
  if (byBars) Object.assign(body, { bars, tempo });
  else body.duration = seconds;
  if (count > 1 || !stems.length) body.count = count;
  return body;
}

/** The levels of `activity` (one a second) as at most `count` bars, each the highest of its part. */
export function bars(activity, count = 60) {
  const size = Math.max(1, Math.ceil(activity.length / count));
  const out = [];
  for (let at = 0; at < activity.length; at += size) out.push(Math.max(...activity.slice(at, at + size)));
  return out;
}

/** Seconds as minutes and seconds: 75.25 is "1:15.3". */
export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}
