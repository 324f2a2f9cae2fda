-- Scorewire: import stems. Asks for a list of stems (NAME.stems) and puts them on tracks, where
-- their source lay; written by `scorewire place stems.json --host reaper`.

local folder = ({ reaper.get_action_context() })[2]:match("^(.*[/\\])")
local tracks = dofile(folder .. "scorewire_tracks.lua")

local chosen, path = reaper.GetUserFileNameForRead("", "Stems to place", "stems")
if chosen then
  local ok, why = pcall(function()
    local list = tracks.read(path)
    local name = path:match("([^/\\]+)%.%w+$") or "track"
    tracks.place(reaper.EnumProjects(-1), list, { name = name, position = list.start / list.rate })
  end)
  if not ok then
    reaper.ShowMessageBox(tostring(why), "Scorewire", 0)
  end
end
