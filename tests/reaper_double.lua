-- A double of REAPER for our Lua actions: exactly the ReaScript calls they use, and no other.
--
-- SIGNATURES is written from REAPER's own API page (ReaScript help, Lua): how many arguments, of
-- which types. A call that REAPER would refuse is an error here, and so is an attribute it lacks.
-- What it does is a model of REAPER, not REAPER.

local world = {
  now = 0, keys = {}, boxes = {}, commands = {}, actions = {}, inputs = nil, file = nil,
  ext = {}, deferred = {}, projects = {}, front = nil, undone = {}, calls = {},
  device_rate = "44100", media = "", script = "", split_overlaps = 0, refresh = 0, window = nil,
  drawn = {}, unreadable = {}, accessors = 0,
}

local SIGNATURES = {
  AddMediaItemToTrack = { "track" },
  AddTakeToMediaItem = { "item" },
  atexit = { "function" },
  ColorToNative = { "integer", "integer", "integer" },
  CountMediaItems = { "project" },
  CountSelectedTracks = { "project" },
  CountTempoTimeSigMarkers = { "project" },
  CountTracks = { "project" },
  CreateTrackAudioAccessor = { "track" },
  defer = { "function" },
  DestroyAudioAccessor = { "accessor" },
  EnumProjects = { "integer" },
  ExecProcess = { "string", "integer" },
  get_action_context = {},
  GetActiveTake = { "item" },
  GetAudioAccessorSamples = { "accessor", "integer", "integer", "number", "integer", "array" },
  GetAudioDeviceInfo = { "string" },
  GetExtState = { "string", "string" },
  GetMediaItem = { "project", "integer" },
  GetMediaItemInfo_Value = { "item", "string" },
  GetMediaItemTake_Source = { "take" },
  GetMediaItemTrack = { "item" },
  GetMediaSourceNumChannels = { "source" },
  GetMediaTrackInfo_Value = { "track", "string" },
  GetProjectPathEx = { "project" },
  GetSelectedTrack = { "project", "integer" },
  GetSet_LoopTimeRange2 = { "project", "boolean", "boolean", "number", "number", "boolean" },
  GetSetMediaItemTakeInfo_String = { "take", "string", "string", "boolean" },
  GetSetMediaTrackInfo_String = { "track", "string", "string", "boolean" },
  GetSetProjectInfo = { "project", "string", "number", "boolean" },
  GetTempoTimeSigMarker = { "project", "integer" },
  GetTrack = { "project", "integer" },
  GetUserFileNameForRead = { "string", "string", "string" },
  GetUserInputs = { "string", "integer", "string", "string" },
  InsertTrackAtIndex = { "integer", "boolean" },
  IsMediaItemSelected = { "item" },
  Main_OnCommand = { "integer", "integer" },
  new_array = { "integer" },
  PCM_Source_CreateFromFile = { "string" },
  PCM_Source_Destroy = { "source" },
  PreventUIRefresh = { "integer" },
  RecursiveCreateDirectory = { "string", "integer" },
  SetExtState = { "string", "string", "string", "boolean" },
  SetMediaItemInfo_Value = { "item", "string", "number" },
  SetMediaItemTake_Source = { "take", "source" },
  SetMediaTrackInfo_Value = { "track", "string", "number" },
  ShowMessageBox = { "string", "string", "integer" },
  SplitMediaItem = { "item", "number" },
  TakeIsMIDI = { "take" },
  time_precise = {},
  TimeMap2_timeToQN = { "project", "number" },
  TrackList_AdjustWindows = { "boolean" },
  Undo_BeginBlock2 = { "project" },
  Undo_DoUndo2 = { "project" },
  Undo_EndBlock2 = { "project", "string", "integer" },
  UpdateArrange = {},
  ValidatePtr = { "pointer", "string" },
  ValidatePtr2 = { "project", "pointer", "string" },
}

local GFX = {
  drawstr = { "string" },
  getchar = {},
  init = { "string", "integer", "integer" },
  quit = {},
  rect = { "number", "number", "number", "number", "integer" },
  set = { "number", "number", "number" },
  setfont = { "integer", "string", "integer" },
  update = {},
}

