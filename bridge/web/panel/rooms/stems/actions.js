/** What is done with a finished set: hosts, downloads, absent sounds, and stems that go with it. */

import { html, useEffect, useState } from "../../vendor/preact-htm.js";
import { Button, Choice, Field, NumberField } from "../../ui.js";
import { Classes } from "./ask.js";
import { STEMS, stemOf } from "./set.js";
import { Activity } from "./suggestions.js";

const HOST_LABELS = {
  folder: "Folder with a page", dawproject: "DAWproject (Bitwig, Studio One, Cubase)",
  "dawproject-external": "DAWproject beside the files", rpp: "REAPER project",
  reaper: "REAPER, from its action", ardour: "Ardour session", ableton: "Ableton Live, running",
  midi: "MIDI markers", audacity: "Audacity list and labels",
};

/** Put the stems into a host of this machine. */
export function SendToHost(/** @type {import("../../api.js").Props} */ { api, say, set }) {
  const [hosts, setHosts] = useState([]);
  const [host, setHost] = useState("folder");
  const [placed, setPlaced] = useState(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    api.get("/v1/hosts").then((answer) => setHosts(answer.hosts), () => {});
  }, []);
  useEffect(() => setPlaced(null), [set]);
  const place = async () => {
    setBusy(true);
    try {
      setPlaced(await api.send("POST", `/v1/jobs/${set.id}/place`, { host }));
    } catch (error) {
      say(error.reason, "error");
    } finally {
      setBusy(false);
    }
  };
  if (!hosts.length) return null;
  return html`
    <div class="host">
      <${Choice} label="Send to" value=${host} onChange=${setHost}
        options=${hosts.map(({ name }) => ({ value: name, label: HOST_LABELS[name] ?? name }))} />
      <${Button} onClick=${place} disabled=${busy}>Send<//>
      ${placed && html`<div role="status"><p>${placed.text}</p>
        <ul>${placed.files.map((file) => html`<li><code>${file}</code></li>`)}</ul></div>`}
    </div>`;
}

/** What was asked for and not found, and the way to have it all the same. */
export function Absent({ set, onForce, busy }) {
  const absent = set.manifest.absent ?? [];
  if (!absent.length) return null;
  return html`
    <div class="absent">
      <h4>Called absent</h4>
      <p>These were not heard in the recording, so no stem was made of them; what there is of them is in the others and
        the residual.</p>
      <ul>${absent.map((sound) => html`
        <li key=${sound.prompt}><strong>${sound.prompt}</strong>: heard with
          ${` ${Math.round(100 * sound.presence)} %`}
          <${Activity} values=${sound.activity ?? []} label=${sound.prompt} /></li>`)}</ul>
      <${Button} disabled=${busy} onClick=${() => onForce(absent)}>Force stems of them<//>
    </div>`;
}

/** Have stems generated that go with some of the set. `onAsk`: called with a job */
export function Accompany(/** @type {import("../../api.js").Props} */ { api, say, set, busy, onAsk }) {
  const named = set.parts.filter((part) => !part.isResidual);
  const [given, setGiven] = useState({});
  const [add, setAdd] = useState([]);
  const [prompt, setPrompt] = useState("");
  const [seed, setSeed] = useState(0);
  const [sending, setSending] = useState(false);
  useEffect(() => {
    const known = {};
    for (const part of named) if (stemOf(part.name)) known[stemOf(part.name)] ??= part.wav;
    const some = Object.entries(known).slice(0, 3);
    setGiven(Object.fromEntries(some));
    setAdd(STEMS.filter((stem) => !some.some(([name]) => name === stem)));
  }, [set]);
  const giving = Object.entries(given).filter(([, wav]) => wav);
  const free = STEMS.filter((stem) => !given[stem]);
  const adding = add.filter((stem) => free.includes(stem));
  const ask = async () => {
    setSending(true);
    try {
      const files = {};
      for (const [stem, wav] of giving) {
        const { url } = named.find((part) => part.wav === wav);
        const bytes = await (await fetch(url)).blob();
        files[stem] = (await api.upload(new File([bytes], wav))).ref;
      }
      onAsk({ kind: "accompany", given: files, add: adding, prompt: prompt.trim(), seed });
    } catch (error) {
      say(error.reason ?? String(error), "error");
    } finally {
      setSending(false);
    }
  };
  const choices = [{ value: "", label: "not given" }, ...named.map((p) => ({ value: p.wav, label: p.name }))];
  return html`
    <details class="accompany">
      <summary>Accompany: generate stems that go with these</summary>
      <div class="fields">
        ${STEMS.map((stem) => html`
          <${Choice} key=${stem} label=${`As ${stem}`} value=${given[stem] ?? ""} options=${choices}
            onChange=${(wav) => setGiven({ ...given, [stem]: wav })} />`)}
      </div>
      <${Classes} label="Generate" names=${free} chosen=${adding} onChange=${setAdd} />
      <div class="fields">
        <${Field} label="What it should sound like" value=${prompt} onInput=${setPrompt} maxlength="300" />
        <${NumberField} label="Seed" value=${seed} min=${0} max=${2 ** 31 - 1}
          onChange=${(value) => setSeed(Math.round(value))} />
      </div>
      <${Button} onClick=${ask}
        disabled=${busy || sending || !giving.length || giving.length > 3 || !adding.length}>Accompany<//>
    </details>`;
}
