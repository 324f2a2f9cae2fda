/** What the server has: a search as one types, slots and trash, the presets that come along. */

import { useEffect, useRef, useState } from "../../vendor/preact-htm.js";
import { Previewer } from "./preview.js";
import { allTags, among, searchUrl } from "./queries.js";

const TYPING = 120; // ms without a key before it is searched

export const NOTHING = { words: "", tags: [], renderer: "", like: "" };

/** Search as one types; an answer that a newer question overtook is dropped. */
export function useSearch(/** @type {import("../../api.js").Api} */ api, say, asked, turn) {
  const [found, setFound] = useState({ presets: [], count: 0, tags: [] });
  const newest = useRef(0);
  useEffect(() => {
    const number = ++newest.current;
    const look = async () => {
      try {
        const answer = await api.get(searchUrl(asked));
        if (number === newest.current) setFound(answer);
      } catch (error) {
        say(error.reason, "error");
      }
    };
    const timer = setTimeout(look, TYPING);
    return () => clearTimeout(timer);
  }, [asked, turn]);
  return found;
}

/** The presets that come with Scorewire, fetched once they are wanted, searched here. */
export function useFactory(/** @type {import("../../api.js").Api} */ api, say, asked, wanted) {
  const [presets, setPresets] = useState(null);
  useEffect(() => {
    if (!wanted || presets) return;
    api.get("/v1/factory").then(
      (answer) => setPresets(answer.presets),
      (error) => say(error.reason, "error"),
    );
  }, [wanted]);
  const all = presets ?? [];
  return { presets: among(all, asked), count: all.length, tags: allTags(all) };
}

/** The slots and the trash; `look` asks for them again. */
export function useShelves(/** @type {import("../../api.js").Api} */ api, say) {
  const [slots, setSlots] = useState({ slots: {}, playing: false });
  const [trash, setTrash] = useState([]);
  const look = async () => {
    try {
      setSlots(await api.get("/v1/slots"));
      setTrash((await api.get("/v1/trash")).presets);
    } catch (error) {
      say(error.reason, "error");
    }
  };
  return { ...slots, trash, look };
}

/** One previewer for the room; what it cannot play is said. */
export function usePreviewer(/** @type {import("../../api.js").Api} */ api, say) {
  const [previewer] = useState(() => new Previewer(api));
  useEffect(() => {
    const failed = (/** @type {any} */ { detail }) => say(detail.reason ?? detail.message, "error");
    previewer.addEventListener("fail", failed);
    return () => {
      previewer.removeEventListener("fail", failed);
      previewer.close();
    };
  }, []);
  return previewer;
}
