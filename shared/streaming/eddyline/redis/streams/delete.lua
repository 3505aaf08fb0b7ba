-- Removes a stream. After state.lua, whose KEYS and ARGV come first.
--
-- Returns {'done'}, {'notfound'} or {'deleted'}.

local stream, refused = get(ARGV[4])
if not stream then return refused end
drop(stream)
return {'done'}
