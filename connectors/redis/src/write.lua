-- One write: value, version and expiry in one step; what is older than what is there changes nothing.
-- KEYS: the value's key; for a string or a ranking also the key of its version.
-- ARGV: the value's type in Redis, the version, the expiry in seconds (0: stays), then the value. A hash comes as field and value
--   in turns, first the field that holds the version; a ranking as score and member in turns.
-- Answers 1, or the version that is there if that is newer.
-- Versions have one width and one case: as strings they order like numbers, while Lua's numbers lose digits above 2^53.
local key, side = KEYS[1], KEYS[2]
local kind, version, expiry = ARGV[1], ARGV[2], tonumber(ARGV[3])

local last
if side then
  -- SET and DEL would not mind another type.
  local there = redis.call('TYPE', key).ok
  if there ~= kind and there ~= 'none' then
    return redis.error_reply('WRONGTYPE the key holds a ' .. there .. ', to be written is a ' .. kind)
  end
  last = redis.call('GET', side)
else
  last = redis.call('HGET', key, ARGV[4])
end
if last and last > version then return last end

-- In parts: Lua passes at most some 8000 arguments.
local function fill(command)
  for first = 4, #ARGV, 2000 do
    redis.call(command, key, unpack(ARGV, first, math.min(first + 1999, #ARGV)))
  end
end

-- The first command that writes is one that Redis refuses when memory is short: then nothing has changed.
if kind == 'hash' then
  fill('HSET')
  if redis.call('HLEN', key) * 2 ~= #ARGV - 3 then
    redis.call('DEL', key)
    fill('HSET')
  end
else
  redis.call('SET', side, version)
  if kind == 'string' then
    redis.call('SET', key, ARGV[4])
  else
    redis.call('DEL', key)
    fill('ZADD')
  end
end

for _, name in ipairs(KEYS) do
  if expiry > 0 then redis.call('EXPIRE', name, expiry) else redis.call('PERSIST', name) end
end
return 1
