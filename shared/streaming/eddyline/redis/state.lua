-- The part that append.lua and read.lua share: the state of a hub's journal, and its invariants.
--
-- All keys of a hub have one hash tag, {<hub>}, and so one slot of a cluster:
--
-- KEYS[1] eddyline:{hub}:meta     HASH    format    of all keys of the hub: FORMAT, below
--                                         epoch     the name of the journal's present epoch
--                                         run_id    run id of the server that this epoch is of
--                                         sequence  of the newest entry; 0: there was none
--                                         first     sequence of the oldest retained entry
--                                         bytes     retained, with OVERHEAD for each entry
--                                         oldest    when the oldest retained entry came, in ms
-- KEYS[2] eddyline:{hub}:journal  STREAM  <sequence>-0: e epoch, t time in ms, b the entry's record
-- KEYS[3] eddyline:{hub}:epochs   HASH    an ended epoch -> the last sequence that is its own
-- KEYS[4] eddyline:{hub}:ids      ZSET    a publisher's own id -> sequence of its oldest entry
-- KEYS[5] eddyline:{hub}:topics   ZSET    topic -> sequence of its newest entry
--
-- ARGV[1] run id of the server that the caller's connection reaches
-- ARGV[2] a fresh name, should an epoch begin
-- ARGV[3] entries, ARGV[4] bytes, ARGV[5] milliseconds: the most that is retained
--
-- Returns the error 'FORMAT <found> <newest known>' where a later version wrote the keys.

-- Raise it with any change that versions before would misread, and convert older formats here. A hub
-- without the field is of format 1: its first version wrote none. UPGRADE.md has the list.
local FORMAT = 1
local OVERHEAD = 500
-- Trimmed in one call at most, so that no caller holds Redis for long.
local TRIM_LIMIT = 4096

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'run_id', 'sequence', 'first', 'bytes', 'oldest',
  'format')
local format = tonumber(meta[7] or 1)
if not format or format > FORMAT then
  return redis.error_reply('FORMAT ' .. meta[7] .. ' ' .. FORMAT)
end
local epoch = meta[1]
local sequence = tonumber(meta[3] or 0)
local first = tonumber(meta[4] or 1)
local bytes = tonumber(meta[5] or 0)
local oldest = tonumber(meta[6] or 0)

if not epoch then
  -- A new hub, or one whose data were lost: no cursor of before means anything.
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
  epoch = ARGV[2]
  redis.call('HSET', KEYS[1], 'format', FORMAT, 'epoch', epoch, 'run_id', ARGV[1], 'sequence', 0,
    'first', 1, 'bytes', 0, 'oldest', 0)
elseif meta[2] ~= ARGV[1] then
  -- Another server, or another life of it: a replica that was promoted, or a file that was read,
  -- may lack the newest entries, and their sequences would be given again. So the epoch ends with
  -- the entries that are here; cursors up to its end stay good, and those beyond it are known to be lost.
  -- Removes nothing: a Redis that is full refuses a script's HSET, unless it has written before.
  redis.call('HDEL', KEYS[3], '')
  redis.call('HSET', KEYS[3], epoch, sequence)
  epoch = ARGV[2]
  redis.call('HSET', KEYS[1], 'format', FORMAT, 'epoch', epoch, 'run_id', ARGV[1])
  local ended = redis.call('HGETALL', KEYS[3])
  for i = 1, #ended, 2 do
    if tonumber(ended[i + 1]) < first - 1 then redis.call('HDEL', KEYS[3], ended[i]) end
  end
end

-- Drops the oldest entries while there is more than may be retained; the newest always stays.
local function trim()
  local before = first
  local excess = true
  while excess and first - before < TRIM_LIMIT do
    local old = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 64)
    excess = #old > 0
    if #old == 0 then first, bytes = sequence + 1, 0 end
    for _, entry in ipairs(old) do
      oldest = tonumber(entry[2][4])
      excess = oldest < now - ARGV[5] or (first < sequence
        and (bytes > tonumber(ARGV[4]) or sequence - first >= tonumber(ARGV[3])))
      if not excess then break end
      bytes = bytes - #entry[2][6] - OVERHEAD
      first = first + 1
    end
    redis.call('XTRIM', KEYS[2], 'MINID', '=', first)
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', first - 1)
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', first - 1)
  redis.call('HSET', KEYS[1], 'first', first, 'bytes', bytes, 'oldest', oldest)
end

local function trim_if_needed()
  if first <= sequence and (oldest < now - ARGV[5] or bytes > tonumber(ARGV[4])
      or sequence - first >= tonumber(ARGV[3])) then
    trim()
  end
end

-- The stream went as a whole: it expired with its newest entry, or was evicted. The next
-- entry must not look as if it followed those that clients had before.
if first <= sequence and redis.call('EXISTS', KEYS[2]) == 0 then
  trim()
end
