-- The part that all scripts of the store share: the state of one stream, and its invariants.
--
-- All keys of a store have one hash tag, {<name>}, and so one slot of a cluster. P is the prefix
-- eddyline:{<name>}:
--
-- P meta        HASH    format  of all keys of the store: FORMAT, below
--                       id      a random name of this store, in the names of its channels: channels
--                               know nothing of databases
-- P keys        ZSET    the keys of all streams but deleted ones, with score 0: sorted by bytes
-- P due         ZSET    key -> when to see whether the stream has expired, in ms
-- P s:<key>     HASH    config, fork  texts of the creator
--                       media, ttl, expires, most, trim  of the config: ms, ms, bytes, 0 or 1
--                       life    the stream's name among all that ever have the key
--                       run     the server that the newest epoch is of: run id, a space, replication
--                               id (changes where a replica is promoted, also without a restart)
--                       spans   <epoch> <first sequence> …: each epoch ends where the next begins
--                       first, next, size  of its own records
--                       source, base, at, start  of a fork: the source's key, the sequence and the
--                               cursor of the last record that it has of it, the source's oldest
--                       order, end, ender  of its writers
--                       used    when it was last used, in ms
--                       forks   how many streams hold records of it
--                       deleted only these keep it
-- P r:<key>     STREAM  <sequence>-0: d the record
-- P p:<key>     HASH    producer's id -> <epoch> <number>
-- P c:<id>:<key>        the channel that tells of writes: see `tell`
--
-- KEYS[1] P meta; ARGV[1] run id of the server; ARGV[2] P; ARGV[3] a fresh name, should there be
-- none; ARGV[4] the stream's key.

-- Raise it with any change that versions before would misread; UPGRADE.md has the list.
local FORMAT = 1
-- As in eddyline/store/base.py.
local OVERHEAD, ENDING = 48, 1024
-- The part of a stream's bound that is trimmed at a time, at least.
local TRIM = 16
-- A message with more bytes of records tells only that they are there.
local TOLD = 1048576

local P = ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local meta = redis.call('HMGET', KEYS[1], 'format', 'id')
local format = tonumber(meta[1] or FORMAT)
if not format or format > FORMAT then
  return redis.error_reply('FORMAT ' .. meta[1] .. ' ' .. FORMAT)
end
local store_id = meta[2]
if not store_id then
  store_id = ARGV[3]
  redis.call('HSET', KEYS[1], 'format', FORMAT, 'id', store_id)
end

local FIELDS = {'config', 'fork', 'media', 'ttl', 'expires', 'most', 'trim', 'life', 'run', 'spans',
  'first', 'next', 'size', 'source', 'base', 'at', 'start', 'order', 'end', 'ender', 'used', 'forks',
  'deleted'}

-- The server that this is, as `run` has it. A primary that was the replica of an older copy in between
-- has the same run id, and lacks the newest records.
local function server()
  return ARGV[1] .. ' ' .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
end

local function load_stream(key)
  local values = redis.call('HMGET', P .. 's:' .. key, unpack(FIELDS))
  if not values[1] then return nil end
  local stream = {key = key}
  for n, name in ipairs(FIELDS) do stream[name] = values[n] or nil end
  for _, name in ipairs({'ttl', 'expires', 'most', 'first', 'next', 'size', 'base', 'used', 'forks'}) do
    stream[name] = tonumber(stream[name])
  end
  return stream
end

local function set(stream, ...)
  redis.call('HSET', P .. 's:' .. stream.key, ...)
end

-- A whole number as a text: Lua's own would write the great ones with an exponent.
local function int(number)
  return string.format('%.0f', number)
end

