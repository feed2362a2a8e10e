-- Freezes and overrides. KEYS[2] freezes, KEYS[3] overrides, KEYS[4] who lifted freezes; each field
-- is an id. A value is its end ('' for none), then for a freeze its scope, for an override its uses
-- left ('' for any number), for a lift nothing, then the text.
-- ARGV[4] what is asked.
local now = clock()

-- What ended more than a day ago is of no use to anyone.
local function prune(key)
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local ends = string.match(all[i + 1], '^([^|]*)|')
    if ends and ends ~= '' and tonumber(ends) < now - DAY * 1000 then redis.call('HDEL', key, all[i]) end
  end
end

local function add(key, id, value)
  prune(KEYS[2])
  prune(KEYS[3])
  if redis.call('HSETNX', key, id, value) == 0 then return {'there'} end
  return {'done', changed(true)}
end

if ARGV[4] == 'freeze' then
  return add(KEYS[2], ARGV[5], ARGV[6])
elseif ARGV[4] == 'override' then
  return add(KEYS[3], ARGV[5], ARGV[6])
elseif ARGV[4] == 'end override' then
  local found = redis.call('HGET', KEYS[3], ARGV[5])
  redis.call('HDEL', KEYS[3], ARGV[5])
  local answer = {'done', changed(true)}
  if found then
    answer[3] = found
    -- ARGV[6] '' or who ended it.
    if ARGV[6] ~= '' then
      redis.call('HSET', KEYS[4], ARGV[5], ARGV[6])
      redis.call('PEXPIRE', KEYS[4], whole(2 * DAY))
    end
  end
  return answer
elseif ARGV[4] == 'unfreeze' then
  -- ARGV[5] the scope, ARGV[6] '' or who lifted it.
  local answer = {'done', '0'}
  local all = redis.call('HGETALL', KEYS[2])
  prune(KEYS[4])
  for i = 1, #all, 2 do
    local scope = string.match(all[i + 1], '^[^|]*|([^|]*)|')
    if scope == ARGV[5] then
      redis.call('HDEL', KEYS[2], all[i])
      answer[#answer + 1] = all[i + 1]
      if ARGV[6] ~= '' then
        redis.call('HSET', KEYS[4], all[i], ARGV[6])
        redis.call('PEXPIRE', KEYS[4], whole(2 * DAY))
      end
    end
  end
  answer[2] = changed(true)
  return answer
end
-- ARGV[4] 'read': one view of them and of the questions in KEYS[5], at one version.
local answer = {'done', about[2] or '0', redis.call('HGET', KEYS[1], 'standing') or '0'}
local freezes, overrides = redis.call('HVALS', KEYS[2]), redis.call('HVALS', KEYS[3])
local approvals = redis.call('HVALS', KEYS[5])
answer[4], answer[5] = whole(#freezes), whole(#overrides)
for _, values in ipairs({freezes, overrides, approvals}) do
  for _, value in ipairs(values) do answer[#answer + 1] = value end
end
return answer
