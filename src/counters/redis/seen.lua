-- What a server's lists showed last. KEYS[2] the tools: each field is a name, each value the instant
-- since when, and the digest of the definition. ARGV[4] what is asked.
if ARGV[4] == 'see' then
  -- ARGV[5] the instant, then names and digests.
  local before = redis.call('HGETALL', KEYS[2])
  local known = {}
  for i = 1, #before, 2 do known[before[i]] = before[i + 1] end
  redis.call('DEL', KEYS[2])
  for i = 6, #ARGV, 2 do
    local value = known[ARGV[i]]
    if not value or string.match(value, '^[^|]*|(.*)$') ~= ARGV[i + 1] then value = ARGV[5] .. '|' .. ARGV[i + 1] end
    redis.call('HSET', KEYS[2], ARGV[i], value)
  end
  -- A server that is listed no more is forgotten after a season.
  redis.call('PEXPIRE', KEYS[2], whole(90 * DAY))
  return {'done', changed(true)}
end
-- 'read'
local answer = {'done', about[2] or '0'}
for _, part in ipairs(redis.call('HGETALL', KEYS[2])) do answer[#answer + 1] = part end
return answer
