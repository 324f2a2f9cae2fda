-- Puts stems on tracks, in one undo step.
--
-- The stems go into a folder inside the track they came from, so its effects, fader and sends still
-- work on their sum, and that sum is what was there. The items they were made of are muted.

local tracks = {}

local COLOURED = 0x1000000 -- REAPER's bit for: this colour is set
local GRID = 1e-9 -- seconds

-- The list of tracks that Scorewire wrote (bridge/hosts/reaper.py). Raises a sentence.
function tracks.read(path)
  local file = io.open(path, "rb")
  if not file then
    error(path .. " cannot be read.", 0)
  end
  local text = file:read("a")
  file:close()
  local rate, start, frames, channels =
    text:match("^scorewire%-stems\t1\t(%d+)\t(%d+)\t(%d+)\t(%d+)\r?\n")
  if not rate then
    error(path .. " is not a list of stems that this version of the action knows.", 0)
  end
  local list = {
    rate = tonumber(rate), start = tonumber(start), frames = tonumber(frames),
    channels = tonumber(channels),
  }
  local folder = path:match("^(.*[/\\])") or ""
  for kind, name, red, green, blue, gain, link in
    text:gmatch("\n(%a+)\t([^\t\n]*)\t(%d+)\t(%d+)\t(%d+)\t([^\t\n]+)\t([^\t\r\n]+)") do
    local whole = link:match("^/") or link:match("^%a:")
    list[#list + 1] = {
      given = kind == "given", name = name, file = whole and link or folder .. link, gain = tonumber(gain),
      colour = { tonumber(red), tonumber(green), tonumber(blue) },
    }
  end
  return list
end

-- All sources before any track, so that a missing file leaves the project as it was.
local function sources_of(list)
  local sources = {}
  for i, stem in ipairs(list) do
    sources[i] = reaper.PCM_Source_CreateFromFile(stem.file)
    if not sources[i] then
      for _, source in ipairs(sources) do
        reaper.PCM_Source_Destroy(source)
      end
      error("REAPER cannot read " .. stem.file .. ".", 0)
    end
  end
  return sources
end

local function new_track(project, index, name, channels)
  reaper.InsertTrackAtIndex(index, false)
  local track = reaper.GetTrack(project, index)
  reaper.GetSetMediaTrackInfo_String(track, "P_NAME", name, true)
  if channels > 2 then
    reaper.SetMediaTrackInfo_Value(track, "I_NCHAN", channels + channels % 2)
  end
  return track
end

local function new_item(track, source, name, position, length)
  local item = reaper.AddMediaItemToTrack(track)
  local take = reaper.AddTakeToMediaItem(item)
  reaper.SetMediaItemTake_Source(take, source)
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", name, true)
  for key, value in pairs({
    D_POSITION = position, D_LENGTH = length, B_LOOPSRC = 0,
    D_FADEINLEN = 0, D_FADEOUTLEN = 0, D_FADEINLEN_AUTO = -1, D_FADEOUTLEN_AUTO = -1,
  }) do
    reaper.SetMediaItemInfo_Value(item, key, value)
  end
end

-- Cuts an item at a time without a fade; returns its right part.
local function cut(item, time)
  local right = reaper.SplitMediaItem(item, time)
  if not right then
    error("REAPER could not split an item at the edge of the time selection.", 0)
  end
  -- A preference may have made the parts overlap.
  local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  reaper.SetMediaItemInfo_Value(item, "D_LENGTH", time - position)
  for _, fade in ipairs({ { item, "D_FADEOUTLEN" }, { right, "D_FADEINLEN" } }) do
    reaper.SetMediaItemInfo_Value(fade[1], fade[2], 0)
    reaper.SetMediaItemInfo_Value(fade[1], fade[2] .. "_AUTO", -1)
  end
  return right
end

-- Mutes an item from one time to another; what sticks out stays heard.
local function mute(item, from, to)
  local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  local last = position + reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
  if position < from - GRID then
    item = cut(item, from)
  end
  if last > to + GRID then
    cut(item, to)
  end
  reaper.SetMediaItemInfo_Value(item, "B_MUTE", 1)
end

-- `I_FOLDERDEPTH` of the parent and of the last stem, and where the first new track goes.
local function place_in(project, parent)
  if not parent then
    return nil, -1, reaper.CountTracks(project)
  end
  local depth = math.floor(reaper.GetMediaTrackInfo_Value(parent, "I_FOLDERDEPTH"))
  local index = math.floor(reaper.GetMediaTrackInfo_Value(parent, "IP_TRACKNUMBER"))
  if depth == 1 then -- a folder already: ours is its first inner one
    return 1, -1, index
  end
  return 1, depth - 2, index -- what the parent ended, the last stem ends now
end

local function insert(project, list, at, sources)
  local parent = at.parent
  if parent and not reaper.ValidatePtr2(project, parent, "MediaTrack*") then
    parent = nil -- deleted meanwhile: the stems go to the end
  end
  local opens, closes, index = place_in(project, parent)
  local folder = new_track(project, index, at.name .. " stems", list.channels)
  local last
  for i, stem in ipairs(list) do
    last = new_track(project, index + i, stem.name, list.channels)
    local red, green, blue = table.unpack(stem.colour)
    reaper.SetMediaTrackInfo_Value(
      last, "I_CUSTOMCOLOR", reaper.ColorToNative(red, green, blue) | COLOURED)
    reaper.SetMediaTrackInfo_Value(last, "D_VOL", stem.gain)
    new_item(last, sources[i], stem.name, at.position, list.frames / list.rate)
  end
  reaper.SetMediaTrackInfo_Value(folder, "I_FOLDERDEPTH", 1)
  reaper.SetMediaTrackInfo_Value(last, "I_FOLDERDEPTH", closes)
  if opens then
    reaper.SetMediaTrackInfo_Value(parent, "I_FOLDERDEPTH", opens)
  end
  for _, piece in ipairs(at.pieces or {}) do
    if reaper.ValidatePtr2(project, piece.item, "MediaItem*") then
      mute(piece.item, piece.from / list.rate, piece.to / list.rate)
    end
  end
end

-- Puts the stems of `list` at `at`: {name, position in seconds, parent track, pieces to mute}; the
-- last two may be nil. Raises a sentence, and leaves the project as it was.
function tracks.place(project, list, at)
  local sources = sources_of(list)
  reaper.Undo_BeginBlock2(project)
  reaper.PreventUIRefresh(1)
  local ok, why = pcall(insert, project, list, at, sources)
  reaper.PreventUIRefresh(-1)
  reaper.Undo_EndBlock2(project, "Scorewire: stems of " .. at.name, -1)
  if not ok then
    reaper.Undo_DoUndo2(project)
    error(why, 0)
  end
  reaper.TrackList_AdjustWindows(false)
  reaper.UpdateArrange()
  reaper.Main_OnCommand(40047, 0) -- Peaks: Build any missing peaks
end

return tracks
