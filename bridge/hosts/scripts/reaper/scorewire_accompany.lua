-- Scorewire: accompany selection.
--
-- Select items on the tracks of a bass, drums, a guitar or a piano, named so (or select the tracks,
-- and a time), run this, and say what is wanted. The stems that go with them come on new tracks, at
-- the same place; the selected items stay as they are. How the work is done is in
-- scorewire_job.lua.

local folder = ({ reaper.get_action_context() })[2]:match("^(.*[/\\])")
local sound = dofile(folder .. "scorewire_sound.lua")
local tracks = dofile(folder .. "scorewire_tracks.lua")
local work = dofile(folder .. "scorewire_job.lua")

local CAPTIONS = "What it should sound like (or nothing):,"
  .. "Stems to add (with commas. None: all missing):,separator=|,extrawidth=300"

-- The words and the stems to add; nil when the musician thinks better of it.
local function ask()
  local known = reaper.GetExtState(work.TITLE, "accompany")
  local ok, text = reaper.GetUserInputs(work.TITLE, 2, CAPTIONS, known)
  if not ok then
    return nil
  end
  reaper.SetExtState(work.TITLE, "accompany", text, true)
  local words, add = text:match("^%s*([^|]-)%s*|%s*([^|]-)%s*$")
  return words or text, add or ""
end

-- The classes are found by the names of the tracks, where they are known: in folder_requests.py.
local function request(choices, sounds, words, add, tempo)
  local given = {}
  for i, choice in ipairs(choices) do
    given[i] = "[" .. work.quoted(choice.name) .. "," .. work.quoted(sounds[i].file) .. "]"
  end
  return '{"tracks":[' .. table.concat(given, ",") .. '],"prompt":' .. work.quoted(words)
    .. (add ~= "" and ',"add":' .. work.quoted(add) or "")
    .. ',"tempo":' .. work.points(tempo) .. "}\n"
end

-- What of the list was made: the given stems are in the project already.
local function added(list)
  local made = { rate = list.rate, start = list.start, frames = list.frames, channels = list.channels }
  for _, stem in ipairs(list) do
    if not stem.given then
      made[#made + 1] = stem
    end
  end
  return made
end

work.act(function()
  local project = reaper.EnumProjects(-1)
  local choices, why = sound.selections(project)
  if not choices then
    error(why, 0)
  end
  local words, add = ask()
  if not words then
    return
  end
  local sounds = {}
  for i, choice in ipairs(choices) do
    sounds[i] = { choice = choice, file = ("given-%d.wav"):format(i) }
  end
  work.begin({
    project = project, sounds = sounds,
    request = request(choices, sounds, words, add, sound.tempo(project)),
    place = function(list)
      tracks.place(project, added(list), {
        name = words ~= "" and words or "accompaniment", position = choices[1].first / choices[1].rate,
      })
    end,
  })
end)
