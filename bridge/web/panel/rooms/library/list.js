/** The presets that were found: heard when pointed at, dragged to a pad or out of the window. */

import { html } from "../../vendor/preact-htm.js";
import { DRAGGED, dragAddress, likeness, presetUrl } from "./queries.js";

/**
 * `shelf`: "library", whose presets can be dragged, or "factory"
 * `format`: as what a preset leaves the window when it is dragged out
 */
export function PresetList({ presets, shelf, chosen, format, previewer, hover, onChoose }) {
  const point = ({ file, preview }) => hover && preview && previewer.point(presetUrl(file, "/sound", shelf));
  const drag = (event, preset) => {
    event.dataTransfer.setData(DRAGGED, JSON.stringify({ file: preset.file, name: preset.name }));
    const { url, download } = dragAddress(preset.file, format, location.href);
    event.dataTransfer.setData("DownloadURL", download);
    event.dataTransfer.setData("text/uri-list", url);
  };
  return html`
    <ul class="presets" aria-label="Presets" onMouseLeave=${() => previewer.stop()}>
      ${presets.map((preset) => html`
        <li key=${preset.file}>
          <button type="button" draggable=${shelf === "library"} onDragStart=${(event) => drag(event, preset)}
            aria-pressed=${preset.file === chosen ? "true" : "false"} onClick=${() => onChoose(preset)}
            onMouseEnter=${() => point(preset)} onFocus=${() => point(preset)} onBlur=${() => previewer.stop()}>
            <span class="name">${preset.name}</span>
            <small>${[preset.renderer, ...preset.tags].join(", ")}</small>
            ${likeness(preset.distance) && html`<small>${likeness(preset.distance)}</small>`}
          </button>
        </li>`)}
    </ul>`;
}
