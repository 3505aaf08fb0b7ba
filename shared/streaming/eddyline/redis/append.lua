-- Appends a batch of entries: each gets the next sequence, is in the stream, and goes over the bus.
-- After state.lua, whose KEYS and ARGV come first.
--
-- KEYS[10] eddyline:{hub}:batch:<process>  STRING  the last batch of this process and its result, so
--          that a batch sent again after a lost answer is not appended again
-- KEYS[11…] eddyline:{hub}:key:<key>       STRING  an idempotency key: digest, epoch, sequence, id
--
-- ARGV[8] the bus's channel; ARGV[9] the batch's number, which counts up in its process;
-- ARGV[10] milliseconds for which KEYS[10…] are remembered; ARGV[11] the number of entries, and for
-- each of them: its record, its own id or '', which of KEYS[11…] is its idempotency key or 0, the
-- digest for that key, the bounds of its topic ('' or entries, bytes and milliseconds; 0: no bound),
-- the number of its topics, and these.
--
-- Returns {epoch, sequence of the first entry appended, …}; after these two, for each entry that
-- was not appended, {index, 'repeated', 'conflict' or 'taken', epoch, sequence, id}; false where a
-- later batch of this process is there already.

local done = redis.call('GET', KEYS[10])
if done then
  local number, result = string.match(done, '^(%d+) (.*)$')
  if number == ARGV[9] then return cjson.decode(result) end
  if tonumber(number) > tonumber(ARGV[9]) then return false end
end

-- A publisher's own id names one entry: {outcome, epoch, sequence, id} where it has one already. The
-- same entry again is the same one sent twice. A client that has the id of an entry that went would
-- be taken to the new one.
local function owner(id, record)
  local known = redis.call('ZSCORE', KEYS[4], id)
  if not known then return nil end
  local entry = redis.call('XRANGE', KEYS[2], known, known)[1]
  if not entry then return {'taken', epoch, known, id} end
  return {entry[2][6] == record and 'repeated' or 'taken', entry[2][2], known, id}
end

-- Adds an entry to those of a topic with bounds, whose oldest entries make room for it: before any
-- entry of another topic would have to go.
local drops = TRIM_LIMIT
local function bind(topic, bounds, at, size)
  local most, most_bytes, age = string.match(bounds, '^(%d+) (%d+) (%d+)$')
  most, most_bytes = tonumber(most), tonumber(most_bytes)
  if not sparse then
    sparse = true
    redis.call('HSET', KEYS[1], 'format', FORMAT)
  end
  local name = redis.sha1hex(topic)
  local count = redis.call('ZLEXCOUNT', KEYS[7], '[' .. name, '(' .. name .. ':')
  -- The index was evicted, and the bytes are those of entries that nobody knows.
  if count == 0 then redis.call('HDEL', KEYS[8], name) end
  local total = tonumber(redis.call('HGET', KEYS[8], name) or 0)
  while count > 0 and drops > 0
      and ((most > 0 and count >= most) or (most_bytes > 0 and total + size > most_bytes)) do
    local before = bytes
    local old = redis.call('ZRANGEBYLEX', KEYS[7], '[' .. name, '(' .. name .. ':', 'LIMIT', 0, 1)
    drop(tonumber(string.sub(old[1], -16)))
    count, total, drops = count - 1, total - before + bytes, drops - 1
  end
  redis.call('ZADD', KEYS[7], 0, name .. string.format('%016d', at))
  redis.call('HINCRBY', KEYS[8], name, size)
  if age ~= '0' then redis.call('ZADD', KEYS[9], now + age, at) end
end

local result = {epoch, sequence + 1}
local frames = {}
local base = sequence
local at = 12
for index = 1, tonumber(ARGV[11]) do
  local record, id, key = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local digest, bounds, topics = ARGV[at + 3], ARGV[at + 4], tonumber(ARGV[at + 5])
  local known = key > 0 and redis.call('GET', KEYS[10 + key])
  local owned = not known and id ~= '' and owner(id, record)
  if known then
    local what, in_epoch, in_sequence, known_id = string.match(known, '^(%S+) (%S+) (%d+) (.*)$')
    local outcome = what == digest and 'repeated' or 'conflict'
    result[#result + 1] = {index - 1, outcome, in_epoch, in_sequence, known_id}
  elseif owned then
    result[#result + 1] = {index - 1, unpack(owned)}
  else
    if bounds ~= '' then bind(ARGV[at + 6], bounds, sequence + 1, #record + OVERHEAD) end
    sequence = sequence + 1
    redis.call('XADD', KEYS[2], sequence .. '-0', 'e', epoch, 't', now, 'b', record)
    if id ~= '' then
      redis.call('ZADD', KEYS[4], 'NX', sequence, id)
      redis.call('PERSIST', KEYS[4])
    end
    for n = at + 6, at + 5 + topics do redis.call('ZADD', KEYS[5], sequence, ARGV[n]) end
    if key > 0 then
      redis.call('SET', KEYS[10 + key], digest .. ' ' .. epoch .. ' ' .. sequence .. ' ' .. id,
        'PX', ARGV[10])
    end
    bytes = bytes + #record + OVERHEAD
    frames[#frames + 1] = struct.pack('>I4', #record) .. record
  end
  at = at + 6 + topics
end

if sequence > base then
  if first > base then oldest = now end
  redis.call('HSET', KEYS[1], 'sequence', sequence, 'bytes', bytes, 'oldest', oldest)
  trim_if_needed()
  for _, n in ipairs(sparse and {2, 5, 7, 8, 9} or {2, 5}) do
    redis.call('PEXPIRE', KEYS[n], ARGV[5])
  end
  redis.call('PUBLISH', ARGV[8], epoch .. ' ' .. (base + 1) .. ' ' .. now .. '\n'
    .. table.concat(frames))
end
redis.call('SET', KEYS[10], ARGV[9] .. ' ' .. cjson.encode(result), 'PX', ARGV[10])
return result
