ardour {
	["type"]    = "EditorAction",
	name        = "Scorewire: accompany selection",
	author      = "Scorewire",
	license     = "GPL-3.0-or-later",
	description = [[Sends the selected audio regions, on tracks called bass, drums, guitar or piano, to Scorewire, which makes the other stems that go with them. "Scorewire: import stems" brings these as tracks, by itself when they are done.]]
}

-- Words go to the server by OSC; it answers by files in the session's folder `scorewire`, since
-- Ardour's Lua can send OSC and not hear it:
--   scorewire/REQ/answer   accepted, or refused TAB why
--   scorewire/REQ/import   what to import, or failed TAB why; see scorewire_import.lua
--   scorewire/pending      ours: a line REQ TAB A REGION'S ID TAB keep of every request
-- Settings: scorewire.conf in Ardour's configuration folder, a `name value` a line.

function factory () return function ()

	local DEFAULTS = { port = "9557", dialog = "yes", words = "", add = "", token = "" }
	local IMPORT = "Scorewire: import stems"

	local function read_settings (path)
		local set = {}
		for name, value in pairs (DEFAULTS) do set[name] = value end
		local file = io.open (path, "r")
		if file then
			for line in file:lines () do
				local name, value = line:match ("^%s*([%a_]+)%s+(.-)%s*$")
				if name then set[name] = value end
			end
			file:close ()
		end
		return set
	end

	local function tell (set, text)
		if set.dialog == "yes" then
			LuaDialog.Message ("Scorewire", text, LuaDialog.MessageType.Info, LuaDialog.ButtonType.Close):run ()
		else
			print ("Scorewire: " .. text)
		end
	end

	-- what is wanted, into the settings of this time; false when the user thinks better of it
	local function ask (set, count)
		local answer = LuaDialog.Dialog ("Scorewire: accompany selection", {
			{ type = "label", title = string.format ("%s given; what goes with them comes on new tracks.", count == 1 and "one region is" or count .. " regions are") },
			{ type = "entry", key = "words", title = "What it should sound like, or nothing", default = set.words },
			{ type = "entry", key = "add", title = "Stems to add, with commas; none: all missing", default = set.add },
		}):run ()
		if not answer then return false end
		set.words = answer["words"]:match ("^%s*(.-)%s*$")
		set.add = answer["add"]:match ("^%s*(.-)%s*$")
		return true
	end

	-- scripts have numbers, and the user may move them: the one that is called so now
	local function import_action ()
		for _, entries in pairs (ArdourUI:actionlist ()) do
			if type (entries) == "table" and entries[IMPORT] then return entries[IMPORT] end
		end
		return ""
	end

	-- a line a channel: its number in the file, TAB, the file; nil when it is not audio from a file
	local function sources (region)
		local audio = region:to_audioregion ()
		if audio:isnil () then return nil end
		local lines = {}
		for channel = 0, audio:n_channels () - 1 do
			local file = region:source (channel):to_filesource ()
			if file:isnil () then return nil end
			lines[#lines + 1] = string.format ("%d\t%s", file:channel (), file:path ())
		end
		return table.concat (lines, "\n")
	end

	local function answer_to (folder, req)
		local file = io.open (ARDOUR.LuaAPI.build_filename (folder, tostring (req), "answer"), "r")
		if not file then return nil end
		local line = file:read ("l")
		file:close ()
		return line
	end

	-- the server's token, from its file: with it the stems may be written into the session
	local function key (set)
		local home = os.getenv ("HOME") or ""
		local places = {
			set.token, (os.getenv ("XDG_DATA_HOME") or home .. "/.local/share") .. "/scorewire/token",
			home .. "/Library/Application Support/scorewire/token"
		}
		for _, place in ipairs (places) do
			local file = place ~= "" and io.open (place, "r")
			if file then
				local word = file:read ("l") or ""
				file:close ()
				return word
			end
		end
		return ""
	end

	-- the selected regions of audio, each as its track's name, its place and its sources
	local function selected ()
		local ids, found = {}, {}
		for region in Editor:get_selection ().regions:regionlist ():iter () do
			ids[region:to_stateful ():id ():to_s ()] = true
		end
		for route in Session:get_tracks ():iter () do
			for region in route:to_track ():playlist ():region_list ():iter () do
				local id = region:to_stateful ():id ():to_s ()
				local files = ids[id] and sources (region)
				if files then
					local place = string.format ("%s\t%d\t%d\t%d", route:name (), region:position ():samples (), region:start ():samples (), region:length ():samples ())
					found[#found + 1] = { id = id, region = region, text = place .. "\n" .. files }
				end
			end
		end
		return found
	end

	-- UDP may lose it: said again with the same number, it counts once
	local function send (set, folder, req, found)
		local address = ARDOUR.LuaOSC.Address ("osc.udp://127.0.0.1:" .. set.port)
		local tempo = tostring (Temporal.TempoMap.read ():quarters_per_minute_at (found[1].region:position ()))
		tempo = tempo:gsub (",", ".") -- some systems write a decimal comma
		local said = {
			"/scorewire/host/ardour/accompany", "", tostring (req), Session:path (),
			tostring (Session:nominal_sample_rate ()), tempo
		}
		for _, one in ipairs (found) do said[#said + 1] = one.text end
		local options = { action = import_action (), prompt = set.words, add = set.add, key = key (set) }
		for name, value in pairs (options) do
			if value ~= "" then said[#said + 1] = name .. "=" .. value end
		end
		said[2] = string.rep ("s", #said - 2)
		for _ = 1, 5 do
			address:send (table.unpack (said))
			for _ = 1, 20 do
				local answer = answer_to (folder, req)
				if answer then return answer end
				ARDOUR.LuaAPI.usleep (25000)
			end
		end
		return "refused\tnobody answers on port " .. set.port .. ": start \"scorewire serve\", or name its token's file in scorewire.conf"
	end

	local function main (set)
		local folder = ARDOUR.LuaAPI.build_filename (Session:path (), "scorewire")
		local found = selected ()
		if #found == 0 then
			tell (set, "select the audio regions to go with first")
			return
		end
		if set.dialog == "yes" and not ask (set, #found) then return end
		local req = (os.time () * 64) % 2147483000
		while answer_to (folder, req) do req = req + 1 end
		local answer = send (set, folder, req, found)
		if answer:match ("^accepted") then
			local file = assert (io.open (ARDOUR.LuaAPI.build_filename (folder, "pending"), "a"))
			file:write (string.format ("%d\t%s\tkeep\n", req, found[1].id))
			file:close ()
		else
			tell (set, answer:match ("\t(.*)") or answer)
		end
	end

	-- Ardour takes a script that fails out of its slot: say what failed instead
	local path = ARDOUR.LuaAPI.build_filename (ARDOUR.user_config_directory (-1), "scorewire.conf")
	local set = read_settings (path)
	local fine, why = pcall (main, set)
	if not fine then tell (set, tostring (why)) end
end end
