-- Appends a batch of entries: each gets the next sequence, is in the stream, and goes over the bus.
-- After state.lua, whose KEYS and ARGV come first.
--
-- KEYS[6]  eddyline:{hub}:batch:<process>  STRING  the last batch of this process and its result, so
--          that a batch sent again after a lost answer is not appended again
-- KEYS[7…] eddyline:{hub}:key:<key>        STRING  an idempotency key: digest, epoch, sequence, id
--
-- ARGV[6] the bus's channel; ARGV[7] the batch's number, which counts up in its process;
-- ARGV[8] milliseconds for which KEYS[6…] are remembered; ARGV[9] the number of entries, and for
-- each of them: its record, its own id or '', which of KEYS[7…] is its idempotency key or 0, the
-- digest for that key, the number of its topics, and these.
--
-- Returns {epoch, sequence of the first entry appended, …}; after these two, for each entry that
-- was not appended, {index, 'repeated' or 'conflict', epoch, sequence, id}; false where a later
-- batch of this process is there already.

local done = redis.call('GET', KEYS[6])
if done then
  local number, result = string.match(done, '^(%d+) (.*)$')
  if number == ARGV[7] then return cjson.decode(result) end
  if tonumber(number) > tonumber(ARGV[7]) then return false end
end

local result = {epoch, sequence + 1}
local frames = {}
local base = sequence
local at = 10
for index = 1, tonumber(ARGV[9]) do
  local record, id, key = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local digest, topics = ARGV[at + 3], tonumber(ARGV[at + 4])
  local known = key > 0 and redis.call('GET', KEYS[6 + key])
  if known then
    local what, in_epoch, in_sequence, known_id = string.match(known, '^(%S+) (%S+) (%d+) (.*)$')
    local outcome = what == digest and 'repeated' or 'conflict'
    result[#result + 1] = {index - 1, outcome, in_epoch, in_sequence, known_id}
  else
    sequence = sequence + 1
    redis.call('XADD', KEYS[2], sequence .. '-0', 'e', epoch, 't', now, 'b', record)
    if id ~= '' then redis.call('ZADD', KEYS[4], 'NX', sequence, id) end
    for n = at + 5, at + 4 + topics do redis.call('ZADD', KEYS[5], sequence, ARGV[n]) end
    if key > 0 then
      redis.call('SET', KEYS[6 + key], digest .. ' ' .. epoch .. ' ' .. sequence .. ' ' .. id,
        'PX', ARGV[8])
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
  redis.call('PUBLISH', ARGV[6], epoch .. ' ' .. (base + 1) .. ' ' .. now .. '\n'
    .. table.concat(frames))
end
redis.call('SET', KEYS[6], ARGV[7] .. ' ' .. cjson.encode(result), 'PX', ARGV[8])
return result
