-- Reads entries after a cursor, in one view with the head. After state.lua, whose KEYS and ARGV
-- come first.
--
-- ARGV[8] epoch and ARGV[9] sequence of the cursor; an empty epoch reads from the oldest entry
-- ARGV[10] entries, ARGV[11] bytes: how much to return, at least one entry
--
-- Returns {epoch, sequence of the head, sequence of the oldest entry, gap or '', entries as
-- {sequence .. '-0', {'e', epoch, 't', time in ms, 'b', record}}, topics that lost entries after it}

-- Topics that a page names; where more have lost something, it is told to all.
local LOST_TOLD = 1000

trim_if_needed()
local after = tonumber(ARGV[9])
local gap = ''
local lost = {}
if ARGV[8] == '' then
  after = first - 1
else
  local current = ARGV[8] == epoch
  local last = current and sequence or tonumber(redis.call('HGET', KEYS[3], ARGV[8]) or -1)
  if after > last then
    gap = current and 'future' or 'epoch'
  elseif after < floor then
    gap = 'trimmed'
  elseif after < first - 1 then
    lost = redis.call('ZRANGEBYSCORE', KEYS[6], '(' .. after, '+inf', 'LIMIT', 0, LOST_TOLD + 1)
    if #lost > LOST_TOLD then lost, gap = {}, 'trimmed' end
    after = first - 1
  end
end

local entries = {}
local left, room = tonumber(ARGV[10]), tonumber(ARGV[11])
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
return {epoch, sequence, first, gap, entries, lost}