local TRACK = { B_MUTE = 0, D_VOL = 1, I_CUSTOMCOLOR = 0, I_FOLDERDEPTH = 0, I_NCHAN = 2 }
local ITEM = {
  B_LOOPSRC = 1, B_MUTE = 0, D_FADEINLEN = 0.01, D_FADEINLEN_AUTO = 0.01, D_FADEOUTLEN = 0.01,
  D_FADEOUTLEN_AUTO = 0.01, D_LENGTH = 0, D_POSITION = 0, D_VOL = 1,
}

local ROUNDING = 1e-9 -- seconds

local function copy(from)
  local to = {}
  for key, value in pairs(from) do
    to[key] = value
  end
  return to
end

local function is(kind, value)
  if kind == "integer" then
    return type(value) == "number" and math.tointeger(value) ~= nil
  elseif kind == "pointer" then
    return type(value) == "table" and value.kind ~= nil
  elseif kind == "number" or kind == "string" or kind == "boolean" or kind == "function" then
    return type(value) == kind
  end
  return type(value) == "table" and value.kind == kind
end

-- A library that checks each call against its signature before it does it.
local function checked(name, signatures, body)
  local library = {}
  for call, types in pairs(signatures) do
    assert(body[call], "the double does not do " .. call)
    library[call] = function(...)
      local given = select("#", ...)
      if given ~= #types then
        error(("%s.%s takes %d arguments, got %d"):format(name, call, #types, given), 2)
      end
      for i, kind in ipairs(types) do
        if not is(kind, (select(i, ...))) then
          error(("%s.%s: argument %d must be %s, got %s"):format(
            name, call, i, kind, tostring((select(i, ...)))), 2)
        end
      end
      world.calls[call] = (world.calls[call] or 0) + 1
      return body[call](...)
    end
  end
  return setmetatable(library, {
    __index = function(_, call) error(name .. "." .. tostring(call) .. " is not in the table", 2) end,
  })
end

-- The project

function world.project(rate)
  local project = { kind = "project", tracks = {}, tempo = { { 0, 120 } }, rate = rate, sel = { 0, 0 } }
  world.projects[#world.projects + 1] = project
  world.front = world.front or project
  return project
end

function world.track(project, name, index)
  local track = {
    kind = "track", name = name, info = copy(TRACK), items = {}, selected = false, project = project,
  }
  table.insert(project.tracks, index or #project.tracks + 1, track)
  return track
end

function world.item(track, info)
  local item = { kind = "item", track = track, info = copy(ITEM), selected = false }
  for key, value in pairs(info or {}) do
    item.info[key] = value
  end
  table.insert(track.items, item)
  return item
end

-- A take of a sound f(source seconds, channel), `length` seconds long.
function world.take(item, f, length, offset, playrate, reverse, channels)
  item.take = {
    kind = "take", name = "", offset = offset, playrate = playrate, reverse = reverse, midi = false,
    source = { kind = "source", f = f, length = length, channels = channels },
  }
  return item.take
end

local function heard(track, seconds, channel)
  local sum = 0
  for _, item in ipairs(track.items) do
    local info, take = item.info, item.take
    local at = seconds - info.D_POSITION
    local inside = at >= -ROUNDING and at < info.D_LENGTH - ROUNDING
    if take and take.source.f and info.B_MUTE == 0 and inside then
      local source = take.offset + at * take.playrate
      source = take.reverse and take.source.length - source or source
      if source >= 0 and source < take.source.length then
        sum = sum + info.D_VOL * take.source.f(source, math.min(channel, take.source.channels))
      end
    end
  end
  return sum
end

local function snapshot(project)
  local kept = {}
  for i, track in ipairs(project.tracks) do
    local items = {}
    for j, item in ipairs(track.items) do
      items[j] = { item = item, info = copy(item.info) }
    end
    kept[i] = { track = track, info = copy(track.info), name = track.name, items = items }
  end
  return kept
end

local function restore(project, kept)
  project.tracks = {}
  for i, was in ipairs(kept) do
    was.track.info, was.track.name, was.track.items = was.info, was.name, {}
    for j, item in ipairs(was.items) do
      item.item.info = item.info
      was.track.items[j] = item.item
    end
    project.tracks[i] = was.track
  end
end

local function attribute(handle, key)
  local value = handle.info[key]
  if value == nil then
    error("REAPER has no attribute " .. key, 3)
  end
  return value
end

local body = {}

function body.CountTracks(project) return #project.tracks end
function body.GetTrack(project, i) return project.tracks[i + 1] end
function body.InsertTrackAtIndex(i) world.track(world.front, "", i + 1) end
function body.GetMediaTrackInfo_Value(track, key)
  if key == "IP_TRACKNUMBER" then
    for i, other in ipairs(track.project.tracks) do
      if other == track then return i + 0.0 end
    end
  end
  return attribute(track, key) + 0.0
end
function body.SetMediaTrackInfo_Value(track, key, value)
  attribute(track, key)
  track.info[key] = value
  return true
end
function body.GetSetMediaTrackInfo_String(track, key, value, set)
  assert(key == "P_NAME")
  if set then track.name = value end
  return true, track.name
end
function body.CountSelectedTracks(project)
  local count = 0
  for _, track in ipairs(project.tracks) do
    count = count + (track.selected and 1 or 0)
  end
  return count
end
function body.GetSelectedTrack(project, number)
  for _, track in ipairs(project.tracks) do
    if track.selected then
      if number == 0 then return track end
      number = number - 1
    end
  end
end

local function items(project)
  local all = {}
  for _, track in ipairs(project.tracks) do
    for _, item in ipairs(track.items) do
      all[#all + 1] = item
    end
  end
  return all
end

function body.CountMediaItems(project) return #items(project) end
function body.GetMediaItem(project, i) return items(project)[i + 1] end
function body.IsMediaItemSelected(item) return item.selected end
function body.GetMediaItemTrack(item) return item.track end
function body.GetActiveTake(item) return item.take end
function body.TakeIsMIDI(take) return take.midi end
function body.GetMediaItemTake_Source(take) return take.source end
function body.GetMediaSourceNumChannels(source) return source.channels end
function body.GetMediaItemInfo_Value(item, key) return attribute(item, key) + 0.0 end
function body.SetMediaItemInfo_Value(item, key, value)
  attribute(item, key)
  item.info[key] = value
  return true
end
function body.AddMediaItemToTrack(track) return world.item(track) end
function body.AddTakeToMediaItem(item) return world.take(item, nil, 0, 0, 1, false, 0) end
function body.SetMediaItemTake_Source(take, source)
  take.source = source
  return true
end
function body.GetSetMediaItemTakeInfo_String(take, key, value, set)
  assert(key == "P_NAME" and set)
  take.name = value
  return true, value
end
function body.PCM_Source_CreateFromFile(path)
  local file = io.open(path, "rb")
  if not file or world.unreadable[path] then return nil end
  file:close()
  return { kind = "source", path = path, channels = 2, length = 0 }
end
function body.PCM_Source_Destroy(source) source.destroyed = true end
function body.SplitMediaItem(item, time)
  local info = item.info
  if time <= info.D_POSITION or time >= info.D_POSITION + info.D_LENGTH then return nil end
  local right = world.item(item.track, copy(info))
  right.take = copy(item.take)
  right.take.offset = item.take.offset + (time - info.D_POSITION) * item.take.playrate
  right.info.D_POSITION, right.info.D_LENGTH = time, info.D_POSITION + info.D_LENGTH - time
  info.D_LENGTH = time - info.D_POSITION + world.split_overlaps -- the crossfade preference
  info.D_FADEOUTLEN, right.info.D_FADEINLEN = world.split_overlaps, world.split_overlaps
  return right
end

-- Sound

function body.CreateTrackAudioAccessor(track)
  world.accessors = world.accessors + 1
  return { kind = "accessor", track = track }
end
function body.DestroyAudioAccessor(accessor)
  assert(not accessor.destroyed)
  accessor.destroyed = true
  world.accessors = world.accessors - 1
end
function body.new_array(size)
  local array = { kind = "array" }
  function array.clear()
    for i = 1, size do array[i] = 0 end
  end
  function array.table(offset, count)
    assert(offset + count - 1 <= size)
    return table.move(array, offset, offset + count - 1, 1, {})
  end
  array.clear()
  return array
end
function body.GetAudioAccessorSamples(accessor, rate, channels, start, count, buffer)
  assert(not accessor.destroyed)
  for i = 0, count - 1 do
    for channel = 1, channels do
      buffer[i * channels + channel] = heard(accessor.track, start + i / rate, channel)
    end
  end
  return 1
end
function body.GetAudioDeviceInfo(key)
  assert(key == "SRATE")
  return world.device_rate ~= nil, world.device_rate or ""
end
function body.GetSetProjectInfo(project, key, _, set)
  assert(not set)
  local values = { PROJECT_SRATE_USE = project.rate and 1 or 0, PROJECT_SRATE = project.rate or 0 }
  return values[key] + 0.0
end

-- Time

function body.GetSet_LoopTimeRange2(project, set) assert(not set) return table.unpack(project.sel) end
function body.CountTempoTimeSigMarkers(project) return #project.tempo end
function body.GetTempoTimeSigMarker(project, i)
  local point = project.tempo[i + 1]
  return point ~= nil, point[1] + 0.0, 0, 0.0, point[2] + 0.0, 4, 4, false
end
function body.TimeMap2_timeToQN(project, time)
  local beats = 0
  for i, point in ipairs(project.tempo) do
    local following = project.tempo[i + 1]
    local last = following and math.min(following[1], time) or time
    beats = beats + math.max(0, last - point[1]) * point[2] / 60
  end
  return beats
end
function body.time_precise()
  world.now = world.now + 0.002
  return world.now
end

-- The rest

function body.ColorToNative(red, green, blue) return red | green << 8 | blue << 16 end
function body.atexit(stop) world.exit = stop end
function body.defer(turn)
  world.deferred[#world.deferred + 1] = turn
  return true
end
function body.EnumProjects(i) assert(i == -1) return world.front, "" end
function body.ExecProcess(command, milliseconds)
  assert(milliseconds == -2, "anything else would block REAPER")
  world.commands[#world.commands + 1] = command
  return "0\n"
end
function body.get_action_context() return false, world.script, 0, 0, -1, -1, -1, "" end
function body.GetExtState(section, key) return world.ext[section .. "/" .. key] or "" end
function body.SetExtState(section, key, value) world.ext[section .. "/" .. key] = value end
function body.GetProjectPathEx() return world.media end
function body.GetUserInputs(_, count, captions)
  local said = captions:gsub(",separator=.*", ""):gsub(",extrawidth=%d+", "")
  local _, commas = said:gsub(",", "")
  assert(commas == count - 1, "a caption for each input")
  return world.inputs ~= nil, world.inputs or ""
end
function body.GetUserFileNameForRead() return world.file ~= nil, world.file or "" end
function body.Main_OnCommand(command) world.actions[#world.actions + 1] = command end
function body.PreventUIRefresh(count) world.refresh = world.refresh + count end
function body.RecursiveCreateDirectory(path)
  world.make_folder(path)
  return 1
end
function body.ShowMessageBox(text)
  world.boxes[#world.boxes + 1] = text
  return 1
end
function body.TrackList_AdjustWindows() end
function body.UpdateArrange() end
function body.Undo_BeginBlock2(project)
  assert(not project.open, "a block in a block")
  project.open = snapshot(project)
end
function body.Undo_EndBlock2(project, name)
  project.steps = project.steps or {}
  table.insert(project.steps, { name = name, before = project.open })
  project.open = nil
end
function body.Undo_DoUndo2(project)
  local step = table.remove(project.steps)
  restore(project, step.before)
  world.undone[#world.undone + 1] = step.name
  return 1
end
function body.ValidatePtr(handle) return not handle.gone end
function body.ValidatePtr2(_, handle) return not handle.gone end

local paint = { x = 0, y = 0 }
function paint.drawstr(text) world.drawn[#world.drawn + 1] = text end
function paint.getchar() return table.remove(world.keys, 1) or 0 end
function paint.init(title) world.window = title end
function paint.quit() world.window = nil end
function paint.rect(_, _, width) assert(width >= 0 and width <= 420) end
function paint.set() end
function paint.setfont() end
function paint.update() end

-- Runs what was deferred, one turn; false when there is nothing.
function world.turn()
  local turns = world.deferred
  world.deferred = {}
  world.now = world.now + 0.03
  for _, turn in ipairs(turns) do
    turn()
  end
  return #turns > 0
end

function world.play(track, seconds, channel) return heard(track, seconds, channel) end
function world.undo(project) body.Undo_DoUndo2(project) end
function world.run(path)
  world.script = path
  dofile(path)
end

reaper = checked("reaper", SIGNATURES, body)
gfx = checked("gfx", GFX, paint)
world.signatures = SIGNATURES
return world
