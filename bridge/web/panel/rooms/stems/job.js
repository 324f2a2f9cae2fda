/** A job that a part of the page asks for and follows to its end, also after it was reloaded. */

import { useEffect, useRef, useState } from "../../vendor/preact-htm.js";

const ENDS = ["done", "failed", "cancelled"];

/**
 * @param {{key: string, done: (event, body) => void}} heard `key` names what is followed, in this
 *   tab; `done` is called with the last event and the body
 * @returns {{run: object|null, failure: object|null, start: Function, cancel: Function}} `run` has
 *   id, fraction, stage and eta of what is under way, `failure` code, reason and body of what failed
 */
export function useJob(/** @type {import("../../api.js").Api} */ api, say, heard) {
  const [run, setRun] = useState(null);
  const [failure, setFailure] = useState(null);
  const close = useRef(() => {});
  const latest = useRef(heard);
  latest.current = heard;
  const place = `scorewire.job.${heard.key}`;

  const hear = (event, body) => {
    if (event.kind === "progress") {
      const { id, fraction, stage, eta } = event;
      setRun({ id, fraction, stage, eta });
    }
    if (!ENDS.includes(event.kind)) return;
    sessionStorage.removeItem(place);
    setRun(null);
    if (event.kind === "done") latest.current.done(event, body);
    if (event.kind === "cancelled") say("The job was cancelled; nothing of it is kept.", "info");
    if (event.kind === "failed") {
      setFailure({ code: event.code, reason: event.reason, body });
      say(event.reason, "error");
    }
  };
  const follow = (id, body) => {
    setRun({ id, fraction: 0, stage: "waiting", eta: null });
    close.current = api.events(id, (event) => hear(event, body));
  };
  const start = async (body) => {
    close.current();
    setFailure(null);
    try {
      const { id } = await api.job(body);
      sessionStorage.setItem(place, JSON.stringify({ id, body }));
      follow(id, body);
    } catch (error) {
      setRun(null);
      say(error.reason ?? String(error), "error");
    }
  };
  const cancel = () => api.cancel(run.id).catch((error) => say(error.reason, "error"));
  useEffect(() => {
    const kept = JSON.parse(sessionStorage.getItem(place) ?? "null");
    if (kept) follow(kept.id, kept.body);
    return () => close.current();
  }, []);
  return { run, failure, start, cancel };
}
