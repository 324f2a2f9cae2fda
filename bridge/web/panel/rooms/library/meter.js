/** How loud the preview is, some times a second while one sounds. */

import { html, useEffect, useState } from "../../vendor/preact-htm.js";
import { Level } from "../stems/level.js";
import { FLOOR_DB } from "../stems/levels.js";

const EVERY = 80; // ms

export function Meter({ previewer }) {
  const [db, setDb] = useState(FLOOR_DB);
  useEffect(() => {
    let timer;
    const look = () => setDb(previewer.level());
    const changed = () => {
      clearInterval(timer);
      look();
      if (previewer.sounding) timer = setInterval(look, EVERY);
    };
    previewer.addEventListener("change", changed);
    return () => {
      clearInterval(timer);
      previewer.removeEventListener("change", changed);
    };
  }, [previewer]);
  return html`<${Level} db=${db} />`;
}
