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
--                                         dropped   the newest entry that its topic's bounds dropped
-- KEYS[2] eddyline:{hub}:journal  STREAM  <sequence>-0: e epoch, t time in ms, b the entry's record
-- KEYS[3] eddyline:{hub}:epochs   HASH    an ended epoch -> the last sequence that is its own
-- KEYS[4] eddyline:{hub}:ids      ZSET    a publisher's own id -> sequence of its entry, also of
--                                         SPENT_IDS that are not retained any more
-- KEYS[5] eddyline:{hub}:topics   ZSET    topic -> sequence of its newest entry
-- KEYS[6] eddyline:{hub}:lost     ZSET    topic -> sequence of its newest entry that was trimmed
-- KEYS[7] eddyline:{hub}:bounded  ZSET    entries of topics with bounds of their own: SHA-1 of the
--                                         topic and sequence in 16 digits, all of score 0
-- KEYS[8] eddyline:{hub}:sizes    HASH    SHA-1 of such a topic -> bytes of its entries
-- KEYS[9] eddyline:{hub}:expiring ZSET    sequence of such an entry -> when it goes, in ms
--
-- ARGV[1] run id of the server that the caller's connection reaches
-- ARGV[2] a fresh name, should an epoch begin
-- ARGV[3] entries, ARGV[4] bytes, ARGV[5] milliseconds: the most that is retained
-- ARGV[6] epoch and ARGV[7] sequence of an entry that the caller knows was here
--
-- Returns the error 'FORMAT <found> <newest known>' where a later version wrote the keys.

-- Raise it with any change that versions before would misread, and convert older formats here. A hub
-- without the field is of format 1: its first version wrote none. UPGRADE.md has the list.
-- Format 2: entries in the middle may be missing. A hub has it from its first topic with bounds on.
local FORMAT = 2
local OVERHEAD = 500
-- Trimmed in one call at most, so that no caller holds Redis for long.
local TRIM_LIMIT = 4096
-- Bytes of the topics of KEYS[6]: of those that lost something longest ago no one knows.
local LOST_BYTES = 4 * 1024 * 1024
local LOST_OVERHEAD = 100
-- Own ids that are kept of entries that went: none of them may name another entry.
local SPENT_IDS = 32768
-- Entries that are dropped for their age in one call.
local EXPIRED_LIMIT = 256

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'server', 'sequence', 'first', 'bytes', 'oldest',
  'format', 'marked', 'floor', 'run_id', 'lost_bytes', 'dropped')
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
local dropped = tonumber(meta[12] or 0)
local sparse = format > 1
-- A third of the time of an append of one entry, and lost in the noise from ten on, which go together
-- where many publish. Nothing cheaper tells as much: connections stay open over a manual REPLICAOF, a
-- mark of this server alone travels in the RDB of a full sync, and offsets of ROLE may go on.
local server = ARGV[1] .. ' '
  .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')

-- Earlier versions knew the run id alone.
local last_server = meta[2] or (meta[10] == ARGV[1] and server)

