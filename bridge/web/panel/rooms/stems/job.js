/** A job that a part of the page asks for and follows to its end, also after it was reloaded. */

import { useEffect, useRef, useState } from "../../vendor/preact-htm.js";
import { again } from "../../going_on.js";

const ENDS = ["done", "failed", "cancelled"];

/**
 * @param {{key: string, done: (event, body) => void}} heard `key` names what is followed, in this
 *   tab; `done` is called with the last event and the body
 * @returns {{id: string, run: object|null, failure: object|null, start: Function,
 *   cancel: Function, goOn: Function, take: Function}} `id` is the last that was followed, `run` has
 *   id, fraction, stage and eta of what is under way, `failure` id, code, reason and body of what
 *   failed; `goOn` asks for that again, `take` follows a job that was asked for elsewhere
 */
export function useJob(/** @type {import("../../api.js").Api} */ api, say, heard) {
  const [run, setRun] = useState(null);
  const [failure, setFailure] = useState(null);
  const [id, setId] = useState("");
  const close = useRef(() => {});
  const latest = useRef(heard);
  latest.current = heard;
  const place = `scorewire.job.${heard.key}`;

  const fail = (error) => say(error.reason ?? String(error), "error");
  const hear = (event, body) => {
    if (event.kind === "progress") {
      const { fraction, stage, eta } = event;
      setRun({ id: event.id, fraction, stage, eta });
    }
    if (!ENDS.includes(event.kind)) return;
    sessionStorage.removeItem(place);
    setRun(null);
    if (event.kind === "done") latest.current.done(event, body);
    if (event.kind === "cancelled") say("The job was cancelled; nothing of it is kept.", "info");
    if (event.kind === "failed") {
      setFailure({ id: event.id, code: event.code, reason: event.reason, body });
      say(event.reason, "error");
    }
  };
  const follow = (next, body) => {
    close.current();
    setFailure(null);
    setId(next);
    sessionStorage.setItem(place, JSON.stringify({ id: next, body }));
    setRun({ id: next, fraction: 0, stage: "waiting", eta: null });
    close.current = api.events(next, (event) => hear(event, body));
  };
  const start = async (body) => {
    setFailure(null);
    try {
      follow((await api.job(body)).id, body);
    } catch (error) {
      fail(error);
    }
  };
  const goOn = () => again(api, failure.id).then((next) => follow(next, failure.body), fail);
  const take = (entry) => follow(entry.id, entry.job);
  const cancel = () => api.cancel(run.id).catch(fail);
  useEffect(() => {
    const kept = JSON.parse(sessionStorage.getItem(place) ?? "null");
    if (kept) follow(kept.id, kept.body);
    return () => close.current();
  }, []);
  return { id, run, failure, start, cancel, goOn, take };
}
