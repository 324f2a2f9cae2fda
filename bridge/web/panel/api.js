/** What the rooms ask of the server: JSON, jobs and their events, uploads, sounds. */

import { sha256 } from "./sha256.js";

/**
 * @typedef {import("./api-types").Get} Get
 * @typedef {import("./api-types").Send} Send
 * @typedef {import("./api-types").JobEntry} JobEntry
 * @typedef {import("./api-types").JobFile} JobFile
 * @typedef {import("./api-types").JobBody} JobBody
 * @typedef {import("./api-types").JobEvent} JobEvent
 * @typedef {typeof api} Api
 * @typedef {(sentence: string, kind?: "info" | "error") => void} Say
 * @typedef {{api: Api, say: Say, [name: string]: any}} Props
 */

const PING_MS = 4000; // between two looks whether the server is there
const RETRY_MS = 1000; // before an upload or a stream goes on
const RETRIES = 30;

/** An answer that refuses: the status, the stable code and the sentence of docs/http.md. */
export class ApiError extends Error {
  constructor(status, code, reason) {
    super(reason);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.reason = reason;
  }
}

/** Fires "up" and "down" when the server comes back or goes, "out" when it wants a sign-in. */
export const connection = Object.assign(new EventTarget(), { isUp: true });

const tabs = new BroadcastChannel("scorewire"); // other tabs of this browser
const KEEPING = /^\/v1\/(library|slots|trash|keep)\b/; // addresses that change what is kept

/** Call `onChange` when another tab has changed what is kept. @returns {() => void} stop */
export function onOtherTab(onChange) {
  tabs.addEventListener("message", onChange);
  return () => tabs.removeEventListener("message", onChange);
}

function note(isUp) {
  if (connection.isUp === isUp) return;
  connection.isUp = isUp;
  connection.dispatchEvent(new Event(isUp ? "up" : "down"));
}

/** Look for the server now and then; what the rooms ask tells as well. */
export async function watch() {
  addEventListener("online", look);
  for (;;) {
    await pause(connection.isUp ? PING_MS : RETRY_MS);
    await look();
  }
}

function look() {
  return ask("GET", "/v1/ping").catch(() => {});
}

async function ask(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(path, { method, body, headers, cache: "no-store" });
  } catch {
    note(false);
    throw new ApiError(0, "no-server", "the server does not answer; it is asked again");
  }
  note(true);
  if (response.ok) return response;
  let error = {};
  try {
    error = (await response.json()).error;
  } catch {
    // not an answer of ours: a proxy's
  }
  if (response.status === 401) connection.dispatchEvent(new Event("out"));
  throw new ApiError(response.status, error.code ?? "internal", error.reason ?? response.statusText);
}

async function parsed(response) {
  return response.status === 204 ? null : response.json();
}

/** The JSON that lies at a path. @type {Get} */
export const get = async (/** @type {string} */ path) => parsed(await ask("GET", path));

/** Send a body as JSON, with headers besides: the JSON of the answer. @type {Send} */
export const send = async (
  /** @type {string} */ method, /** @type {string} */ path, /** @type {any} */ body, headers = {},
) => {
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const kind = body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await parsed(await ask(method, path, sent, { ...kind, ...headers }));
  if (KEEPING.test(path)) tabs.postMessage(path);
  return answer;
};

/**
 * Ask for a job, once, however often the connection breaks.
 * @param {JobBody} body @returns {Promise<JobEntry>}
 */
export async function job(body) {
  const key = { "Idempotency-Key": randomKey() };
  for (let attempt = 0; ; attempt++) {
    try {
      return await send("POST", "/v1/jobs", body, key);
    } catch (error) {
      if (error.code !== "no-server" || attempt === RETRIES) throw error;
      await pause(RETRY_MS);
    }
  }
}

/** Cancel a job at its next step. @param {string} id */
export function cancel(id) {
  return send("DELETE", `/v1/jobs/${id}`);
}

function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const ENDINGS = ["done", "failed", "cancelled"];
const KINDS = ["progress", "best", ...ENDINGS];

/**
 * Call `onEvent` with each event of a job, until one of done, failed, cancelled. The browser takes
 * a broken stream up again by itself (Last-Event-ID); one that it gives up is opened anew.
 * @param {string} id @param {(event: JobEvent) => void} onEvent
 * @returns {() => void} stop listening
 */
