-- Scorewire: separate what is selected.
--
-- Select items of one track (or a track and a time), run this, and name the sounds. How the work is
-- done is in scorewire_job.lua.

local folder = ({ reaper.get_action_context() })[2]:match("^(.*[/\\])")
local sound = dofile(folder .. "scorewire_sound.lua")
local tracks = dofile(folder .. "scorewire_tracks.lua")
local work = dofile(folder .. "scorewire_job.lua")

local function request(prompts, tempo)
  local names = {}
  for i, prompt in ipairs(prompts) do
    names[i] = work.quoted(prompt)
  end
  return '{"file":"mix.wav","prompts":[' .. table.concat(names, ",") .. "],"
    .. (#prompts == 0 and '"auto":true,' or "")
    .. '"tempo":' .. work.points(tempo) .. "}\n"
end

local function ask()
  local known = reaper.GetExtState(work.TITLE, "sounds")
  local ok, text = reaper.GetUserInputs(
    work.TITLE, 1, "Sounds (with ; between. None: what is heard):,extrawidth=300", known)
  if not ok then
    return nil
  end
  local prompts = {}
  for part in text:gmatch("[^;]+") do
    part = part:match("^%s*(.-)%s*$")
    if part ~= "" then
      prompts[#prompts + 1] = part
    end
  end
  reaper.SetExtState(work.TITLE, "sounds", text, true)
  return prompts
end

work.act(function()
  local project = reaper.EnumProjects(-1)
  local choice, why = sound.selection(project)
  if not choice then
    error(why, 0)
  end
  local prompts = ask()
  if not prompts then
    return
  end
  work.begin({
    project = project, sounds = { { choice = choice, file = "mix.wav" } },
    request = request(prompts, sound.tempo(project)),
    place = function(list)
      tracks.place(project, list, {
        name = choice.name, position = choice.first / choice.rate,
        parent = choice.track, pieces = choice.pieces,
      })
    end,
  })
end)