if not epoch then
  -- A new hub, or one whose data were lost: no cursor of before means anything.
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9])
  epoch = ARGV[2]
  redis.call('HSET', KEYS[1], 'format', format, 'epoch', epoch, 'server', server, 'sequence', 0,
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
  redis.call('HSET', KEYS[1], 'format', format, 'epoch', epoch, 'server', server)
  local ended = redis.call('HGETALL', KEYS[3])
  for i = 1, #ended, 2 do
    if tonumber(ended[i + 1]) < floor then redis.call('HDEL', KEYS[3], ended[i]) end
  end
end

-- An earlier version trimmed without a mark, or the marks were evicted: no one knows their topics.
local gone = math.max(first - 1, dropped)
if first - 1 > marked or (gone > floor and redis.call('EXISTS', KEYS[6]) == 0) then
  marked, floor = first - 1, gone
  if redis.call('EXISTS', KEYS[6]) == 0 then lost_bytes = 0 end
end

-- Topics that lose entries in this call, with the newest of these.
local lost = {}

local function topics_of(record)
  local head = string.match(record, '^[^\n]*')
  local single = string.match(head, '^%[%["([^"\\]*)"%],')
  return single and {single} or cjson.decode(head)[1]
end

-- Remembers which topics lost entries: a client that missed nothing of its own is not told.
local function mark()
  for topic, at in pairs(lost) do
    local known = tonumber(redis.call('ZSCORE', KEYS[6], topic) or 0)
    if known == 0 then lost_bytes = lost_bytes + #topic + LOST_OVERHEAD end
    if known < at then redis.call('ZADD', KEYS[6], at, topic) end
  end
  lost = {}
  while lost_bytes > LOST_BYTES do
    local gone = redis.call('ZPOPMIN', KEYS[6])
    if #gone == 0 then lost_bytes = 0; break end
    lost_bytes = lost_bytes - #gone[1] - LOST_OVERHEAD
    floor = math.max(floor, tonumber(gone[2]))
  end
  marked = first - 1
  redis.call('HSET', KEYS[1], 'first', first, 'bytes', bytes, 'oldest', oldest,
    'marked', marked, 'floor', floor, 'lost_bytes', lost_bytes, 'dropped', dropped)
end

local function sequence_of(entry)
  return tonumber(string.match(entry[1], '^%d+'))
end

-- Forgets an entry that has left the stream.
local function forget(at, record)
  local topics, size = topics_of(record), #record + OVERHEAD
  bytes = bytes - size
  for _, topic in ipairs(topics) do lost[topic] = math.max(lost[topic] or 0, at) end
  local name = sparse and redis.sha1hex(topics[1])
  if sparse and redis.call('ZREM', KEYS[7], name .. string.format('%016d', at)) == 1 then
    if redis.call('HINCRBY', KEYS[8], name, -size) <= 0 then redis.call('HDEL', KEYS[8], name) end
    redis.call('ZREM', KEYS[9], at)
  end
  return topics
end

-- Drops an entry of a topic with bounds, the oldest of that topic.
local function drop(at)
  local entry = redis.call('XRANGE', KEYS[2], at, at)[1]
  redis.call('XDEL', KEYS[2], at)
  for _, topic in ipairs(forget(at, entry[2][6])) do
    if tonumber(redis.call('ZSCORE', KEYS[5], topic) or 0) == at then
      redis.call('ZREM', KEYS[5], topic)
    end
  end
  dropped = math.max(dropped, at)
  if at == first then
    local following = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    first = following and sequence_of(following) or sequence + 1
    oldest = following and tonumber(following[2][4]) or 0
  end
end

-- Drops the oldest entries while there is more than may be retained; the newest always stays.
local function trim()
  local before = first
  local count = sparse and redis.call('XLEN', KEYS[2]) or sequence - first + 1
  local left = TRIM_LIMIT
  local excess = true
  while excess and left > 0 do
    local old = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 64)
    excess = #old > 0
    if #old == 0 then
      first, bytes, floor = sequence + 1, 0, sequence
      redis.call('DEL', KEYS[7], KEYS[8], KEYS[9])
    end
    for _, entry in ipairs(old) do
      oldest, first = tonumber(entry[2][4]), sequence_of(entry)
      excess = oldest < now - ARGV[5] or (first < sequence
        and (bytes > tonumber(ARGV[4]) or count > tonumber(ARGV[3])))
      if not excess then break end
      forget(first, entry[2][6])
      first, count, left = first + 1, count - 1, left - 1
    end
    redis.call('XTRIM', KEYS[2], 'MINID', '=', first)
  end
  local spent = redis.call('ZCOUNT', KEYS[4], '-inf', first - 1)
  if spent > SPENT_IDS then
    redis.call('ZREMRANGEBYRANK', KEYS[4], 0, spent - SPENT_IDS - 1)
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', first - 1)
  mark()
end

local function trim_if_needed()
  local expired = sparse
    and redis.call('ZRANGEBYSCORE', KEYS[9], '-inf', now, 'LIMIT', 0, EXPIRED_LIMIT) or {}
  for _, at in ipairs(expired) do
    if tonumber(at) < sequence then drop(tonumber(at)) end
  end
  if first <= sequence and (oldest < now - ARGV[5] or bytes > tonumber(ARGV[4])
      or (sequence - first >= tonumber(ARGV[3])
        and (not sparse or redis.call('XLEN', KEYS[2]) > tonumber(ARGV[3])))) then
    trim()
  elseif next(lost) then
    mark()
  end
end

-- The stream went as a whole: it expired with its newest entry, or was evicted. The next
-- entry must not look as if it followed those that clients had before.
if first <= sequence and redis.call('EXISTS', KEYS[2]) == 0 then
  trim()
end
