-- Reads entries after a cursor, in one view with the head. After state.lua, whose KEYS and ARGV
-- come first.
--
-- ARGV[6] epoch and ARGV[7] sequence of the cursor; an empty epoch reads from the oldest entry
-- ARGV[8] entries, ARGV[9] bytes: how much to return, at least one entry
--
-- Returns {epoch, sequence of the head, sequence of the oldest entry, gap or '', entries as
-- {sequence .. '-0', {'e', epoch, 't', time in ms, 'b', record}}}

trim_if_needed()
local after = tonumber(ARGV[7])
local gap = ''
if ARGV[6] == '' then
  after = first - 1
else
  local current = ARGV[6] == epoch
  local last = current and sequence or tonumber(redis.call('HGET', KEYS[3], ARGV[6]) or -1)
  if after > last then
    gap = current and 'future' or 'epoch'
  elseif after < first - 1 then
    gap = 'trimmed'
  end
end

local entries = {}
local left, room = tonumber(ARGV[8]), tonumber(ARGV[9])
while gap == '' and left > 0 and room > 0 do
  local some = redis.call('XRANGE', KEYS[2], after + 1, '+', 'COUNT', math.min(left, 32))
  for _, entry in ipairs(some) do
    if room > 0 then
      entries[#entries + 1] = entry
      room = room - #entry[2][6]
      after = after + 1
    end
  end
  left = left - #some
  if #some == 0 then break end
end
return {epoch, sequence, first, gap, entries}
