/** Run a job for this room, and read the files of its result. */

import { useEffect, useRef, useState } from "../../vendor/preact-htm.js";
import { fileOf } from "./sound.js";

/**
 * One job at a time: `run(body)` is answered by its last event, or null where it failed (which is
 * said) or was cancelled.
 * @returns {{now: object | null, run: (body: object) => Promise<object | null>, cancel: () => void}}
 */
export function useJob(/** @type {import("../../api.js").Api} */ api, say) {
  const [now, setNow] = useState(null);
  const close = useRef(() => {});
  useEffect(() => () => close.current(), []);
  const run = async (body) => {
    try {
      setNow({ kind: body.kind, stage: "waiting", fraction: 0, eta: null });
      const { id } = await api.job(body);
      setNow((job) => job && { ...job, id });
      return await new Promise((resolve) => {
        close.current = api.events(id, (event) => {
          if (event.kind === "progress") setNow({ ...event, kind: body.kind, id });
          if (event.kind === "done") resolve(event);
          if (event.kind === "failed") say(event.reason, "error");
          if (event.kind === "failed" || event.kind === "cancelled") resolve(null);
        });
      });
    } catch (error) {
      say(error.reason ?? error.message, "error");
      return null;
    } finally {
      setNow(null);
    }
  };
  const cancel = () => now?.id && api.cancel(now.id).catch((error) => say(error.reason, "error"));
  return { now, run, cancel };
}

/** A preset as a job names it: an upload. @returns {Promise<string>} */
export async function refOf(/** @type {import("../../api.js").Api} */ api, preset) {
  const name = preset.name.replace(/[/\\]/g, "_").slice(0, 60) || "preset";
  return (await api.upload(new File([JSON.stringify(preset)], `${name}.json`))).ref;
}

/**
 * The patches that a job found, with the addresses of their files.
 * @param {Pick<import("../../api-types").StreamedDone, "result" | "files">} done
 */
export function patchesOf({ result, files }) {
  const made = /** @type {any[]} */ (result.patches ?? result.presets ?? []);
  return made.map((one, i) => ({
    number: i + 1,
    presetUrl: fileOf(files, one.preset)?.url,
    wavUrl: fileOf(files, one.wav)?.url,
    rating: one.rating ?? null,
    verdict: one.verdict ?? "",
  }));
}
