-- Questions to people, and unanswered rounds. KEYS[2] the questions: each field is an id, each value
-- how it stands ('waiting', 'given' or 'refused'), when it ends, and the text. KEYS[3] the rounds of a
-- grant on a server, oldest first: each when it was remembered, then which it is.
-- ARGV[4] what is asked.
local function number() return redis.call('HGET', KEYS[1], 'questions') or '0' end

if ARGV[4] == 'read' then
  local answer = {'done', about[2] or '0', number()}
  for _, value in ipairs(redis.call('HVALS', KEYS[2])) do answer[#answer + 1] = value end
  return answer
elseif ARGV[4] == 'change' then
  -- ARGV[5] the number at which they were read, ARGV[6] how long they are kept in milliseconds, then
  -- ids with their new values, '' for none. Somebody else's change comes first.
  if number() ~= ARGV[5] then return {'changed'} end
  for i = 7, #ARGV, 2 do
    if ARGV[i + 1] == '' then
      redis.call('HDEL', KEYS[2], ARGV[i])
    else
      redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
    end
  end
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
  redis.call('HINCRBY', KEYS[1], 'questions', 1)
  return {'done', changed(true)}
end

-- ARGV[5] how long a round is good in microseconds, ARGV[6] which it is, ARGV[7] how many are kept.
local now = clock()
local function since(value) return tonumber(string.match(value, '^(%-?%d+) ')) end
if ARGV[4] == 'remember' then
  redis.call('RPUSH', KEYS[3], whole(now) .. ' ' .. ARGV[6])
  redis.call('LTRIM', KEYS[3], '-' .. ARGV[7], '-1')
  redis.call('PEXPIRE', KEYS[3], kept(now, now + tonumber(ARGV[5])))
  return {'done', changed(false)}
end
-- ARGV[4] 'take': the oldest such round, once.
for _, value in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  if string.gsub(value, '^%S+ ', '') == ARGV[6] and now < since(value) + tonumber(ARGV[5]) then
    redis.call('LREM', KEYS[3], 1, value)
    return {'done', changed(false), 'taken'}
  end
end
return {'done', about[2] or '0', 'none'}
