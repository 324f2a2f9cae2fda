/** The page: its rooms by the hash of the address, its messages, and the way in. */

import { html, render, useCallback, useEffect, useState } from "./vendor/preact-htm.js";
import { api, connection, watch } from "./api.js";
import { Button, Field } from "./ui.js";

const ROOMS = [
  ["patch", "Patch"],
  ["stems", "Stems"],
  ["library", "Library"],
  ["jobs", "Jobs"],
];

/** The room of a hash such as `#/patch/organ`, and the rest of it. */
export function placeOf(hash) {
  const [, name = "", ...rest] = hash.split("/");
  const known = ROOMS.some(([room]) => room === name);
  return { room: known ? name : "patch", rest: known ? decoded(rest.join("/")) : "", known, name };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const go = (hash) => {
  location.hash = hash;
};

/** The module of a room, asked for once; before it is known whether this browser is let in. */
const fetched = {};
function fetchRoom(room) {
  fetched[room] ??= import(`./rooms/${room}.js`).catch((error) => {
    delete fetched[room];
    throw error;
  });
  return fetched[room];
}

function App() {
  const [place, setPlace] = useState(placeOf(location.hash));
  const [state, setState] = useState("asking"); // asking, in, out
  const [entered, setEntered] = useState(false); // what was typed stays while it is out again
  const [up, setUp] = useState(true);
  const [rooms, setRooms] = useState({});
  const [said, setSaid] = useState(null);
  const say = useCallback((sentence, kind = "info") => setSaid({ sentence, kind }), []);

  useEffect(() => {
    const moved = () => setPlace(placeOf(location.hash));
    const on = (name, listener) => connection.addEventListener(name, listener);
    addEventListener("hashchange", moved);
    on("up", () => setUp(true));
    on("down", () => setUp(false));
    on("out", () => setState("out"));
    enter(setState, say);
    watch();
  }, []);
  useEffect(() => {
    if (state === "in") setEntered(true);
    if (state !== "in" || rooms[place.room]) return;
    fetchRoom(place.room).then(
      (module) => setRooms((known) => ({ ...known, [place.room]: module.default })),
      () => say("this room could not be loaded; reload the page", "error"),
    );
  }, [state, place.room]);

  useEffect(() => {
    if (rooms[place.room]) performance.mark("room"); // shown; the tests measure it
  }, [rooms]);
  const title = ROOMS.find(([name]) => name === place.room)[1];
  useEffect(() => {
    document.title = `${title} - Scorewire`;
  }, [title]);
  return html`
    <${Header} room=${place.room} up=${up} />
    <${Message} said=${said} onClose=${() => setSaid(null)} />
    <main id="main">
      ${state === "out" && html`<${SignIn} used=${place.name === "used"} onIn=${() => setState("in")} />`}
      ${entered && ROOMS.filter(([name]) => rooms[name]).map(([name, label]) => html`
        <section key=${name} aria-label=${label} hidden=${state !== "in" || name !== place.room} class="room">
          <${rooms[name]} api=${api} go=${go} say=${say}
            active=${state === "in" && name === place.room} rest=${name === place.room ? place.rest : ""} />
        </section>`)}
    </main>`;
}

async function enter(setState, say) {
  try {
    await api.get("/v1/jobs?limit=1");
    setState("in");
  } catch (error) {
    if (error.code === "no-server") setTimeout(() => enter(setState, say), 1000);
    else if (error.status !== 401) say(error.reason, "error");
  }
}

function Header({ room, up }) {
  return html`
    <header>
      <a class="skip" href="#main" onClick=${skip}>Skip to the room</a>
      <h1>Scorewire</h1>
      <nav aria-label="Rooms">
        ${ROOMS.map(([name, label]) => html`
          <a href=${`#/${name}`} aria-current=${name === room ? "page" : undefined}>${label}</a>`)}
      </nav>
      <p class="connection" role="status">${up ? "" : "The server does not answer; asking again."}</p>
    </header>`;
}

function skip(event) {
  event.preventDefault(); // the hash names the room
  const main = document.getElementById("main");
  main.tabIndex = -1;
  main.focus();
}

function Message({ said, onClose }) {
  return html`
    <div class="message" aria-live="polite" role=${said?.kind === "error" ? "alert" : "status"}>
      ${said && html`<p class=${said.kind}><span>${said.sentence}</span>
        <${Button} kind="plain" onClick=${onClose} label="Close the message">×<//></p>`}
    </div>`;
}

/** Shown to a browser that has no cookie: how to get one. */
function SignIn({ used, onIn }) {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState("");
  const signIn = async (event) => {
    event.preventDefault();
    const word = token.trim();
    if (!/^[\x21-\x7e]+$/.test(word)) {
      setProblem("a token is one word of Latin letters and digits");
      return;
    }
    try {
      await api.send("POST", "/v1/panel/session", undefined, { Authorization: `Bearer ${word}` });
      setToken("");
      onIn();
    } catch (error) {
      setProblem(error.reason);
    }
  };
  return html`
    <form class="pad sign-in" onSubmit=${signIn}>
      <h2>This browser is not let in yet</h2>
      ${used && html`<p class="error">That link was used already, or is too old.</p>`}
      <p>Run <code>scorewire panel</code> in a terminal: it opens this page with a new link.
        Or paste what <code>scorewire token</code> prints:</p>
      <${Field} label="Token" type="password" value=${token} onInput=${setToken} autocomplete="off" />
      ${problem && html`<p class="error" role="alert">${problem}</p>`}
      <${Button} type="submit">Let me in<//>
    </form>`;
}

fetchRoom(placeOf(location.hash).room).catch(() => {}); // said where it is shown
const box = document.getElementById("app");
box.replaceChildren();
render(html`<${App} />`, box);
