-- Adds to a debt, unless there is too much already.
--
-- KEYS[1] eddyline:{hub}:state:debt:<key>  STRING  when the debt is paid, in microseconds
-- ARGV[1] run id of the server; ARGV[2] microseconds to add; ARGV[3] microseconds: the most debt to
-- which anything is added
--
-- Returns the microseconds to wait, or 0.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local paid = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
if paid - now > tonumber(ARGV[3]) then return paid - now - tonumber(ARGV[3]) end
paid = paid + tonumber(ARGV[2])
redis.call('SET', KEYS[1], string.format('%.0f', paid), 'PX', math.ceil((paid - now) / 1000) + 1)
return 0
