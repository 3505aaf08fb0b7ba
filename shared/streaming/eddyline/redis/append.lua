-- Appends a batch of entries: each gets the next sequence, is in the stream, and goes over the bus.
-- After state.lua, whose KEYS and ARGV come first.
--
-- KEYS[7]  eddyline:{hub}:batch:<process>  STRING  the last batch of this process and its result, so
--          that a batch sent again after a lost answer is not appended again
-- KEYS[8…] eddyline:{hub}:key:<key>        STRING  an idempotency key: digest, epoch, sequence, id
--
-- ARGV[8] the bus's channel; ARGV[9] the batch's number, which counts up in its process;
-- ARGV[10] milliseconds for which KEYS[7…] are remembered; ARGV[11] the number of entries, and for
-- each of them: its record, its own id or '', which of KEYS[8…] is its idempotency key or 0, the
-- digest for that key, the number of its topics, and these.
--
-- Returns {epoch, sequence of the first entry appended, …}; after these two, for each entry that
-- was not appended, {index, 'repeated', 'conflict' or 'taken', epoch, sequence, id}; false where a
-- later batch of this process is there already.

local done = redis.call('GET', KEYS[7])
if done then
  local number, result = string.match(done, '^(%d+) (.*)$')
  if number == ARGV[9] then return cjson.decode(result) end
  if tonumber(number) > tonumber(ARGV[9]) then return false end
end

-- A publisher's own id names one entry: {outcome, epoch, sequence, id} where it has one already. The
-- same entry again is the same one sent twice.
local function owner(id, record)
  local known = redis.call('ZSCORE', KEYS[4], id)
  local entry = known and redis.call('XRANGE', KEYS[2], known, known)[1]
  if not entry then return nil end
  return {entry[2][6] == record and 'repeated' or 'taken', entry[2][2], known, id}
end

local result = {epoch, sequence + 1}
local frames = {}
local base = sequence
local at = 12
for index = 1, tonumber(ARGV[11]) do
  local record, id, key = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local digest, topics = ARGV[at + 3], tonumber(ARGV[at + 4])
  local known = key > 0 and redis.call('GET', KEYS[7 + key])
  local owned = not known and id ~= '' and owner(id, record)
  if known then
    local what, in_epoch, in_sequence, known_id = string.match(known, '^(%S+) (%S+) (%d+) (.*)$')
    local outcome = what == digest and 'repeated' or 'conflict'
    result[#result + 1] = {index - 1, outcome, in_epoch, in_sequence, known_id}
  elseif owned then
    result[#result + 1] = {index - 1, unpack(owned)}
  else
    sequence = sequence + 1
    redis.call('XADD', KEYS[2], sequence .. '-0', 'e', epoch, 't', now, 'b', record)
    if id ~= '' then redis.call('ZADD', KEYS[4], 'NX', sequence, id) end
    for n = at + 5, at + 4 + topics do redis.call('ZADD', KEYS[5], sequence, ARGV[n]) end
    if key > 0 then
      redis.call('SET', KEYS[7 + key], digest .. ' ' .. epoch .. ' ' .. sequence .. ' ' .. id,
        'PX', ARGV[10])
    end
    bytes = bytes + #record + OVERHEAD
    frames[#frames + 1] = struct.pack('>I4', #record) .. record
  end
  at = at + 5 + topics
end

if sequence > base then
  if first > base then oldest = now end
  redis.call('HSET', KEYS[1], 'sequence', sequence, 'bytes', bytes, 'oldest', oldest)
  trim_if_needed()
  for n = 2, 5 do if n ~= 3 then redis.call('PEXPIRE', KEYS[n], ARGV[5]) end end
  redis.call('PUBLISH', ARGV[8], epoch .. ' ' .. (base + 1) .. ' ' .. now .. '\n'
    .. table.concat(frames))
end
redis.call('SET', KEYS[7], ARGV[9] .. ' ' .. cjson.encode(result), 'PX', ARGV[10])
return result
