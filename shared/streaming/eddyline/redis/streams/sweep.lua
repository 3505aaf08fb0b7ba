-- Removes streams that have expired. After state.lua, whose KEYS and ARGV come first; ARGV[4] is empty.
--
-- Returns how many were looked at; call it again while there are many.

local due = redis.call('ZRANGEBYSCORE', P .. 'due', '-inf', now, 'LIMIT', 0, 100)
for _, key in ipairs(due) do
  local stream = load_stream(key)
  local expired, at = false, nil
  if stream then expired, at = expiry(stream) end
  if expired then
    drop(stream)
  elseif at then
    redis.call('ZADD', P .. 'due', at, key)
  else
    redis.call('ZREM', P .. 'due', key)
  end
end
return #due
