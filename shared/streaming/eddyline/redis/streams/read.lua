-- Reads records. After state.lua, whose KEYS and ARGV come first.
--
-- ARGV[5] the sequence after which; ARGV[6] bytes of records at most, but at least one record; 0: none.
--
-- Returns {'read', info, record, …}, {'notfound'} or {'deleted'}.

local stream, refused = get(ARGV[4])
if not stream then return refused end
local result, limit, size = {'read', info(stream)}, tonumber(ARGV[6]), 0
local at = tonumber(ARGV[5]) + 1
if not stream.base then at = math.max(at, stream.first) end
if limit > 0 then use(stream) end

-- The stream that has a record, of all that this one was made from; and the last record there.
local function owner(sequence)
  local each, last = stream, stream.next - 1
  while each.base and sequence <= each.base do
    last = math.min(last, each.base)
    each = load_stream(each.source)
  end
  return each, last
end

-- So many at once: few, until it is known that they are small.
local page = 1
while size < limit and at < stream.next do
  local holder, last = owner(at)
  local rows = redis.call('XRANGE', P .. 'r:' .. holder.key, int(at), int(last), 'COUNT', page)
  if #rows == 0 then break end
  page = math.min(page * 4, 256)
  for _, row in ipairs(rows) do
    local record = row[2][2]
    if #result > 2 and size + #record > limit then return result end
    result[#result + 1] = record
    size = size + #record
    at = at + 1
    if size >= limit then break end
  end
end
return result