-- Whether a text follows another, byte by byte: `<` would compare as the locale does.
local function follows(text, before)
  for n = 1, math.min(#text, #before) do
    local a, b = string.byte(text, n), string.byte(before, n)
    if a ~= b then return a > b end
  end
  return #text > #before
end

-- Tells the processes that follow the stream: a line of words, and then bytes.
local function tell(stream, line, bytes)
  redis.call('PUBLISH', P .. 'c:' .. store_id .. ':' .. stream.key, line .. '\n' .. (bytes or ''))
end

-- Whether it has expired, or when to look again: nil where it never does.
local function expiry(stream)
  if stream.deleted then return false, nil end
  local due = stream.expires
  if stream.ttl then due = math.min(due or math.huge, stream.used + stream.ttl) end
  return due ~= nil and now >= due, due
end

-- Removes a stream, and those before it that only it has kept; one with forks only disappears.
local function drop(stream)
  if not stream['end'] and not stream.deleted then tell(stream, 'gone ' .. stream.life) end
  redis.call('ZREM', P .. 'keys', stream.key)
  redis.call('ZREM', P .. 'due', stream.key)
  while stream do
    if stream.forks > 0 then
      set(stream, 'deleted', 1)
      return
    end
    for _, kind in ipairs({'s:', 'r:', 'p:'}) do redis.call('UNLINK', P .. kind .. stream.key) end
    local source = stream.source and load_stream(stream.source)
    if source then
      source.forks = source.forks - 1
      set(source, 'forks', source.forks)
      if not source.deleted then return end
    end
    stream = source
  end
end

-- The stream of a key, as it is now.
local function find(key)
  local stream = load_stream(key)
  if stream and expiry(stream) then
    drop(stream)
    stream = load_stream(key)
  end
  return stream
end

-- The stream of a key, or the answer of a script that finds none.
local function get(key)
  local stream = find(key)
  if not stream then return nil, {'notfound'} end
  if stream.deleted then return nil, {'deleted'} end
  return stream
end

local function use(stream)
  if stream.ttl then
    stream.used = now
    set(stream, 'used', now)
  end
end

-- The epoch of the newest record, and its sequence; for a fork without records of its own, the place
-- that it begins at.
local function head(stream)
  local last = stream.next - 1
  if stream.base and last <= stream.base then return stream.at end
  local epoch
  for name, first in string.gmatch(stream.spans, '(%S+) (%d+)') do
    if not epoch or tonumber(first) <= last then epoch = name end
  end
  return epoch .. '.' .. int(last)
end

-- The state, as RedisStore reads it.
local function info(stream)
  return {stream.config, stream.fork or '', stream.life, stream.spans, int(stream.first),
    int(stream.next), stream.start or '', stream['end'] and ('=' .. stream['end']) or '', head(stream),
    store_id}
end

-- Adds records and the end to a stream that takes them, and tells its followers.
local function write(stream, records, ending)
  local first, size = stream.next, 0
  for _, record in ipairs(records) do
    redis.call('XADD', P .. 'r:' .. stream.key, int(stream.next) .. '-0', 'd', record)
    stream.next = stream.next + 1
    size = size + #record
  end
  stream.size = stream.size + size + OVERHEAD * #records + (ending and #ending or 0)
  set(stream, 'next', int(stream.next), 'size', int(stream.size))
  if ending then
    stream['end'] = ending
    set(stream, 'end', ending)
  end
  local sizes = {}
  for n, record in ipairs(records) do sizes[n] = #record end
  local bytes = size <= TOLD and table.concat(records) or ''
  if size > TOLD then sizes = {} end
  if #records > 0 or ending then
    tell(stream, table.concat({'write', stream.life, head(stream), int(first),
      int(stream.next - first), ending and ('=' .. ending) or '-'}, ' ') .. ' '
      .. table.concat(sizes, ' '), bytes)
  end
end

-- How many of its oldest records must go for so many bytes more; nil where the stream is full.
local function surplus(stream, size, ending)
  if not stream.most then return 0, 0 end
  local excess = stream.size + size - stream.most - (ending and ENDING or 0)
  if excess <= 0 then return 0, 0 end
  if stream.trim ~= '1' or size > stream.most then return nil end
  local wanted, count, freed = math.max(excess, math.floor(stream.most / TRIM)), 0, 0
  local at = int(stream.first)
  while freed < wanted do
    local old = redis.call('XRANGE', P .. 'r:' .. stream.key, at, '+', 'COUNT', 64)
    if #old == 0 then break end
    for _, record in ipairs(old) do
      if freed >= wanted then break end
      count, freed = count + 1, freed + #record[2][2] + OVERHEAD
    end
    at = '(' .. old[#old][1]
  end
  return count, freed
end

local function trim(stream, count, freed)
  if count == 0 then return end
  stream.first, stream.size = stream.first + count, stream.size - freed
  redis.call('XTRIM', P .. 'r:' .. stream.key, 'MINID', '=', int(stream.first))
  -- Epochs that ended before the oldest record are of no use.
  local names, firsts = {}, {}
  for name, first in string.gmatch(stream.spans, '(%S+) (%d+)') do
    if #firsts > 0 and tonumber(first) <= stream.first then
      table.remove(names)
      table.remove(firsts)
    end
    names[#names + 1], firsts[#firsts + 1] = name, first
  end
  local spans = {}
  for n, name in ipairs(names) do spans[n] = name .. ' ' .. firsts[n] end
  stream.spans = table.concat(spans, ' ')
  set(stream, 'first', int(stream.first), 'spans', stream.spans)
end
