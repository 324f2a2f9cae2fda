ardour {
	["type"]    = "EditorAction",
	name        = "Scorewire: separate selection",
	author      = "Scorewire",
	license     = "GPL-3.0-or-later",
	description = [[Sends the selected audio regions to Scorewire, which parts them by prompts. "Scorewire: import stems" brings the stems back as tracks, by itself when they are done.]]
}

-- Words go to the server by OSC; it answers by files in the session's folder `scorewire`, since
-- Ardour's Lua can send OSC and not hear it:
--   scorewire/REQ/answer   accepted, or refused TAB why
--   scorewire/REQ/import   what to import, or failed TAB why; see scorewire_import.lua
--   scorewire/pending      ours: a line REQ TAB REGION'S ID TAB mute|keep of every request
-- Settings: scorewire.conf in Ardour's configuration folder, a `name value` a line.

function factory () return function ()

	local DEFAULTS = { port = "9557", dialog = "yes", mute = "yes", method = "", token = "" }
	local IMPORT = "Scorewire: import stems"

	local function read_settings (path)
		local set, prompts = {}, {}
		for name, value in pairs (DEFAULTS) do set[name] = value end
		local file = io.open (path, "r")
		if file then
			for line in file:lines () do
				local name, value = line:match ("^%s*([%a_]+)%s+(.-)%s*$")
				if name == "prompt" then
					prompts[#prompts + 1] = value
				elseif name then
					set[name] = value
				end
			end
			file:close ()
		end
		return set, prompts
	end

	local function write_settings (path, set, prompts)
		local file = io.open (path, "w")
		if not file then return end
		for _, name in ipairs ({ "port", "dialog", "mute", "method", "token" }) do
			if set[name] ~= "" then file:write (name, " ", set[name], "\n") end
		end
		for _, prompt in ipairs (prompts) do file:write ("prompt ", prompt, "\n") end
		file:close ()
	end

	local function tell (set, text)
		if set.dialog == "yes" then
			LuaDialog.Message ("Scorewire", text, LuaDialog.MessageType.Info, LuaDialog.ButtonType.Close):run ()
		else
			print ("Scorewire: " .. text)
		end
	end

	-- what the stems shall hold; nil when the user thinks better of it
	local function ask (set, prompts, count)
		local answer = LuaDialog.Dialog ("Scorewire: separate selection", {
			{ type = "label", title = string.format ("%s: a stem for each prompt; what is left becomes \"residual\".", count == 1 and "one region" or count .. " regions") },
			{ type = "entry", key = "prompts", title = "Prompts, with commas between", default = table.concat (prompts, ", ") },
			{ type = "checkbox", key = "mute", title = "Mute the region when its stems are there", default = set.mute == "yes" },
		}):run ()
		if not answer then return nil end
		set.mute = answer["mute"] and "yes" or "no"
		local found = {}
		for prompt in answer["prompts"]:gmatch ("[^,]+") do
			prompt = prompt:match ("^%s*(.-)%s*$")
			if prompt ~= "" then found[#found + 1] = prompt end
		end
		return found
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

	-- UDP may lose it: said again with the same number, it counts once
	local function send (set, folder, req, region, prompts)
		local address = ARDOUR.LuaOSC.Address ("osc.udp://127.0.0.1:" .. set.port)
		local tempo = tostring (Temporal.TempoMap.read ():quarters_per_minute_at (region:position ()))
		tempo = tempo:gsub (",", ".") -- some systems write a decimal comma
		local said = {
			"/scorewire/host/ardour/separate", "", tostring (req), Session:path (), region:name (),
			tostring (region:position ():samples ()), tostring (region:start ():samples ()),
			tostring (region:length ():samples ()), tostring (Session:nominal_sample_rate ()),
			tempo, sources (region)
		}
		for _, prompt in ipairs (prompts) do said[#said + 1] = prompt end
		local options = { action = import_action (), method = set.method, key = key (set) }
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

	local function main (path, set, prompts)
		local folder = ARDOUR.LuaAPI.build_filename (Session:path (), "scorewire")
		local regions = {}
		for region in Editor:get_selection ().regions:regionlist ():iter () do
			if sources (region) then regions[#regions + 1] = region end
		end
		if #regions == 0 then
			tell (set, "select the audio regions to separate first")
			return
		end
		if set.dialog == "yes" then
			prompts = ask (set, prompts, #regions)
			if not prompts then return end
			write_settings (path, set, prompts)
		end
		if #prompts == 0 then
			tell (set, "say in a few words what the stems shall hold, such as: vocals, drums")
			return
		end
		for number, region in ipairs (regions) do
			local req = (os.time () * 64 + number) % 2147483000
			while answer_to (folder, req) do req = req + 1 end
			local answer = send (set, folder, req, region, prompts)
			if answer:match ("^accepted") then
				local file = assert (io.open (ARDOUR.LuaAPI.build_filename (folder, "pending"), "a"))
				local after = set.mute == "yes" and "mute" or "keep"
				file:write (string.format ("%d\t%s\t%s\n", req, region:to_stateful ():id ():to_s (), after))
				file:close ()
			else
				tell (set, region:name () .. ": " .. (answer:match ("\t(.*)") or answer))
			end
		end
	end

	-- Ardour takes a script that fails out of its slot: say what failed instead
	local path = ARDOUR.LuaAPI.build_filename (ARDOUR.user_config_directory (-1), "scorewire.conf")
	local set, prompts = read_settings (path)
	local fine, why = pcall (main, path, set, prompts)
	if not fine then tell (set, tostring (why)) end
end end
