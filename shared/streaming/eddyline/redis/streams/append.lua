-- Writes a batch, where all that it depends on holds. After state.lua, whose KEYS and ARGV come first.
--
-- ARGV[5] media type, or ''; ARGV[6…8] of the producer: id after '=', or '', epoch, number; ARGV[9]
-- the order after '=', or ''; ARGV[10] the head that the writer knows, or ''; ARGV[11] the end after
-- '=', or ''; ARGV[12] a fresh epoch; ARGV[13] the number of records, and these.
--
-- Returns {'new' or 'repeated', info, the producer's newest number or ''}; or one of these, in the
-- order in which they are looked at: {'notfound'}, {'deleted'}, {'ended', head, end}, {'media', head,
-- config}, {'staleproducer', epoch}, {'badstart', epoch}, {'gap', head, expected}, {'order', head,
-- order}, {'stale', head}, {'full', bytes}.

local stream, refused = get(ARGV[4])
if not stream then return refused end
local id = ARGV[6] ~= '' and string.sub(ARGV[6], 2) or nil
local epoch, number = tonumber(ARGV[7]), tonumber(ARGV[8])
local order = ARGV[9] ~= '' and string.sub(ARGV[9], 2) or nil
local ending = ARGV[11] ~= '' and string.sub(ARGV[11], 2) or nil
local count = tonumber(ARGV[13])
local producers = P .. 'p:' .. stream.key
local known_epoch, known_number
if id then
  local known = redis.call('HGET', producers, id)
  if known then
    known_epoch, known_number = string.match(known, '^(%d+) (%d+)$')
    known_epoch, known_number = tonumber(known_epoch), tonumber(known_number)
  end
end

local function done(word)
  use(stream)
  return {word, info(stream), known_number and int(known_number) or ''}
end

if stream['end'] then
  if id and stream.ender == int(epoch) .. ' ' .. int(number) .. ' ' .. id then return done('repeated') end
  return {'ended', head(stream), stream['end']}
end
if ARGV[5] ~= '' and ARGV[5] ~= stream.media then return {'media', head(stream), stream.config} end
if id then
  local expected = 0
  if known_epoch and epoch < known_epoch then return {'staleproducer', int(known_epoch)} end
  if known_epoch and epoch == known_epoch then
    if number <= known_number then return done('repeated') end
    expected = known_number + 1
  elseif known_epoch and number ~= 0 then
    return {'badstart', int(epoch)}
  end
  if number ~= expected then return {'gap', head(stream), int(expected)} end
end
if order and stream.order and not follows(order, stream.order) then
  return {'order', head(stream), stream.order}
end
if ARGV[10] ~= '' and ARGV[10] ~= head(stream) then return {'stale', head(stream)} end

local records, size = {}, ending and #ending or 0
for n = 1, count do
  records[n] = ARGV[13 + n]
  size = size + #records[n] + OVERHEAD
end
local old, freed = surplus(stream, size, ending)
if not old then return {'full', int(stream.most)} end

use(stream)
local here = count > 0 and server()
if here and stream.run ~= here then
  -- Another server, or another life of it, may lack the newest records: their cursors must not name
  -- others. An epoch that no record came to is left out.
  stream.spans = stream.spans .. ' ' .. ARGV[12] .. ' ' .. int(stream.next)
  set(stream, 'run', here, 'spans', stream.spans)
end
trim(stream, old, freed)
if id then
  redis.call('HSET', producers, id, int(epoch) .. ' ' .. int(number))
  known_number = number
end
if order then set(stream, 'order', order) end
if ending and id then set(stream, 'ender', int(epoch) .. ' ' .. int(number) .. ' ' .. id) end
write(stream, records, ending)
return done('new')