export function events(id, onEvent) {
  let source;
  let timer;
  let closed = false;
  const close = () => {
    closed = true;
    clearTimeout(timer);
    source.close();
  };
  const open = () => {
    source = new EventSource(`/v1/jobs/${id}/events`);
    for (const kind of KINDS) {
      source.addEventListener(kind, (message) => {
        if (ENDINGS.includes(kind)) close();
        if (kind === "done") tabs.postMessage(id); // what it found may be in the library
        onEvent(JSON.parse(message.data));
      });
    }
    source.addEventListener("error", () => {
      look();
      if (source.readyState === EventSource.CLOSED && !closed) timer = setTimeout(open, RETRY_MS);
    });
  };
  open();
  return close;
}

/** The address of a file of a job's result. @param {string} id @param {string} name */
export function fileUrl(id, name) {
  return `/v1/jobs/${id}/files/${name.split("/").map(encodeURIComponent).join("/")}`;
}

/**
 * Upload a file, going on where an earlier try ended.
 * @param {File} file @param {(fraction: number) => void} [onFraction]
 * @returns {Promise<{ref: string, hash: string}>} ref: what a job names it by
 */
export async function upload(file, onFraction = () => {}) {
  const hash = await sha256(file);
  const address = `/v1/blobs/sha256/${hash}`;
  const done = { ref: `sha256:${hash}/${file.name.replaceAll("/", "_")}`, hash };
  for (let attempt = 0; ; attempt++) {
    try {
      const offset = await uploaded(address, file.size);
      if (offset === file.size) break;
      await put(address, file, offset, onFraction);
    } catch (error) {
      const again = error.code === "no-server" || error.code === "out-of-step";
      if (!again || attempt === RETRIES) throw error;
      await pause(RETRY_MS);
    }
  }
  onFraction(1);
  return done;
}

/** How many bytes of an upload are here. */
async function uploaded(address, size) {
  let response;
  try {
    response = await fetch(address, { method: "HEAD", cache: "no-store" });
  } catch {
    note(false);
    throw new ApiError(0, "no-server", "the server does not answer");
  }
  if (response.status === 404) return 0;
  if (!response.ok) await ask("GET", "/v1/jobs?limit=1"); // says why; HEAD has no body
  return response.status === 200 ? size : Number(response.headers.get("Upload-Offset"));
}

/** PUT a file from `offset` on; fetch says nothing of how far it came. */
function put(address, file, offset, onFraction) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", address);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    if (offset) {
      request.setRequestHeader("Content-Range", `bytes ${offset}-${file.size - 1}/${file.size}`);
    }
    request.upload.onprogress = ({ loaded }) => onFraction((offset + loaded) / file.size);
    request.onload = () => {
      if (request.status < 300) return resolve();
      const { code, reason } = JSON.parse(request.responseText).error;
      return reject(new ApiError(request.status, code, reason));
    };
    request.onerror = () => reject(new ApiError(0, "no-server", "the upload broke off"));
    request.send(file.slice(offset));
  });
}

/** The sample rate that a WAV file says in its `fmt ` chunk, or 48000 of any other file. */
export function rateOf(bytes) {
  const view = new DataView(bytes);
  const name = (at) => String.fromCharCode(...new Uint8Array(bytes, at, 4));
  if (bytes.byteLength < 28 || !["RIFF", "RF64"].includes(name(0))) return 48000;
  for (let at = 12; at + 16 <= bytes.byteLength; ) {
    if (name(at) === "fmt ") return view.getUint32(at + 12, true);
    const size = view.getUint32(at + 4, true);
    at += 8 + size + (size % 2);
  }
  return 48000;
}

/** A sound file at its own rate, so that decoding changes no sample. @returns {Promise<AudioBuffer>} */
export async function audio(url) {
  const bytes = await (await ask("GET", url)).arrayBuffer();
  return new OfflineAudioContext(1, 1, rateOf(bytes)).decodeAudioData(bytes);
}

export const api = {
  get, send, job, cancel, events, fileUrl, upload, audio, connection, onOtherTab,
};
