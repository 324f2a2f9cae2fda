ardour {
	["type"]    = "EditorAction",
	name        = "Scorewire: import stems",
	author      = "Scorewire",
	license     = "GPL-3.0-or-later",
	description = [[Imports the stems that Scorewire has made of regions of this session: a named, coloured track a stem, where the region lies. The server fires it by itself.]]
}

-- scorewire/REQ/import in the session's folder, which appears whole:
--   start TAB FIRST SAMPLE
--   track TAB RRGGBB TAB GAIN TAB NAME TAB FILE        a line a stem
-- or: failed TAB why. Until then scorewire/REQ/progress has a line for people. What was imported is renamed to `imported`.

function factory () return function ()

	local function dialogs ()
		local path = ARDOUR.LuaAPI.build_filename (ARDOUR.user_config_directory (-1), "scorewire.conf")
		local file = io.open (path, "r")
		local text = file and file:read ("a") or ""
		if file then file:close () end
		return not text:match ("dialog%s+no")
	end

	local function tell (text)
		if dialogs () then
			LuaDialog.Message ("Scorewire", text, LuaDialog.MessageType.Info, LuaDialog.ButtonType.Close):run ()
		else
			print ("Scorewire: " .. text)
		end
	end

	local function lines_of (path)
		local file = io.open (path, "r")
		if not file then return nil end
		local lines = {}
		for line in file:lines () do lines[#lines + 1] = line end
		file:close ()
		return lines
	end

	local function track_ids ()
		local ids = {}
		for route in Session:get_tracks ():iter () do
			ids[route:to_stateful ():id ():to_s ()] = true
		end
		return ids
	end

	-- one at a time: the track that was not there before is the file's
	local function import (path, start, name, colour, gain)
		local before, files = track_ids (), C.StringVector ()
		files:push_back (path)
		Editor:do_import (
			files, Editing.ImportDistinctFiles, Editing.ImportAsTrack, ARDOUR.SrcQuality.SrcBest,
			ARDOUR.MidiTrackNameSource.SMFTrackName, ARDOUR.MidiTempoMapDisposition.SMFTempoIgnore,
			Temporal.timepos_t (start), ARDOUR.PluginInfo (), ARDOUR.Track (), false)
		for route in Session:get_tracks ():iter () do
			if not before[route:to_stateful ():id ():to_s ()] then
				route:set_name (name)
				route:presentation_info_ptr ():set_color (tonumber (colour .. "ff", 16))
				route:gain_control ():set_value (gain, PBD.GroupControlDisposition.NoGroup)
				for region in route:to_track ():playlist ():region_list ():iter () do
					region:set_name (name)
				end
				return true
			end
		end
		return false
	end

	-- true when the request is over, whatever became of it
	local function finish (folder, req, region_id, after)
		local place = ARDOUR.LuaAPI.build_filename (folder, req)
		local path = ARDOUR.LuaAPI.build_filename (place, "import")
		local lines = lines_of (path)
		if not lines then return false end
		os.rename (path, ARDOUR.LuaAPI.build_filename (place, "imported"))
		local start, missed = 0, {}
		for _, line in ipairs (lines) do
			local why = line:match ("^failed\t(.*)")
			if why then
				tell (why)
				return true
			end
			start = tonumber (line:match ("^start\t(%d+)")) or start
			local colour, gain, name, file = line:match ("^track\t(%x+)\t([^\t]+)\t([^\t]+)\t(.+)")
			if file and not import (file, start, name, colour, tonumber (gain)) then
				missed[#missed + 1] = name
			end
		end
		if #missed > 0 then
			tell ("Ardour did not import " .. table.concat (missed, ", ") .. "; the files are in " .. place)
		elseif after == "mute" then
			local region = ARDOUR.RegionFactory.region_by_id (PBD.ID (region_id))
			if not region:isnil () then region:set_muted (true) end
		end
		return true
	end

	local function main ()
		local folder = ARDOUR.LuaAPI.build_filename (Session:path (), "scorewire")
		local pending = ARDOUR.LuaAPI.build_filename (folder, "pending")
		local waiting, far, done = {}, {}, 0
		for _, line in ipairs (lines_of (pending) or {}) do
			local req, region_id, after = line:match ("^(%d+)\t(%d+)\t(%a+)$")
			local fine, over = true, false
			if req then fine, over = pcall (finish, folder, req, region_id, after) end
			if not fine then tell (tostring (over)) end -- over too: half of it is imported
			if over then
				done = done + 1
			elseif req then
				waiting[#waiting + 1] = line .. "\n"
				local place = ARDOUR.LuaAPI.build_filename (folder, req)
				local said = lines_of (ARDOUR.LuaAPI.build_filename (place, "progress"))
				far[#far + 1] = said and said[1] and "\n" .. said[1] or ""
			end
		end
		if done > 0 then
			local file = assert (io.open (pending, "w"))
			for _, line in ipairs (waiting) do file:write (line) end
			file:close ()
		else
			tell (string.format ("no stems are ready; %d request(s) are waiting", #waiting) .. table.concat (far))
		end
	end

	-- Ardour takes a script that fails out of its slot: say what failed instead
	local fine, why = pcall (main)
	if not fine then tell (tostring (why)) end
end end
