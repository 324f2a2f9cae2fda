// Made by tests/api_types.py from the OpenAPI document; test_http_openapi.py compares.

/** Generate stems that go with given ones, in time and at their place. */
export interface Accompany {
  out?: string;
  replace?: boolean;
  new?: boolean;
  within?: Array<string>;
  kind: "accompany";
  given: Record<string, string>;
  add?: Array<"bass" | "drums" | "guitar" | "piano">;
  prompt?: string;
  like?: string | null;
  steps?: number | null;
  guidance?: number | null;
  seed?: number;
  stem_model?: string;
  tempo?: Array<any[]>;
  host?: string | null;
}

/** Keep a preset in the library. */
export interface AddPreset {
  preset: Preset;
  tags?: Array<string>;
  sound?: string;
}

/** The best so far, playable now: a preset file and a WAV of it. */
export interface Best {
  kind: "best";
  id: string;
  step: number;
  score: number;
  rating: number | null;
  preset: string;
  wav: string;
  initial: string | null;
}

/** Stopped on request; nothing half-written stays. */
export interface Cancelled {
  kind: "cancelled";
  id: string;
}

/** Give a preset of the library another name or other tags. */
export interface ChangePreset {
  name?: string;
  add_tags?: Array<string>;
  remove_tags?: Array<string>;
}

/** A line of the examination: what was seen, and what to do where it is not `ok`. */
export interface CheckEntry {
  name: string;
  ok: boolean;
  text: string;
  fix: string;
  optional: boolean;
}

/** From the driver, when it has changed: machines, workers that are ready, runs that wait. */
export interface Cluster {
  kind?: "cluster";
  machines: number;
  workers: number;
  waiting: number;
  problem?: string;
}

/** Convert a released checkpoint of multi-source diffusion (MSDM) to safetensors. */
export interface Convert {
  out?: string;
  replace?: boolean;
  new?: boolean;
  within?: Array<string>;
  kind: "convert";
  file: string;
  to?: "safetensors";
}

/** Find the training recording that a sound is nearest to: is it a copy of one? */
export interface CopyCheck {
  kind: "copycheck";
  file: string;
  label?: string | null;
}

/** Design patches from a prompt, or from a recording that they are to sound like. */
export interface DesignPatch {
  out?: string;
  replace?: boolean;
  new?: boolean;
  within?: Array<string>;
  kind: "patch";
  like?: string | null;
  prompt?: string;
  renderer?: "auto" | "fm" | "impact";
  count?: number;
  duration?: number | null;
  steps?: number | null;
  seed?: number;
  searches?: number;
  recipe?: "paper" | "default" | "fast";
  model?: string;
  scorer?: string;
  note?: number | null;
  pitched?: boolean | null;
  loudness?: number | null;
  start?: string | null;
  matrix?: string | null;
  operators?: number | null;
  modes?: number | null;
  denoise_steps?: number | null;
  slot?: number | null;
}

/** What `scorewire doctor --json` prints. */
export interface DoctorReport {
  ok: boolean;
  version: string;
  checks: Array<CheckEntry>;
}

/** Edit a preset by words, such as "darker". */
export interface EditPreset {
  out?: string;
  replace?: boolean;
  new?: boolean;
  within?: Array<string>;
  kind: "edit";
  preset: string;
  prompt: string;
  old?: string | null;
  steps?: number | null;
  seed?: number;
  model?: string;
}

/** One effect of the chain: pedalboard's class as `kind`, or VST3 with the `plugin` it is. */
export interface Effect {
  kind: string;
  values?: Record<string, number>;
  plugin?: Plugin | null;
}

export interface Error {
  error: {
    code: string;
    reason: string;
  };
}

/** Measure the scoreboard. */
export interface Evaluate {
  out?: string;
  replace?: boolean;
  new?: boolean;
  within?: Array<string>;
  kind: "eval";
  suites?: Array<"codec" | "prior" | "patch" | "playable" | "separate" | "ablation" | "stage_by_stage" | "multisource" | "all">;
  data: string;
  models?: Array<string>;
  evaluation_scorer?: string;
  seed?: number;
  items?: number | null;
  methods?: Array<string>;
  measured?: boolean;
}

/** Whether an examination runs, and what the newest said and when. */
export interface Examined {
  running: boolean;
  ended: number | null;
  report: DoctorReport | null;
}

/** Export a preset to files of other synths. */
export interface Export {
  out?: string;
  replace?: boolean;
  new?: boolean;
  within?: Array<string>;
  kind: "export";
  preset: string;
  formats: Array<string>;
  rate?: 44100 | 48000;
}

/** The presets that come with Scorewire. */
export interface FactoryList {
  presets: Array<PresetEntry>;
}

