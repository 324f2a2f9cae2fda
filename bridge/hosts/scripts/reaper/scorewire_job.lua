-- A job that Scorewire does for an action: the sound is read and written, then waited for.
--
-- REAPER stays usable all the time: each turn of `defer` does a little. The work is done by a
-- process of Scorewire's own, which is asked through files in the project's media folder
-- (bridge/app/folder_requests.py), so no extension is needed. A small window shows how far it is;
-- Esc or closing it cancels.

local folder = ({ reaper.get_action_context() })[2]:match("^(.*[/\\])")
local sound = dofile(folder .. "scorewire_sound.lua")
local tracks = dofile(folder .. "scorewire_tracks.lua")

local work = { TITLE = "Scorewire" }

local SLICE = 0.03 -- seconds of reading a turn
local LOOK = 0.25 -- seconds from one look at the status to the next
local PATIENCE = 60 -- seconds without a sign of life
local WIDTH, HEIGHT = 420, 64
local SEP = package.config:sub(1, 1) -- between folders

-- Files

local function read_all(path)
  local file = io.open(path, "rb")
  local text = file and file:read("a")
  if file then
    file:close()
  end
  return text
end

local function write_all(path, text)
  local file = io.open(path, "wb")
  if not (file and file:write(text) and file:close()) then
    error(path .. " cannot be written.", 0)
  end
end

-- Pieces of JSON

function work.quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function number(value)
  return (("%.17g"):format(value):gsub(",", ".")) -- some systems write a decimal comma
end

-- Points of a tempo map as JSON.
function work.points(tempo)
  local points = {}
  for i, point in ipairs(tempo) do
    points[i] = "[" .. number(point[1]) .. "," .. number(point[2]) .. "]"
  end
  return "[" .. table.concat(points, ",") .. "]"
end

local function draw(fraction, text)
  gfx.set(0.2, 0.2, 0.2)
  gfx.rect(0, 0, WIDTH, HEIGHT, 1)
  gfx.set(0.34, 0.71, 0.91)
  gfx.rect(10, 38, (WIDTH - 20) * fraction, 14, 1)
  gfx.set(1, 1, 1)
  gfx.x, gfx.y = 10, 12
  gfx.drawstr(text)
  gfx.update()
end

-- The phases of a job: each is called turn after turn, and gives the next, itself, or nil

local job = {}
local render, wait, place

-- The next sound to read; all of them together are the fraction that is drawn.
local function next_writer()
  job.number = job.number + 1
  local asked = job.sounds[job.number]
  job.writer = asked and sound.writer(asked.choice, job.out .. SEP .. asked.file)
end

function render()
  local began = reaper.time_precise()
  local fraction
  repeat
    fraction = job.writer.step()
  until fraction >= 1 or reaper.time_precise() - began > SLICE
  draw((job.number - 1 + fraction) / #job.sounds, "Reading the items")
  if fraction < 1 then
    return render
  end
  job.writer.close()
  next_writer()
  if job.writer then
    return render
  end
  write_all(job.out .. SEP .. "request.json", job.request)
  local command = (read_all(folder .. "command.txt") or ""):match("[^\r\n]+")
  if not command then
    error("command.txt is missing beside this script: run `scorewire install reaper` again.", 0)
  end
  reaper.ExecProcess(command .. ' "' .. job.out .. '"', -2) -- -2: neither waits nor shows a window
  job.asked, job.looked, job.silent, job.line = true, reaper.time_precise(), 0, ""
  job.fraction, job.text = 0, "Starting Scorewire"
  return wait
end

function wait()
  local now = reaper.time_precise()
  if now - job.looked >= LOOK then
    job.silent = job.silent + math.min(now - job.looked, 1) -- a machine asleep is no silence
    job.looked = now
    local line = read_all(job.out .. SEP .. "status.txt") or job.line
    local state, fraction, left, text = line:match("^(%a+)\t%d+\t([%d.]+)\t(%S+)\t([^\r\n]*)")
    if line ~= job.line and state then
      job.line, job.silent, job.fraction = line, 0, tonumber(fraction)
      job.text = left == "-" and text or ("%s, %s s left"):format(text, left)
      if state == "failed" then
        error(text, 0)
      elseif state == "done" then
        job.list, job.over = tracks.read(text), true
        return place
      end
    elseif job.silent > PATIENCE then
      error(("Scorewire gave no sign of life for %d seconds. In a terminal this says why: %s")
        :format(PATIENCE, (read_all(folder .. "command.txt") or ""):match("[^\r\n]*") .. " " .. job.out), 0)
    end
  end
  draw(job.fraction, job.text)
  return wait
end

function place()
  if not reaper.ValidatePtr(job.project, "ReaProject*") then
    error("The project was closed; the stems are in " .. job.out .. ".", 0)
  end
  if reaper.EnumProjects(-1) ~= job.project then -- tracks can be made in the project in front only
    draw(1, "Done: go back to the project of these items")
    return place
  end
  job.place(job.list)
  return nil
end

-- The turns

-- Ends what goes on: by Esc, by closing the window, or because REAPER ends this script.
local function stop()
  if job.writer then
    job.writer.close()
    job.writer = nil
    for _, asked in ipairs(job.sounds) do
      os.remove(job.out .. SEP .. asked.file)
    end
    os.remove(job.out)
  elseif job.asked and not job.over then
    write_all(job.out .. SEP .. "cancel", "")
  end
  job.over = true
end

local function turn()
  local key = gfx.getchar()
  if key == 27 or key == -1 then -- Esc, or the window was closed
    stop()
    gfx.quit()
    return
  end
  local ok, following = pcall(job.phase)
  if ok and following then
    job.phase = following
    reaper.defer(turn)
    return
  end
  job.over = true
  stop()
  gfx.quit()
  if not ok then
    reaper.ShowMessageBox(tostring(following), work.TITLE, 0)
  end
end

-- Begins a job: `asked` is {project, sounds {choice, file}, request in JSON, place(list)}, where
-- `place` is called with the list of tracks at the end. Raises a sentence.
function work.begin(asked)
  job = asked
  job.number = 0
  local media = reaper.GetProjectPathEx(job.project)
  local name = ("%s-%03d"):format(
    os.date("%Y%m%d-%H%M%S"), math.floor(reaper.time_precise() * 1000) % 1000)
  job.out = table.concat({ media, "Scorewire", name }, SEP)
  reaper.RecursiveCreateDirectory(job.out, 0)
  next_writer()
  job.phase = render
  gfx.init(work.TITLE, WIDTH, HEIGHT)
  gfx.setfont(1, "Arial", 16)
  reaper.atexit(stop)
  reaper.defer(turn)
end

-- Calls what an action does, and shows the sentence that it raises.
function work.act(start)
  local ok, why = pcall(start)
  if not ok then
    reaper.ShowMessageBox(tostring(why), work.TITLE, 0)
  end
end

return work
