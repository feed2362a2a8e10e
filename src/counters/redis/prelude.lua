-- Before every script.
-- KEYS[1] what the store is. ARGV[1] the life of the store that the gateway knows, ARGV[2] the
-- highest number of a change that it has seen, ARGV[3] the time in microseconds, or '' for this
-- server's clock.
local about = redis.call('HMGET', KEYS[1], 'life', 'seq')
if about[1] ~= ARGV[1] then return {'other life'} end
if tonumber(about[2] or '0') < tonumber(ARGV[2]) then return {'went back', about[2] or '0'} end

local function clock()
  if ARGV[3] ~= '' then return tonumber(ARGV[3]) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function whole(number) return string.format('%.0f', number) end

-- Tells everyone that something was changed, and gives the change's number.
local function changed(standing)
  if standing then redis.call('HINCRBY', KEYS[1], 'standing', 1) end
  return whole(redis.call('HINCRBY', KEYS[1], 'seq', 1))
end

-- Milliseconds for which something is kept that ends at an instant, and for a day after that: a
-- clock that leapt ahead and came back finds it again.
local DAY = 86400000
local function kept(now, ends) return whole(math.max(math.ceil((ends - now) / 1000), 0) + DAY) end

-- A number of Lua's is exact up to 2^53 only, so an amount is three limbs of 14 digits.
local LIMB = 100000000000000
local function amount(text)
  return {tonumber(string.sub(text, 1, 14)), tonumber(string.sub(text, 15, 28)), tonumber(string.sub(text, 29, 42))}
end
local function spelt(a) return string.format('%014.0f%014.0f%014.0f', a[1], a[2], a[3]) end
local function less(a, b)
  if a[1] ~= b[1] then return a[1] < b[1] end
  if a[2] ~= b[2] then return a[2] < b[2] end
  return a[3] < b[3]
end
local ZERO = {0, 0, 0}
-- The largest amount there is: 2^127 - 1.
local MOST = amount('000170141183460469231731687303715884105727')
local function plus(a, b)
  local low, mid, high = a[3] + b[3], a[2] + b[2], a[1] + b[1]
  if low >= LIMB then low = low - LIMB; mid = mid + 1 end
  if mid >= LIMB then mid = mid - LIMB; high = high + 1 end
  local sum = {high, mid, low}
  if less(MOST, sum) then return MOST end
  return sum
end
local function minus(a, b)
  if less(a, b) then return ZERO end
  local low, mid, high = a[3] - b[3], a[2] - b[2], a[1] - b[1]
  if low < 0 then low = low + LIMB; mid = mid - 1 end
  if mid < 0 then mid = mid + LIMB; high = high - 1 end
  return {high, mid, low}
end

-- A counter's value: when its window began, what it holds, and the limit that was looked at last.
local function counter(text)
  if not text then return nil end
  local start, used, max = string.match(text, '^(%d+) (%d+) (%d+)$')
  if not start then error('a counter cannot be read') end
  return {start = tonumber(start), used = amount(used), max = max}
end
