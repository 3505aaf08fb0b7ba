-- Finds the oldest entry with a publisher's own id.
--
-- KEYS[1] eddyline:{hub}:journal, KEYS[2] eddyline:{hub}:ids, as in state.lua
-- ARGV[1] run id of the server; ARGV[2] the id
--
-- Returns the entry as read.lua has it, but of its record the first line alone; false without one.

local sequence = redis.call('ZSCORE', KEYS[2], ARGV[2])
local entry = sequence and redis.call('XRANGE', KEYS[1], sequence, sequence)[1]
if not entry then return false end
entry[2][6] = string.match(entry[2][6], '^[^\n]*\n')
return entry
