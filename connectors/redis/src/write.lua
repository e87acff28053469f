-- One write: value, version and expiry in one step; what is older than what is there changes nothing.
-- KEYS: the value's key; for a string or a ranking also the key of its version.
-- ARGV: the value's type in Redis, the version, the expiry in seconds (0: stays), then the value. A hash comes as field and value
--   in turns, first the field that holds the version; a ranking as score and member in turns.
-- Answers 1, or the version that is there if that is newer.
-- Versions have one width and one case: as strings they order like numbers, while Lua's numbers lose digits above 2^53.
-- Commands and keys are written out, never in variables: the proxies of some clouds refuse a script whose keys are not literally KEYS[n].
local kind, version, expiry = ARGV[1], ARGV[2], tonumber(ARGV[3])

local last
if kind == 'hash' then
  last = redis.call('HGET', KEYS[1], ARGV[4])
else
  -- SET and DEL would not mind another type.
  local there = redis.call('TYPE', KEYS[1]).ok
  if there ~= kind and there ~= 'none' then
    return redis.error_reply('WRONGTYPE the key holds a ' .. there .. ', to be written is a ' .. kind)
  end
  last = redis.call('GET', KEYS[2])
end
if last and last > version then return last end

-- The value's arguments in parts: Lua passes at most some 8000 of them.
local function part(first)
  return unpack(ARGV, first, math.min(first + 1999, #ARGV))
end

-- The first command that writes is one that Redis refuses when memory is short: then nothing has changed.
if kind == 'hash' then
  for first = 4, #ARGV, 2000 do redis.call('HSET', KEYS[1], part(first)) end
  if redis.call('HLEN', KEYS[1]) * 2 ~= #ARGV - 3 then
    redis.call('DEL', KEYS[1])
    for first = 4, #ARGV, 2000 do redis.call('HSET', KEYS[1], part(first)) end
  end
elseif kind == 'string' then
  redis.call('SET', KEYS[2], version)
  redis.call('SET', KEYS[1], ARGV[4])
else
  redis.call('SET', KEYS[2], version)
  redis.call('DEL', KEYS[1])
  for first = 4, #ARGV, 2000 do redis.call('ZADD', KEYS[1], part(first)) end
end

if expiry > 0 then
  redis.call('EXPIRE', KEYS[1], expiry)
  if kind ~= 'hash' then redis.call('EXPIRE', KEYS[2], expiry) end
else
  redis.call('PERSIST', KEYS[1])
  if kind ~= 'hash' then redis.call('PERSIST', KEYS[2]) end
end
return 1
