-- What is selected in REAPER, as a WAV: read as the track plays it, a piece at a time.
--
-- A track accessor gives what the items play, so take offset, play rate, pitch, reverse, fades and
-- item volume are in it; the track's effects and fader are not, since the stems come back to that
-- same track. Every frame lies on the project's sample grid, so nothing is resampled on the way.

local sound = {}

local CHUNK = 65536 -- frames read at once
local PACKED = 4096 -- values packed at once: Lua has a limit on arguments
local GRID = 1e-6 -- of a frame: what rounding may be off
local MOST = 2 ^ 32 - 65536 -- bytes of sound in a WAV

-- The frame at or after a time.
local function frame(seconds, rate)
  return math.ceil(seconds * rate - GRID)
end

local function rate_of(project)
  if reaper.GetSetProjectInfo(project, "PROJECT_SRATE_USE", 0, false) > 0 then
    return math.floor(reaper.GetSetProjectInfo(project, "PROJECT_SRATE", 0, false) + 0.5)
  end
  local known, text = reaper.GetAudioDeviceInfo("SRATE")
  return known and math.floor(tonumber(text) or 48000) or 48000
end

-- Items of sound that are heard: selected ones, and the others.
local function candidates(project)
  local selected, others = {}, {}
  for i = 0, reaper.CountMediaItems(project) - 1 do
    local item = reaper.GetMediaItem(project, i)
    local take = reaper.GetActiveTake(item)
    if take and not reaper.TakeIsMIDI(take)
      and reaper.GetMediaItemInfo_Value(item, "B_MUTE") == 0 then
      local list = reaper.IsMediaItemSelected(item) and selected or others
      list[#list + 1] = item
    end
  end
  return selected, others
end

local function on_track(items, track)
  local there = {}
  for _, item in ipairs(items) do
    if reaper.GetMediaItemTrack(item) == track then
      there[#there + 1] = item
    end
  end
  return there
end

-- The parts of `items` between two times: pieces {item, from, to} in frames, in order.
local function pieces_of(items, from, to, rate)
  local pieces = {}
  for _, item in ipairs(items) do
    local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
    local length = reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
    local first = frame(math.max(position, from), rate)
    local last = frame(math.min(position + length, to), rate)
    if first < last then
      pieces[#pieces + 1] = { item = item, from = first, to = last }
    end
  end
  table.sort(pieces, function(a, b) return a.from < b.from end)
  return pieces
end

local function channels_of(track, pieces)
  local channels = 2
  for _, piece in ipairs(pieces) do
    local source = reaper.GetMediaItemTake_Source(reaper.GetActiveTake(piece.item))
    channels = math.max(channels, reaper.GetMediaSourceNumChannels(source))
  end
  return math.floor(math.min(channels, reaper.GetMediaTrackInfo_Value(track, "I_NCHAN")))
end

-- The pieces of selected items, cut where the time selection meets them; the items that are not
-- selected; the time selection, and whether it cut.
local function selected_pieces(project, rate)
  local from, to = reaper.GetSet_LoopTimeRange2(project, false, false, 0, 0, false)
  local selected, others = candidates(project)
  local pieces = from < to and pieces_of(selected, from, to, rate) or {}
  local cut = #pieces > 0
  if not cut and #selected > 0 then
    pieces = pieces_of(selected, 0, math.huge, rate)
  end
  return pieces, others, from, to, cut
end

-- A track accessor hears all items of a track: none may sound that is not meant. nil, or a sentence.
local function overlapped(track, pieces, others, rate)
  for _, piece in ipairs(pieces) do
    if #pieces_of(on_track(others, track), piece.from / rate, piece.to / rate, rate) > 0 then
      return "An item that is not selected overlaps one that is: select both, or part them."
    end
  end
end

-- What of a track is meant: {track, name, pieces, first, frames, rate, channels}; or nil and a sentence.
local function choice_of(track, pieces, first, last, rate)
  local channels = channels_of(track, pieces)
  local frames = last - first
  if frames * channels * 4 > MOST then
    return nil, ("Select less: a WAV holds %d minutes of this."):format(MOST // (channels * 240 * rate))
  end
  local _, name = reaper.GetSetMediaTrackInfo_String(track, "P_NAME", "", false)
  return {
    track = track, name = name ~= "" and name or "track", pieces = pieces,
    first = first, frames = frames, rate = rate, channels = channels,
  }
end

local function last_of(pieces)
  local last = 0
  for _, piece in ipairs(pieces) do
    last = math.max(last, piece.to)
  end
  return last
end

-- What to separate, as of `choice_of`; or nil and a sentence.
--
-- The time selection cuts selected items where it meets them; without selected items it says which
-- part of the selected track is meant.
function sound.selection(project)
  local rate = rate_of(project)
  local pieces, others, from, to = selected_pieces(project, rate)
  if #pieces == 0 and from < to and reaper.CountSelectedTracks(project) == 1 then
    pieces = pieces_of(on_track(others, reaper.GetSelectedTrack(project, 0)), from, to, rate)
    others = {}
  end
  if #pieces == 0 then
    return nil, "Select items that are heard, or one track and a time selection over its items."
  end
  local track = reaper.GetMediaItemTrack(pieces[1].item)
  for _, piece in ipairs(pieces) do
    if reaper.GetMediaItemTrack(piece.item) ~= track then
      return nil, "Select items of one track: stems go back to the track they came from."
    end
  end
  local why = overlapped(track, pieces, others, rate)
  if why then
    return nil, why
  end
  return choice_of(track, pieces, pieces[1].from, last_of(pieces), rate)
end

-- What is given to go with: a list as of `choice_of`, one a track and all of one span; or nil and a
-- sentence.
--
-- Selected items, or without any all items of the selected tracks. The span is the time selection
-- where there is one that meets them, else from the first item's begin to the last one's end.
function sound.selections(project)
  local rate = rate_of(project)
  local pieces, others, from, to, cut = selected_pieces(project, rate)
  if #pieces == 0 then
    local chosen = {}
    for i = 0, reaper.CountSelectedTracks(project) - 1 do
      for _, item in ipairs(on_track(others, reaper.GetSelectedTrack(project, i))) do
        chosen[#chosen + 1] = item
      end
    end
    cut = from < to
    pieces = pieces_of(chosen, cut and from or 0, cut and to or math.huge, rate)
    others = {}
  end
  if #pieces == 0 then
    return nil, "Select the items to go with, or their tracks."
  end
  local first, last = pieces[1].from, last_of(pieces)
  if cut then
    first, last = frame(from, rate), frame(to, rate)
  end
  local tracks, found, choices = {}, {}, {}
  for _, piece in ipairs(pieces) do
    local track = reaper.GetMediaItemTrack(piece.item)
    if not found[track] then
      found[track] = {}
      tracks[#tracks + 1] = track
    end
    table.insert(found[track], piece)
  end
  for i, track in ipairs(tracks) do
    local why = overlapped(track, found[track], others, rate)
    if not why then
      choices[i], why = choice_of(track, found[track], first, last, rate)
    end
    if why then
      return nil, why
    end
  end
  return choices
end

-- A WAV header with a bext chunk (EBU Tech 3285): its TimeReference is the first frame's place.
local function header(choice)
  local bytes = choice.frames * choice.channels * 4
  local text = ("REAPER: " .. choice.name):gsub("[^\32-\126]", "?"):sub(1, 256)
  local bext = string.pack("<c256c32c32c10c8I8I2c64c190",
    text, "Scorewire", "", "", "", choice.first, 1, "", "")
  local format = string.pack("<I2I2I4I4I2I2I2", 3, choice.channels, choice.rate,
    choice.rate * choice.channels * 4, choice.channels * 4, 32, 0)
  local chunks = string.pack("<c4s4c4s4c4I4I4", "bext", bext, "fmt ", format, "fact", 4, choice.frames)
  return string.pack("<c4I4c4", "RIFF", 4 + #chunks + 8 + bytes, "WAVE")
    .. chunks .. string.pack("<c4I4", "data", bytes)
end

local function packed(values, count)
  local parts = {}
  for at = 1, count, PACKED do
    local last = math.min(at + PACKED - 1, count)
    parts[#parts + 1] = string.pack("<" .. ("f"):rep(last - at + 1), table.unpack(values, at, last))
  end
  return table.concat(parts)
end

-- Writes the selection to a file: call `step` until it returns 1, then or earlier `close`.
-- Between the pieces there is silence. Raises a sentence.
function sound.writer(choice, path)
  local file = io.open(path, "wb")
  if not file then
    error("The sound could not be written to " .. path .. ".", 0)
  end
  file:write(header(choice))
  local accessor = reaper.CreateTrackAudioAccessor(choice.track)
  local buffer = reaper.new_array(CHUNK * choice.channels)
  local at, number = choice.first, 1
  local last = choice.first + choice.frames
  local writer = {}

  local function write(bytes)
    if not file:write(bytes) then
      error("The sound could not be written to " .. path .. ": is the disk full?", 0)
    end
  end

  function writer.step()
    while choice.pieces[number] and choice.pieces[number].to <= at do
      number = number + 1
    end
    local piece = choice.pieces[number]
    local count
    if piece and piece.from <= at then
      count = math.min(CHUNK, piece.to - at)
      buffer.clear()
      local got = reaper.GetAudioAccessorSamples(
        accessor, choice.rate, choice.channels, at / choice.rate, count, buffer)
      if got < 0 then
        error("REAPER could not read the sound of the track.", 0)
      end
      write(packed(buffer.table(1, count * choice.channels), count * choice.channels))
    elseif at < last then
      count = math.min(CHUNK, (piece and piece.from or last) - at)
      write(("\0"):rep(count * choice.channels * 4))
    end
    at = at + (count or 0)
    return (at - choice.first) / choice.frames
  end

  function writer.close()
    reaper.DestroyAudioAccessor(accessor)
    file:close()
  end

  return writer
end

-- The tempo map: points {beat, beats a minute} in quarter notes. A ramp is its mean tempo.
function sound.tempo(project)
  local times, points = { 0 }, {}
  for i = 0, reaper.CountTempoTimeSigMarkers(project) - 1 do
    local known, time = reaper.GetTempoTimeSigMarker(project, i)
    if known and time > times[#times] then
      times[#times + 1] = time
    end
  end
  for i, time in ipairs(times) do
    local beat = reaper.TimeMap2_timeToQN(project, time)
    local until_ = times[i + 1] or time + 1
    local beats = reaper.TimeMap2_timeToQN(project, until_) - beat
    points[i] = { beat, beats / (until_ - time) * 60 }
  end
  return points
end

return sound
