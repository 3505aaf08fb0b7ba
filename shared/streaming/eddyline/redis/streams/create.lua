-- Makes a stream, or finds it. After state.lua, whose KEYS and ARGV come first.
--
-- ARGV[5] config; ARGV[6…10] media, ttl, expires, most, trim: '' where there is none; ARGV[11] life;
-- ARGV[12] the end, after '=', or ''; ARGV[13] fork, or ''; ARGV[14…16] of the fork: the source's
-- key, epoch and sequence; ARGV[17] the number of records, and these.
--
-- Returns {'new' or 'found', info}, {'taken'}, {'full', bytes}, {'nosource'}, {'sourcedeleted'}, {'trims'} or
-- {'badfork', the source's head}.

local key, records = ARGV[4], {}
for n = 1, tonumber(ARGV[17]) do records[n] = ARGV[17 + n] end
local ending = ARGV[12] ~= '' and string.sub(ARGV[12], 2) or nil

local stream = find(key)
if stream then
  if stream.deleted then return {'taken'} end
  use(stream)
  return {'found', info(stream)}
end

-- The spans of a source up to a place; nil where it has no such place.
local function spans_until(source, epoch, sequence)
  local spans, found = {}, nil
  local names, firsts = {}, {}
  for name, first in string.gmatch(source.spans, '(%S+) (%d+)') do
    names[#names + 1], firsts[#firsts + 1] = name, tonumber(first)
  end
  for n, name in ipairs(names) do
    local last = (firsts[n + 1] or source.next) - 1
    if firsts[n] <= sequence and firsts[n] <= last then
      spans[#spans + 1] = name .. ' ' .. int(firsts[n])
    end
    if name == epoch and firsts[n] <= sequence and sequence <= last then found = true end
  end
  local oldest = source.start or (names[1] .. '.' .. int(source.first - 1))
  if epoch .. '.' .. int(sequence) == oldest then return {}, oldest end
  return found and spans or nil, oldest
end

stream = {key = key, config = ARGV[5], life = ARGV[11], first = 1, next = 1, size = 0, forks = 0}
stream.most, stream.trim = tonumber(ARGV[9]), ARGV[10]
local spans, source = {}, nil
if ARGV[13] ~= '' then
  source = find(ARGV[14])
  if not source then return {'nosource'} end
  if source.deleted then return {'sourcedeleted'} end
  if source.trim == '1' or stream.trim == '1' then return {'trims'} end
  local sequence = tonumber(ARGV[16])
  spans, stream.start = spans_until(source, ARGV[15], sequence)
  if not spans then return {'badfork', head(source)} end
  stream.fork, stream.source, stream.base = ARGV[13], ARGV[14], sequence
  stream.at = ARGV[15] .. '.' .. int(sequence)
  stream.first, stream.next = sequence + 1, sequence + 1
end
spans[#spans + 1] = stream.life .. ' ' .. int(stream.next)
stream.spans = table.concat(spans, ' ')

local size = ending and #ending or 0
for _, record in ipairs(records) do size = size + #record + OVERHEAD end
if not surplus(stream, size, ending) then return {'full', int(stream.most)} end

local fields = {'config', stream.config, 'media', ARGV[6], 'trim', stream.trim, 'life', stream.life,
  'run', server(), 'spans', stream.spans, 'first', int(stream.first), 'next', int(stream.next),
  'size', 0, 'used', now, 'forks', 0}
for name, value in pairs({ttl = ARGV[7], expires = ARGV[8], most = ARGV[9]}) do
  if value ~= '' then
    fields[#fields + 1], fields[#fields + 2] = name, value
  end
end
if source then
  for _, name in ipairs({'fork', 'source', 'at', 'start'}) do
    fields[#fields + 1], fields[#fields + 2] = name, stream[name]
  end
  fields[#fields + 1], fields[#fields + 2] = 'base', int(stream.base)
end
-- First of all: a Redis that is full refuses it only in a script that has written nothing yet.
redis.call('HSET', P .. 's:' .. key, unpack(fields))
redis.call('UNLINK', P .. 'r:' .. key, P .. 'p:' .. key)
if source then set(source, 'forks', source.forks + 1) end
redis.call('ZADD', P .. 'keys', 0, key)
stream.used, stream.ttl, stream.expires = now, tonumber(ARGV[7]), tonumber(ARGV[8])
local _, due = expiry(stream)
if due then redis.call('ZADD', P .. 'due', due, key) end
write(stream, records, ending)
return {'new', info(stream)}