/** Why not: a stable short `code` (bad-input, no-model, crashed, ...) and a sentence. */
export interface Failed {
  kind: "failed";
  id: string;
  code: string;
  reason: string;
}

/** Put a preset into a slot. */
export interface FillSlot {
  preset: string;
}

/** A slot that was filled. */
export interface FilledSlot {
  slot: number;
  file: string;
  name: string;
}

/** A format of export, and whose presets it takes. */
export interface FormatEntry {
  name: string;
  suffix: string;
  text: string;
  renderers: Array<string>;
}

/** The formats of export. */
export interface FormatList {
  formats: Array<FormatEntry>;
}

/** Generate sounds by prompts: clips, or with `stems` sets of stems that belong together. */
export interface GenerateClips {
  out?: string;
  replace?: boolean;
  new?: boolean;
  within?: Array<string>;
  kind: "generate";
  prompts: Array<string>;
  stems?: Array<"bass" | "drums" | "guitar" | "piano">;
  like?: string | null;
  source?: string | null;
  keep?: Array<any[]>;
  duration?: number | null;
  bars?: number | null;
  tempo?: number | null;
  count?: number | null;
  steps?: number | null;
  guidance?: number | null;
  sampler?: string | null;
  schedule?: string | null;
  seed?: number;
  model?: string;
  stem_model?: string;
  host?: string | null;
}

/** How the server is; `seconds` since it began. */
export interface Health {
  version: string;
  state: string;
  seconds: number;
  data: string;
  model: string;
  models: Array<ModelEntry>;
  processes: Array<ProcessEntry>;
  cluster: Cluster | null;
  player: PlayerState | null;
}

/** A host, and the suffix of its files, empty where there is none. */
export interface HostEntry {
  name: string;
  suffix: string;
}

/** The hosts that take stems. */
export interface HostList {
  hosts: Array<HostEntry>;
}

/** All that is known of a job; times in seconds since 1970. */
export interface JobEntry {
  id: string;
  kind: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled" | "interrupted";
  ahead: number | null;
  fraction: number;
  stage: string;
  created: number;
  started: number | null;
  ended: number | null;
  code: string;
  reason: string;
  job: Record<string, any>;
  result: Record<string, any> | null;
  files: Array<JobFile>;
}

/** A file of a job's result, and its address. */
export interface JobFile {
  name: string;
  bytes: number;
  url: string;
}

/** Jobs, newest first. */
export interface JobList {
  jobs: Array<JobEntry>;
}

/** Keep a patch that a search found: the library tags it `kept`, and no more `inbox`. */
export interface Keep {
  number: number;
  star?: boolean;
  job?: string;
}

/** A patch that was kept: its file in the library. */
export interface Kept {
  number: number;
  name: string;
  preset: string;
  tags: Array<string>;
}

/** The values of a preset, and the settings of each kind of effect. */
export interface KnobTable {
  params: Array<ParamEntry>;
  effects: Record<string, Array<ParamEntry>>;
}

/** Say what the values of a preset may be. */
export interface Knobs {
  preset: Preset;
}

/** The newest lines of the log. */
export interface Log {
  lines: Array<LogLine>;
}

/** A line of the log. */
export interface LogLine {
  number: number;
  time: number;
  level: string;
  name: string;
  text: string;
}

/** A model that comes with Scorewire, and its bytes on disk. */
export interface ModelEntry {
  name: string;
  bytes: number;
}

/** Make presets on the way from one to another, both ends among them. */
export interface Morph {
  out?: string;
  replace?: boolean;
  new?: boolean;
  within?: Array<string>;
  kind: "morph";
  preset: string;
  other: string;
  steps?: number;
}

/** A link that lets one browser in, and for how many seconds. */
export interface PanelLink {
  url: string;
  seconds: number;
}

/** What one value may be. */
export interface ParamEntry {
  name: string;
  low: number;
  high: number;
  unit: string;
  scale: string;
}

/** Do a share of the steps of a job that can be done apart, and leave them in its folder. */
export interface Part {
  kind: "part";
  job: Separate | DesignPatch | Evaluate;
  index: number;
  of: number;
}

/** Put the stems of a job that is done on the tracks of a host. */
export interface Place {
  host: string;
}

/** What a host said, and the files it was given. */
export interface Placed {
  host: string;
  text: string;
  files: Array<string>;
}

/** Put presets into the slots 1, 2, ... of library and player; start a player where none is. */
export interface Play {
  presets?: Array<string>;
}

/** The files in all slots, and whether a player was started. */
export interface Played {
  slots: Record<string, string>;
  started: boolean;
}

/** The player's device, or why there is none, and the files in its slots. */
export interface PlayerState {
  device: Record<string, any> | null;
  reason: string;
  slots: Record<string, string>;
}

