-- Keys of streams, sorted by their bytes. After state.lua, whose KEYS and ARGV come first.
--
-- ARGV[5] the beginning of all; ARGV[6] after which, after '=', or ''; ARGV[7] how many at most.

local prefix, most, found = ARGV[5], tonumber(ARGV[7]), {}
local from = '[' .. prefix
if ARGV[6] ~= '' then
  local after = string.sub(ARGV[6], 2)
  if after == prefix or follows(after, prefix) then from = '(' .. after end
end
while #found < most do
  local keys = redis.call('ZRANGEBYLEX', P .. 'keys', from, '+', 'LIMIT', 0, 256)
  if #keys == 0 then return found end
  for _, key in ipairs(keys) do
    if string.sub(key, 1, #prefix) ~= prefix then return found end
    local stream = load_stream(key)
    if stream and not stream.deleted and not expiry(stream) and #found < most then
      found[#found + 1] = key
    end
  end
  from = '(' .. keys[#keys]
end
return found
