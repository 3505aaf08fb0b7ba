-- The part that append.lua and read.lua share: the state of a hub's journal, and its invariants.
--
-- All keys of a hub have one hash tag, {<hub>}, and so one slot of a cluster:
--
-- KEYS[1] eddyline:{hub}:meta     HASH    format    of all keys of the hub: FORMAT, below
--                                         epoch     the name of the journal's present epoch
--                                         server    the server that this epoch is of: run id,
--                                                   a space, replication id (changes where a
--                                                   replica is promoted, also without a restart)
--                                         sequence  of the newest entry; 0: there was none
--                                         first     sequence of the oldest retained entry
--                                         bytes     retained, with OVERHEAD for each entry
--                                         oldest    when the oldest retained entry came, in ms
--                                         marked    the newest trimmed entry that KEYS[6] tells of
--                                         floor     KEYS[6] tells of no loss up to this sequence
--                                         lost_bytes  of the topics in KEYS[6]
-- KEYS[2] eddyline:{hub}:journal  STREAM  <sequence>-0: e epoch, t time in ms, b the entry's record
-- KEYS[3] eddyline:{hub}:epochs   HASH    an ended epoch -> the last sequence that is its own
-- KEYS[4] eddyline:{hub}:ids      ZSET    a publisher's own id -> sequence of its oldest entry
-- KEYS[5] eddyline:{hub}:topics   ZSET    topic -> sequence of its newest entry
-- KEYS[6] eddyline:{hub}:lost     ZSET    topic -> sequence of its newest entry that was trimmed
--
-- ARGV[1] run id of the server that the caller's connection reaches
-- ARGV[2] a fresh name, should an epoch begin
-- ARGV[3] entries, ARGV[4] bytes, ARGV[5] milliseconds: the most that is retained
-- ARGV[6] epoch and ARGV[7] sequence of an entry that the caller knows was here
--
-- Returns the error 'FORMAT <found> <newest known>' where a later version wrote the keys.

-- Raise it with any change that versions before would misread, and convert older formats here. A hub
-- without the field is of format 1: its first version wrote none. UPGRADE.md has the list.
local FORMAT = 1
local OVERHEAD = 500
-- Trimmed in one call at most, so that no caller holds Redis for long.
local TRIM_LIMIT = 4096
-- Bytes of the topics of KEYS[6]: of those that lost something longest ago no one knows.
local LOST_BYTES = 4 * 1024 * 1024
local LOST_OVERHEAD = 100

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'server', 'sequence', 'first', 'bytes', 'oldest',
  'format', 'marked', 'floor', 'run_id', 'lost_bytes')
local format = tonumber(meta[7] or 1)
if not format or format > FORMAT then
  return redis.error_reply('FORMAT ' .. meta[7] .. ' ' .. FORMAT)
end
local epoch = meta[1]
local sequence = tonumber(meta[3] or 0)
local first = tonumber(meta[4] or 1)
local bytes = tonumber(meta[5] or 0)
local oldest = tonumber(meta[6] or 0)
local marked = tonumber(meta[8] or 0)
local floor = tonumber(meta[9] or 0)
local lost_bytes = tonumber(meta[11] or 0)
local server = ARGV[1] .. ' '
  .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')

-- Earlier versions knew the run id alone.
local last_server = meta[2] or (meta[10] == ARGV[1] and server)

if not epoch then
  -- A new hub, or one whose data were lost: no cursor of before means anything.
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
  epoch = ARGV[2]
  redis.call('HSET', KEYS[1], 'format', FORMAT, 'epoch', epoch, 'server', server, 'sequence', 0,
    'first', 1, 'bytes', 0, 'oldest', 0)
elseif last_server ~= server or (ARGV[6] == epoch and tonumber(ARGV[7]) > sequence) then
  -- Another server, or another life of it, or a backup that was restored into it: a replica that
  -- was promoted, or a file that was read, may lack the newest entries, and their sequences would
  -- be given again. So the epoch ends with the entries that are here; cursors up to its end stay
  -- good, and those beyond it are known to be lost.
  -- Removes nothing: a Redis that is full refuses a script's HSET, unless it has written before.
  redis.call('HDEL', KEYS[3], '')
  redis.call('HSET', KEYS[3], epoch, sequence)
  epoch = ARGV[2]
  redis.call('HSET', KEYS[1], 'format', FORMAT, 'epoch', epoch, 'server', server)
  local ended = redis.call('HGETALL', KEYS[3])
  for i = 1, #ended, 2 do
    if tonumber(ended[i + 1]) < floor then redis.call('HDEL', KEYS[3], ended[i]) end
  end
end

-- An earlier version trimmed without a mark, or the marks were evicted: no one knows their topics.
if first - 1 > marked or (first - 1 > floor and redis.call('EXISTS', KEYS[6]) == 0) then
  marked, floor = first - 1, first - 1
  if redis.call('EXISTS', KEYS[6]) == 0 then lost_bytes = 0 end
end

local function topics_of(record)
  local head = string.match(record, '^[^\n]*')
  local single = string.match(head, '^%[%["([^"\\]*)"%],')
  return single and {single} or cjson.decode(head)[1]
end

-- Remembers which topics lost entries: a client that missed nothing of its own is not told.
local function mark(lost)
  for topic, at in pairs(lost) do
    if redis.call('ZADD', KEYS[6], at, topic) == 1 then
      lost_bytes = lost_bytes + #topic + LOST_OVERHEAD
    end
  end
  while lost_bytes > LOST_BYTES do
    local gone = redis.call('ZPOPMIN', KEYS[6])
    if #gone == 0 then lost_bytes = 0; break end
    lost_bytes = lost_bytes - #gone[1] - LOST_OVERHEAD
    floor = math.max(floor, tonumber(gone[2]))
  end
  marked = first - 1
end

-- Drops the oldest entries while there is more than may be retained; the newest always stays.
local function trim()
  local before = first
  local excess = true
  local lost = {}
  while excess and first - before < TRIM_LIMIT do
    local old = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 64)
    excess = #old > 0
    if #old == 0 then first, bytes, floor = sequence + 1, 0, sequence end
    for _, entry in ipairs(old) do
      oldest = tonumber(entry[2][4])
      excess = oldest < now - ARGV[5] or (first < sequence
        and (bytes > tonumber(ARGV[4]) or sequence - first >= tonumber(ARGV[3])))
      if not excess then break end
      bytes = bytes - #entry[2][6] - OVERHEAD
      for _, topic in ipairs(topics_of(entry[2][6])) do lost[topic] = first end
      first = first + 1
    end
    redis.call('XTRIM', KEYS[2], 'MINID', '=', first)
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', first - 1)
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', first - 1)
  mark(lost)
  redis.call('HSET', KEYS[1], 'first', first, 'bytes', bytes, 'oldest', oldest,
    'marked', marked, 'floor', floor, 'lost_bytes', lost_bytes)
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
