#!lua name=sigil_limits_1
--[[
All limits of one request, decided together: GCRA in whole numbers.

A key holds when its bucket is full again, the "theoretical arrival time", as three numbers: microseconds, and a
rest of so many parts of a microsecond, of which one has as many as the quota's limit. So what a token takes to
come back (window / limit) adds up exactly. All numbers stay below 2^53; there is no product and no quotient here.

KEYS: one for each limit, all in one slot.
ARGV: the time in microseconds, or "" for the server's own; then five for each limit:
  parts    how many parts a microsecond has: the quota's limit
  cost     what the request takes from it, in microseconds and parts;
  cost_rest  negative microseconds if it costs more than a full bucket holds
  full     what a full bucket holds, in microseconds and parts
  full_rest
and perhaps two more for each limit, in their order: what to take instead, if all limits allow that.

Returns the time, 2 if it took the second costs, 1 if the first, 0 if none, and for each limit: 1 if it allows the
request, what its bucket lacks in microseconds, and the rest.
]]

local function take(keys, args)
  local now = tonumber(args[1])
  local slack = 60000
  if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
    slack = 1
  end

  local count = #keys
  local arrivals, rests, changed = {}, {}, {}
  for i = 1, count do
    local at = 5 * i - 3
    local parts, full, full_rest = tonumber(args[at]), tonumber(args[at + 3]), tonumber(args[at + 4])
    local arrival, rest = now, 0
    local stored = redis.pcall('GET', keys[i])
    if type(stored) == 'table' then
      if not string.find(stored.err, 'WRONGTYPE', 1, true) then
        return stored
      end
      stored = false -- somebody else's; it is overwritten
    end
    if stored then
      local micros, fraction, of = string.match(stored, '^(%d+) (%d+) (%d+)$')
      micros, fraction = tonumber(micros), tonumber(fraction)
      if micros and micros >= now then
        arrival, rest = micros, fraction
        if tonumber(of) ~= parts then -- the quota is another now
          arrival, rest = micros + (fraction > 0 and 1 or 0), 0
        end
        if arrival > now + full or (arrival == now + full and rest > full_rest) then
          -- The clock was set back: no bucket lacks more than all.
          arrival, rest, changed[i] = now + full, full_rest, true
        end
      end
    end
    arrivals[i], rests[i] = arrival, rest
  end

  local function attempt(first, step)
    local after, after_rests, allows, all = {}, {}, {}, 1
    for i = 1, count do
      local at, terms = first + step * (i - 1), 5 * i - 3
      local parts, full, full_rest = tonumber(args[terms]), tonumber(args[terms + 3]), tonumber(args[terms + 4])
      local cost, cost_rest = tonumber(args[at]), tonumber(args[at + 1])
      local arrival, rest = arrivals[i] + cost, rests[i] + cost_rest
      if rest >= parts then
        arrival, rest = arrival + 1, rest - parts
      end
      after[i], after_rests[i], allows[i] = arrival, rest, 1
      local free = cost == 0 and cost_rest == 0
      local over = arrival > now + full or (arrival == now + full and rest > full_rest)
      if cost < 0 or (over and not free) then
        allows[i], all = 0, 0
      end
    end
    return all, after, after_rests, allows
  end

  local taken, after, after_rests, allows = 0, nil, nil, nil
  if #args > 1 + 5 * count then
    taken, after, after_rests, allows = attempt(2 + 5 * count, 2)
    taken = 2 * taken
  end
  if taken == 0 then
    taken, after, after_rests, allows = attempt(3, 5)
  end

  local answer = { now, taken }
  for i = 1, count do
    if taken > 0 and (after[i] ~= arrivals[i] or after_rests[i] ~= rests[i]) then
      arrivals[i], rests[i], changed[i] = after[i], after_rests[i], true
    end
    local lacks = arrivals[i] - now
    if changed[i] then
      local state = string.format('%.0f %.0f %s', arrivals[i], rests[i], args[5 * i - 3])
      redis.call('SET', keys[i], state, 'PX', string.format('%.0f', math.ceil(lacks / 1000) + slack))
    end
    answer[3 * i], answer[3 * i + 1], answer[3 * i + 2] = allows[i], lacks, rests[i]
  end
  return answer
end

redis.register_function('sigil_take_1', take)