/** A VST3 plugin by the name of its file, never by a path: a preset names code, brings none. */
export interface Plugin {
  file: string;
  name?: string;
  instrument?: boolean;
  state?: string;
}

/** Version, and `idle` or `busy`. */
export interface Pong {
  version: string;
  state: string;
}

/** One sound as data. `values` are physical (Hz, seconds, ...), keyed by the renderer's params. */
export interface Preset {
  format?: 1;
  name: string;
  renderer: string;
  renderer_version: number;
  values: Record<string, number>;
  note?: number;
  seconds?: number;
  held?: number | null;
  effects?: Array<Effect>;
  prompt?: string;
  seed?: number | null;
  provenance?: Provenance;
  tags?: Array<string>;
}

/** What a list says of a preset; `distance` 0..1 where likeness was asked for. */
export interface PresetEntry {
  file: string;
  name: string;
  renderer: string;
  prompt: string;
  tags: Array<string>;
  preview: boolean;
  distance: number | null;
}

/** Presets that were found, how many the library has, and all tags in use. */
export interface PresetList {
  presets: Array<PresetEntry>;
  count: number;
  tags: Array<string>;
}

/** Check the worker for `doctor`: run a kernel, load the model. */
export interface Probe {
  kind: "probe";
  model?: string;
}

/** A process of the server, and its bytes of memory. */
export interface ProcessEntry {
  pid: number;
  name: string;
  bytes: number;
}

/** How far: `fraction` 0..1 of the whole job, `eta` seconds left, `stage` in words. */
export interface Progress {
  kind: "progress";
  id: string;
  fraction: number;
  stage: string;
  eta: number | null;
  figures: Record<string, number>;
}

/** Who made the sound: model and code versions, method, steps, and the scores then measured. */
export interface Provenance {
  code?: string;
  model?: string;
  model_hash?: string;
  method?: string;
  steps?: number;
  score_before?: number | null;
  score_after?: number | null;
}

/** Record what plays on a JACK server into a WAV file that does not exist yet. */
export interface Record {
  out?: string;
  replace?: false;
  new?: boolean;
  within?: Array<string>;
  kind: "record";
  inputs?: Array<string>;
  duration?: number | null;
  start_samples?: number | null;
}

/** Render a preset file to a WAV file. */
export interface RenderPreset {
  out?: string;
  replace?: boolean;
  new?: boolean;
  within?: Array<string>;
  kind: "render";
  preset: string;
  note?: number | null;
  velocity?: number;
  duration?: number | null;
  plugin?: string | null;
  fleeting?: boolean;
}

/** Separate a track into stems and a residual that add up to it. */
export interface Separate {
  out?: string;
  replace?: boolean;
  new?: boolean;
  within?: Array<string>;
  kind: "separate";
  file: string;
  auto?: boolean;
  force?: boolean;
  stems?: Array<"bass" | "drums" | "guitar" | "piano">;
  prompts?: Array<string>;
  negatives?: Array<string>;
  excerpt?: number | null;
  excerpt_begin?: number | null;
  method?: "default" | "fast" | "best" | "masks" | "paper" | "dirac" | "gaussian" | "accurate";
  steps?: number | null;
  seed?: number;
  model?: string;
  stem_model?: string;
  start_samples?: number | null;
  tempo?: Array<any[]>;
  host?: string | null;
}

/** The preset in a slot. */
export interface SlotEntry {
  file: string;
  name: string;
}

/** The slots that are filled, by number, and whether this server plays them. */
export interface Slots {
  slots: Record<string, SlotEntry>;
  playing: boolean;
}

/** Render a preset at once, and keep nothing of it. */
export interface Sound {
  preset: Preset;
  note?: number | null;
  velocity?: number;
  duration?: number | null;
}

/** `done` as the stream of events says it: with the files of the result. */
export interface StreamedDone {
  kind: "done";
  id: string;
  result: Record<string, any>;
  files: Array<JobFile>;
}

/** Strike a slot once, as its pad does. */
export interface Strike {
  note?: number | null;
  velocity?: number;
}

/** Suggest prompts for a track, the likeliest first. */
export interface Suggest {
  kind: "suggest";
  file: string;
  top?: number;
}

/** The files in the trash. */
export interface Trash {
  presets: Array<string>;
}

/** What a deleted preset is called in the trash. */
export interface Trashed {
  trashed: string;
}

/** An upload, and the names that jobs called it by. */
export interface UploadEntry {
  id: string;
  names: Array<string>;
  bytes: number;
  used: number;
}

/** The uploads, the last used first. */
export interface UploadList {
  blobs: Array<UploadEntry>;
}

