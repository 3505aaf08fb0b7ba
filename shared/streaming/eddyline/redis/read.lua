-- Reads entries after a cursor, in one view with the head. After state.lua, whose KEYS and ARGV
-- come first.
--
-- ARGV[8] epoch and ARGV[9] sequence of the cursor; an empty epoch reads from the oldest entry
-- ARGV[10] entries, ARGV[11] bytes: how much to return, at least one entry
-- ARGV[12] losses up to this sequence do not count; ARGV[13] 0; or 1 where those of the topics
-- ARGV[14…] alone do; or 2 where ARGV[14…] are, in place of the cursor, topics with bounds of their
-- own, each with the number of its newest entries that are wanted
--
-- Returns {epoch, sequence of the head, sequence of the oldest entry, gap or '', entries as
-- {sequence .. '-0', {'e', epoch, 't', time in ms, 'b', record}}, topics that lost entries after it,
-- of each of ARGV[14…] the sequence before the entries that are wanted}

-- Topics that a page names; where more have lost something, a reader asks for its own.
local LOST_TOLD = 1000

-- The topics that lost entries after a sequence; nil where they are too many.
local function lost_after(since)
  local found = {}
  if ARGV[13] == '0' then
    found = redis.call('ZRANGEBYSCORE', KEYS[6], '(' .. since, '+inf', 'LIMIT', 0, LOST_TOLD + 1)
    return #found <= LOST_TOLD and found or nil
  end
  for n = 14, #ARGV do
    if tonumber(redis.call('ZSCORE', KEYS[6], ARGV[n]) or 0) > since then
      found[#found + 1] = ARGV[n]
    end
  end
  return found
end

-- The sequence before the newest entries of a topic with bounds of its own.
local function start_of(topic, count)
  local name = redis.sha1hex(topic)
  local from, to = '[' .. name, '(' .. name .. ':'
  local found = redis.call('ZREVRANGEBYLEX', KEYS[7], to, from, 'LIMIT', count - 1, 1)[1]
    or redis.call('ZRANGEBYLEX', KEYS[7], from, to, 'LIMIT', 0, 1)[1]
  return found and tonumber(string.sub(found, -16)) - 1 or sequence
end

trim_if_needed()
local after = tonumber(ARGV[9])
local gap = ''
local missed, starts = {}, {}
local oldest_wanted = first
if ARGV[13] == '2' then
  after = sequence
  for n = 14, #ARGV, 2 do
    local start = start_of(ARGV[n], tonumber(ARGV[n + 1]))
    starts[#starts + 1] = start
    after = math.min(after, start)
  end
  oldest_wanted = after + 1
elseif ARGV[8] == '' then
  after = first - 1
else
  local current = ARGV[8] == epoch
  local last = current and sequence or tonumber(redis.call('HGET', KEYS[3], ARGV[8]) or -1)
  local since = after < first - 1 and after or math.max(after, tonumber(ARGV[12]))
  if after > last then
    gap = current and 'future' or 'epoch'
  elseif since < floor then
    gap = 'trimmed'
  elseif since < math.max(first - 1, dropped) then
    missed = lost_after(since)
    if not missed then missed, gap = {}, 'trimmed' end
    after = math.max(after, first - 1)
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
      after = sequence_of(entry)
    end
  end
  left = left - #some
  if #some == 0 then break end
end
return {epoch, sequence, oldest_wanted, gap, entries, missed, starts}
