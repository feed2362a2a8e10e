-- Gives back what was taken, to the windows it was taken from. KEYS[2...] a counter each; ARGV[4...]
-- the start of its window and the amount.
for i = 2, #KEYS do
  local at = 4 + (i - 2) * 2
  local found = counter(redis.call('GET', KEYS[i]))
  if found and whole(found.start) == ARGV[at] and ARGV[at + 1] ~= '-' then
    local left = minus(found.used, amount(ARGV[at + 1]))
    redis.call('SET', KEYS[i], whole(found.start) .. ' ' .. spelt(left) .. ' ' .. found.max, 'KEEPTTL')
  end
end
return {'done', changed(false)}
