-- Where streams are that a process follows, which keeps them from expiring. After state.lua, whose
-- KEYS and ARGV come first; ARGV[4] is empty.
--
-- ARGV[5…] the streams' keys. Returns {life, head, end after '=' or ''} for each; {} where there is none.

local result = {}
for n = 5, #ARGV do
  local stream = find(ARGV[n])
  if stream and not stream.deleted then
    use(stream)
    result[#result + 1] = {stream.life, head(stream), stream['end'] and ('=' .. stream['end']) or ''}
  else
    result[#result + 1] = {}
  end
end
return result
