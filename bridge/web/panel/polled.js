/** Ask the server again and again while a room is shown. */

import { useEffect, useState } from "./vendor/preact-htm.js";

/**
 * The newest answer of `path`, null before the first. Asked every `ms` while `active`, at once when
 * the server comes back, and when the returned function is called.
 * @returns {[any, () => void]}
 */
export function usePolled(/** @type {import("./api.js").Api} */ api, path, ms, active) {
  const [answer, setAnswer] = useState(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (!active) return undefined;
    let on = true;
    const ask = () => api.get(path).then((told) => on && setAnswer(told), () => {}); // the header says it
    ask();
    const timer = setInterval(ask, ms);
    api.connection.addEventListener("up", ask);
    return () => {
      on = false;
      clearInterval(timer);
      api.connection.removeEventListener("up", ask);
    };
  }, [path, ms, active, turn]);
  return [answer, () => setTurn((count) => count + 1)];
}