/** Make variations of a preset. */
export interface Vary {
  out?: string;
  replace?: boolean;
  new?: boolean;
  within?: Array<string>;
  kind: "vary";
  preset: string;
  count?: number;
  amount?: number;
  seed?: number;
}

/** A preset with all that its file holds. */
export interface WholePreset {
  file: string;
  name: string;
  renderer: string;
  prompt: string;
  tags: Array<string>;
  preview: boolean;
  distance: number | null;
  preset: Preset;
}

export type JobBody = DesignPatch | GenerateClips | Accompany | Separate | Suggest | CopyCheck | RenderPreset | Export | Vary | Morph | EditPreset | Record | Convert | Evaluate | Probe | Part;

export type JobEvent = Progress | Best | StreamedDone | Failed | Cancelled;

/** What is answered, by address. */
export interface Get {
  (path: `/v1/factory/${string}`): Promise<WholePreset>;
  (path: `/v1/jobs/${string}`): Promise<JobEntry>;
  (path: `/v1/library/${string}`): Promise<WholePreset>;
  (path: "/v1/blobs"): Promise<UploadList>;
  (path: "/v1/doctor"): Promise<Examined>;
  (path: "/v1/factory"): Promise<FactoryList>;
  (path: "/v1/formats"): Promise<FormatList>;
  (path: "/v1/health"): Promise<Health>;
  (path: "/v1/hosts"): Promise<HostList>;
  (path: "/v1/jobs" | `/v1/jobs?${string}`): Promise<JobList>;
  (path: "/v1/library" | `/v1/library?${string}`): Promise<PresetList>;
  (path: "/v1/log" | `/v1/log?${string}`): Promise<Log>;
  (path: "/v1/ping"): Promise<Pong>;
  (path: "/v1/slots"): Promise<Slots>;
  (path: "/v1/trash"): Promise<Trash>;
  (path: string): Promise<any>; // a file of a result
}

/** What is answered, by address. */
export interface Send {
  (method: "POST", path: `/v1/jobs/${string}/again`, body?: undefined, headers?: Record<string, string>): Promise<JobEntry>;
  (method: "POST", path: `/v1/jobs/${string}/place`, body: Place, headers?: Record<string, string>): Promise<Placed>;
  (method: "POST", path: `/v1/jobs/${string}/stop`, body?: undefined, headers?: Record<string, string>): Promise<JobEntry>;
  (method: "POST", path: `/v1/slots/${string}/trigger`, body: Strike, headers?: Record<string, string>): Promise<null>;
  (method: "POST", path: `/v1/trash/${string}/restore`, body?: undefined, headers?: Record<string, string>): Promise<WholePreset>;
  (method: "POST", path: "/v1/panel/link", body?: undefined, headers?: Record<string, string>): Promise<PanelLink>;
  (method: "POST", path: "/v1/panel/session", body?: undefined, headers?: Record<string, string>): Promise<null>;
  (method: "DELETE", path: "/v1/panel/session", body?: undefined, headers?: Record<string, string>): Promise<null>;
  (method: "DELETE", path: `/v1/jobs/${string}`, body?: undefined, headers?: Record<string, string>): Promise<JobEntry>;
  (method: "PATCH", path: `/v1/library/${string}`, body: ChangePreset, headers?: Record<string, string>): Promise<WholePreset>;
  (method: "DELETE", path: `/v1/library/${string}`, body?: undefined, headers?: Record<string, string>): Promise<Trashed>;
  (method: "PUT", path: `/v1/slots/${string}`, body: FillSlot, headers?: Record<string, string>): Promise<FilledSlot>;
  (method: "DELETE", path: `/v1/slots/${string}`, body?: undefined, headers?: Record<string, string>): Promise<null>;
  (method: "POST", path: "/v1/doctor", body?: undefined, headers?: Record<string, string>): Promise<Examined>;
  (method: "POST", path: "/v1/jobs", body: DesignPatch | GenerateClips | Accompany | Separate | Suggest | CopyCheck | RenderPreset | Export | Vary | Morph | EditPreset | Record | Convert | Evaluate | Probe | Part, headers?: Record<string, string>): Promise<JobEntry>;
  (method: "POST", path: "/v1/keep", body: Keep, headers?: Record<string, string>): Promise<Kept>;
  (method: "POST", path: "/v1/knobs", body: Knobs, headers?: Record<string, string>): Promise<KnobTable>;
  (method: "POST", path: "/v1/library", body: AddPreset, headers?: Record<string, string>): Promise<WholePreset>;
  (method: "POST", path: "/v1/play", body: Play, headers?: Record<string, string>): Promise<Played>;
  (method: "POST", path: "/v1/suggest", body: Suggest, headers?: Record<string, string>): Promise<JobEntry>;
}
