-- Counts every want of a call, or none; with a use of an override or an approval, or without.
-- KEYS[2] the index of counters, KEYS[3] the overrides or approvals, KEYS[4...] a counter a want.
-- ARGV[4] 'count' or 'look', ARGV[5] '' or 'override' or 'approval', ARGV[6] its id, then for each
-- want: the window in microseconds, the increment, the max, and whether it is counted past that.
local now = clock()
local looking = ARGV[4] == 'look'
local ticket
if ARGV[5] ~= '' then
  ticket = redis.call('HGET', KEYS[3], ARGV[6])
  if not ticket then return {'none'} end
end
local ends, uses, rest
if ARGV[5] == 'override' then
  ends, uses, rest = string.match(ticket, '^([^|]*)|([^|]*)|(.*)$')
  if ends ~= '' and tonumber(ends) <= now then return {'none'} end
  if uses ~= '' and tonumber(uses) < 1 then return {'none'} end
elseif ARGV[5] == 'approval' then
  -- Only one that was given and has not run out can be spent.
  local state
  state, ends = string.match(ticket, '^([^|]*)|([^|]*)|')
  if state ~= 'given' or tonumber(ends) <= now then return {'none'} end
end

local count = #KEYS - 3
local stored = {}
if count > 0 then stored = redis.call('MGET', unpack(KEYS, 4)) end
local held, reply, fits = {}, {}, true
for i = 1, count do
  local key, at = KEYS[3 + i], 7 + (i - 1) * 4
  local length, increment, max, past = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] == '1'
  -- Two limits of a call may share a counter: the second finds what the first counted.
  local row = not looking and held[key]
  if not row then
    local found = counter(stored[i])
    local start = now - math.fmod(now, length)
    row = {fresh = true, start = start, used = ZERO, length = length}
    -- A window later than the clock's stays in force: a clock that steps back refills nothing.
    if found and found.start >= start then
      row = {fresh = false, start = found.start, used = found.used, length = length}
    end
    row.before = row.used
    held[key] = row
  end
  local backwards = increment == '-'
  local sum = row.used
  if not backwards then sum = plus(row.used, amount(increment)) end
  local room = not backwards and (past or (max ~= '-' and not less(amount(max), sum)))
  if not room then fits = false end
  local used = row.used
  if not looking then
    used = sum
    row.used = sum
    row.max = max == '-' and spelt(ZERO) or max
  end
  reply[i] = {row = row, used = used, room = room}
end

local answer = {'full', about[2] or '0'}
if looking then
  answer[1] = 'seen'
elseif fits then
  answer[1] = 'done'
  for key, row in pairs(held) do
    local value = whole(row.start) .. ' ' .. spelt(row.used) .. ' ' .. row.max
    if row.fresh then
      local over = row.start + row.length
      redis.call('SET', key, value, 'PX', kept(now, over))
      redis.call('ZADD', KEYS[2], whole(over), key)
      -- Counters that are kept no more leave the list of them, and the list goes after the last.
      redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now - DAY * 1000))
      local longer = kept(now, over)
      if redis.call('PTTL', KEYS[2]) < tonumber(longer) then redis.call('PEXPIRE', KEYS[2], longer) end
    else
      redis.call('SET', key, value, 'KEEPTTL')
    end
  end
  local standing = false
  if ARGV[5] == 'override' and uses ~= '' then
    redis.call('HSET', KEYS[3], ARGV[6], ends .. '|' .. whole(tonumber(uses) - 1) .. '|' .. rest)
    standing = true
  elseif ARGV[5] == 'approval' then
    redis.call('HDEL', KEYS[3], ARGV[6])
    redis.call('HINCRBY', KEYS[1], 'questions', 1)
    standing = true
  end
  answer[2] = changed(standing)
end
for i = 1, count do
  local one = reply[i]
  local used = one.used
  if answer[1] == 'full' then used = one.row.before end
  answer[#answer + 1] = whole(one.row.start)
  answer[#answer + 1] = spelt(used)
  answer[#answer + 1] = one.room and '1' or '0'
end
return answer
