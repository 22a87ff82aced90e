-- All counters of the limits, in one script, so that a check and what it takes are one step.
--
-- The rule here: numbers are whole (microseconds, requests, tokens, millionths of a dollar) and stay
-- below 2^53, which is as far as Lua counts exactly. They are written with %.0f, because Lua's own
-- way of writing them loses digits. Whatever is written is written at the end: where Redis refuses
-- the first write, nothing was taken.
--
-- KEYS[1]  the sorted set of the holds that are open, by when their lease ends
-- ARGV     1 what to do, 2 the time in microseconds ('': Redis's own), 3 '1' when it is sent again
--
-- Beside that set, and in its hash slot, there are
--   <slot>c:<counter>  "a r t e": of a rate, when all of it is back (a), what is set aside (r), when
--                      that was written (t), and twice what comes back in a million seconds, and one
--                      more once that was lowered before all of it was back (e); of places, how many
--                      are taken (r); of a quota, what was used (a) and is set aside (r) in the
--                      window from t to e
--   <slot>recalled     there is one: days and months go on where the ledger says
--   <slot>h:<hold>     what a hold has taken, as its charges; '' for one that is settled, where that
--                      could not be told otherwise

local SECOND = 1000000
local LEASE = 30 * SECOND
local SOON = SECOND
local TOLERANCE = 2 -- what two roundings are off by
local REAPED_AT_ONCE = 100 -- so that no call takes long
local KEYS_AT_ONCE = 4000 -- Lua has room for 8000 values that are handed over
local SPARE_MS = 60000
-- A hold outlives its counters, or what it has set aside would stay set aside for ever.
local HELD_MS = 40 * 86400 * 1000
local LATE_MS = 3600 * 1000
local MOST = 2 ^ 53 - 1
local LONGEST_MS = 10 * 365 * 86400 * 1000

local REQUESTS, TOKENS, PLACES, QUOTA, MONEY = 1, 2, 3, 4, 5

-- What a charge is made of: an array, since a table with names takes longer to make than to use.
local KEY, KIND, CAPACITY, COST, PER_S, STARTS, ENDS, RULE, IS_TRIED_OUT = 1, 2, 3, 4, 5, 6, 7, 8, 9

local open_holds = KEYS[1]
local is_repeated = ARGV[3] == '1'
local slot = string.match(open_holds, '^{[^}]*}:')
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * SECOND + time[2]
end

local counters = {} -- by key; those that changed are written at the end
local changed = {}
local leases, ended, records, forgotten = {}, {}, {}, {}

local function whole(number)
  return string.format('%.0f', number)
end

local function span(amount, per_s)
  return math.floor(amount * SECOND / per_s + 0.5)
end

-- A rate, as it is written: it is compared with others, and tells by how much they differ.
local function rate_of(charge)
  return math.max(1, math.floor(charge[PER_S] * SECOND + 0.5))
end

local function counts_time(kind)
  return kind == REQUESTS or kind == TOKENS
end

local function counts_window(kind)
  return kind == QUOTA or kind == MONEY
end

-- What is used of tokens, or of money.
local function amount_of(charge, used)
  if charge[KIND] == MONEY then
    return used.micros
  end
  return used.tokens
end

local function ignore()
end

-- Calls a command with so many keys at a time.
local function call_in_parts(command, keys, take)
  for first = 1, #keys, KEYS_AT_ONCE do
    local last = math.min(first + KEYS_AT_ONCE - 1, #keys)
    take(redis.call(command, unpack(keys, first, last)))
  end
end

-- MGET, because it takes a key of another type for one that is not there.
local function read(keys)
  if #keys <= KEYS_AT_ONCE then
    return redis.call('MGET', unpack(keys))
  end
  local found = {}
  call_in_parts('MGET', keys, function(part)
    for _, text in ipairs(part) do
      found[#found + 1] = text
    end
  end)
  return found
end

local function new_counter(charge)
  if counts_window(charge[KIND]) then
    changed[charge[KEY]] = true -- whoever is settled next counts in it, were this one refused
    return {a = 0, r = 0, t = charge[STARTS], e = charge[ENDS]}
  end
  return {a = 0, r = 0, t = now, e = 0}
end

local function parse(text, charge)
  local a, r, t, e = string.match(text or '', '^(%d+) (%d+) (%d+) (%d+)$')
  if not a then
    return new_counter(charge)
  end
  local counter = {a = tonumber(a), r = tonumber(r), t = tonumber(t), e = tonumber(e)}
  if counts_time(charge[KIND]) and now < counter.t then
    -- Redis's clock was set back: what comes back by the clock comes back as before.
    counter.a = math.max(0, counter.a - (counter.t - now))
    counter.t = now
    changed[charge[KEY]] = true -- or it would be set back once more by the next call
  end
  return counter
end

local function load(charges)
  local wanted, keys = {}, {}
  for _, charge in ipairs(charges) do
    if not counters[charge[KEY]] then
      wanted[#wanted + 1] = charge
      keys[#keys + 1] = slot .. 'c:' .. charge[KEY]
    end
  end
  if #keys == 0 then
    return
  end
  for index, text in ipairs(read(keys)) do
    local charge = wanted[index]
    local counter = parse(text, charge)
    counter.kind = charge[KIND]
    counters[charge[KEY]] = counter
  end
end

local function touch(charge)
  changed[charge[KEY]] = true
  return counters[charge[KEY]]
end

-- A window never gives way to an earlier one.
local function roll(charge)
  local counter = counters[charge[KEY]]
  if counts_window(charge[KIND]) and charge[STARTS] > counter.t then
    counter.t, counter.e, counter.a = charge[STARTS], charge[ENDS], 0
    changed[charge[KEY]] = true -- as above
  end
end

-- The rate at which a counter has gone on until now; 0: nobody knows.
local function rate_in(counter)
  return math.floor(counter.e / 2)
end

-- Goes on at another rate: a higher one shortens what is still to come back, once. A lower one does
-- not lengthen it: what was used when it was allowed is no debt. While gateways of two rates count
-- here, as in a restart one by one, it goes up and down with each request: shortened each time, what
-- was used would melt away and nobody ever be refused.
local function tune(charge)
  local counter = counters[charge[KEY]]
  if not counts_time(charge[KIND]) then
    return
  end
  local rate, before, is_ahead = rate_of(charge), rate_in(counter), counter.a > now
  local was_lowered = is_ahead and counter.e % 2 or 0
  if is_ahead and before > rate then
    was_lowered = 1
  elseif is_ahead and before > 0 and before < rate and was_lowered == 0 then
    counter.a = now + math.floor((counter.a - now) * before / rate + 0.5)
  end
  if counter.e ~= 2 * rate + was_lowered then
    counter.e = 2 * rate + was_lowered
    changed[charge[KEY]] = true
  end
end

-- What is booked by who began at another rate is booked at that of now.
local function rate_per_s(counter, charge)
  if counter.e == 0 or rate_in(counter) == rate_of(charge) then
    return charge[PER_S]
  end
  return rate_in(counter) / SECOND
end

-- What comes late counts in the window that is now; months are taken to be as long as their own was.
local function roll_on(charge)
  local counter, length = counters[charge[KEY]], charge[ENDS] - charge[STARTS]
  if counts_window(charge[KIND]) and length > 0 and now >= counter.e then
    counter.t = charge[STARTS] + math.floor((now - charge[STARTS]) / length) * length
    counter.e, counter.a = counter.t + length, 0
    changed[charge[KEY]] = true
  end
end

local function ahead(counter)
  return math.max(0, counter.a - now)
end

local function window_left(counter)
  return math.max(SOON, counter.e - now)
end

-- Until a charge fits; 0 when it does.
local function wait_of(charge)
  local counter = counters[charge[KEY]]
  local cost, capacity = charge[COST], charge[CAPACITY]
  if charge[KIND] == PLACES then
    return counter.r + cost <= capacity and 0 or SOON
  elseif counts_window(charge[KIND]) then
    if counter.a + counter.r + cost <= capacity then
      return 0
    end
    return counter.a + cost <= capacity and SOON or window_left(counter)
  end
  local over = ahead(counter) + span(cost - capacity, charge[PER_S])
  if over + span(counter.r, charge[PER_S]) <= TOLERANCE then
    return 0
  end
  return counter.r > 0 and math.max(over, SOON) or over
end

local function take(charge)
  local counter = touch(charge)
  if charge[KIND] == REQUESTS then
    counter.a = math.max(now, counter.a) + span(charge[COST], charge[PER_S])
  else
    counter.r = counter.r + charge[COST]
  end
end

local function book(charge, amount)
  local counter = touch(charge)
  if charge[KIND] == TOKENS then
    counter.a = math.max(now, counter.a) + span(amount, rate_per_s(counter, charge))
  elseif counts_window(charge[KIND]) then
    counter.a = math.min(MOST, counter.a + amount)
  end
end

local function give_back(charge)
  if charge[KIND] ~= REQUESTS then
    local counter = touch(charge)
    counter.r = math.max(0, counter.r - charge[COST])
  end
end

-- What may be taken at once, and until all of it may.
local function standing_of(charge)
  local counter = counters[charge[KEY]]
  if charge[KIND] == PLACES then
    return math.max(0, charge[CAPACITY] - counter.r), counter.r > 0 and SOON or 0
  elseif counts_window(charge[KIND]) then
    return math.max(0, charge[CAPACITY] - counter.a - counter.r), window_left(counter)
  end
  local reset = ahead(counter) + span(counter.r, charge[PER_S])
  local taken = (reset - TOLERANCE / 2) * charge[PER_S] / SECOND
  return math.max(0, math.floor(charge[CAPACITY] - math.max(0, taken))), reset
end

local function stays_ms(counter)
  local left_ms = 0
  if counts_time(counter.kind) then
    left_ms = math.ceil(ahead(counter) / 1000)
  elseif counts_window(counter.kind) then -- an empty one too: it says that it has begun
    left_ms = math.max(0, math.ceil((counter.e - now) / 1000))
  end
  if counter.r > 0 then
    left_ms = math.max(left_ms, HELD_MS)
  end
  return math.min(left_ms, LONGEST_MS)
end

-- What needs memory comes first: where Redis has none left, nothing is changed.
local function write()
  local gone = {}
  if #leases > 0 then
    redis.call('ZADD', open_holds, unpack(leases))
    redis.call('PEXPIRE', open_holds, HELD_MS)
  end
  for _, record in ipairs(records) do
    redis.call('SET', slot .. 'h:' .. record[1], record[2], 'PX', record[3])
  end
  for key in pairs(changed) do
    local counter = counters[key]
    local left_ms = stays_ms(counter)
    if left_ms > 0 then
      local text = string.format('%.0f %.0f %.0f %.0f', counter.a, counter.r, counter.t, counter.e)
      redis.call('SET', slot .. 'c:' .. key, text, 'PX', whole(left_ms + SPARE_MS))
    else
      gone[#gone + 1] = slot .. 'c:' .. key
    end
  end
  for _, id in ipairs(forgotten) do
    gone[#gone + 1] = slot .. 'h:' .. id
  end
  if #gone > 0 then
    call_in_parts('DEL', gone, ignore)
  end
  if #ended > 0 then
    redis.call('ZREM', open_holds, unpack(ended))
  end
end

-- Ends holds that nobody has renewed: what they had set aside counts as used.
local function reap()
  local ids = redis.call('ZRANGEBYSCORE', open_holds, '-inf', whole(now), 'LIMIT', 0, REAPED_AT_ONCE)
  for _, id in ipairs(ids) do
    local packed = read({slot .. 'h:' .. id})[1]
    if packed then
      local charges = cmsgpack.unpack(packed)
      load(charges)
      for _, charge in ipairs(charges) do
        give_back(charge)
        book(charge, charge[COST])
      end
      records[#records + 1] = {id, packed, LATE_MS}
    end
    ended[#ended + 1] = id
  end
  return #ids
end

local function open_hold(id, charges, packed)
  for _, charge in ipairs(charges) do
    take(charge)
  end
  leases[#leases + 1] = whole(now + LEASE)
  leases[#leases + 1] = id
  records[#records + 1] = {id, packed, HELD_MS}
end

-- Whether to let in, and what to take then.
local function choose(charges, waits)
  local unfit = {}
  for index, charge in ipairs(charges) do
    if waits[index] > 0 then
      if not charge[IS_TRIED_OUT] then
        return false
      end
      unfit[charge[RULE]] = true
    end
  end
  local taken = {}
  for _, charge in ipairs(charges) do
    if not unfit[charge[RULE]] then
      taken[#taken + 1] = charge
    end
  end
  return true, taken
end

-- admit <hold> <charges>: 1 or 0, and remaining, reset and wait of each charge
local function admit(id, packed)
  reap()
  local charges, waits = cmsgpack.unpack(packed), {}
  load(charges)
  local is_held = is_repeated and read({slot .. 'h:' .. id})[1]
  for index, charge in ipairs(charges) do
    roll(charge)
    tune(charge)
    waits[index] = is_held and 0 or wait_of(charge)
  end
  local is_admitted, taken = true, charges
  if not is_held then
    is_admitted, taken = choose(charges, waits)
    if is_admitted then
      open_hold(id, taken, #taken == #charges and packed or cmsgpack.pack(taken))
    end
  end
  local answer = {is_admitted and 1 or 0}
  for index, charge in ipairs(charges) do
    local remaining, reset = standing_of(charge)
    answer[#answer + 1] = remaining
    answer[#answer + 1] = math.min(MOST, reset)
    answer[#answer + 1] = math.min(MOST, waits[index])
  end
  write()
  return answer
end

-- settle <hold> <tokens> <micros> <charges> <adopted>: where the hold is not known, what was used is
-- booked all the same, unless it may have been settled by the first sending, which leaves no mark
-- of a hold that was not adopted
local function settle(id, tokens, micros, packed, was_adopted)
  local used = {tokens = tonumber(tokens), micros = tonumber(micros)}
  local held = read({slot .. 'h:' .. id})[1]
  if held == '' or not held and (packed == '' or is_repeated and not was_adopted) then
    return 0
  end
  local charges = cmsgpack.unpack(held or packed)
  local is_open = held and redis.call('ZSCORE', open_holds, id)
  load(charges)
  for _, charge in ipairs(charges) do
    local amount = amount_of(charge, used)
    if is_open then
      give_back(charge)
      book(charge, amount)
    elseif not held then
      roll(charge)
      book(charge, amount)
    elseif amount > charge[COST] then
      roll_on(charge)
      book(charge, amount - charge[COST])
    end
  end
  ended[1] = id
  if held and not was_adopted then
    forgotten[1] = id
  else
    records[1] = {id, '', LATE_MS}
  end
  write()
  return 1
end

-- renew <hold>…: whether more have run out, the holds that are not known, and whether days and
-- months are what they are known to be elsewhere
local function renew(ids)
  local unknown = {}
  for _, id in ipairs(ids) do
    if redis.call('ZSCORE', open_holds, id) then
      leases[#leases + 1] = whole(now + LEASE)
      leases[#leases + 1] = id
    elseif not read({slot .. 'h:' .. id})[1] then
      unknown[#unknown + 1] = id
    end
  end
  -- No lease ends later than one that begins now, unless the clock was set back.
  local late = '(' .. whole(now + LEASE)
  local ids_ahead = redis.call('ZRANGEBYSCORE', open_holds, late, '+inf', 'LIMIT', 0, REAPED_AT_ONCE)
  for _, id in ipairs(ids_ahead) do
    leases[#leases + 1] = whole(now + LEASE)
    leases[#leases + 1] = id
  end
  write()
  leases = {}
  local reaped = reap()
  write()
  local is_recalled = redis.call('EXISTS', slot .. 'recalled')
  return {reaped == REAPED_AT_ONCE and 1 or 0, unknown, is_recalled}
end

-- adopt <hold> <charges>: renews a hold, or makes it where it was let in elsewhere or was forgotten
local function adopt(id, packed)
  if read({slot .. 'h:' .. id})[1] then
    renew({id})
    return 0
  end
  local charges = {}
  for _, charge in ipairs(cmsgpack.unpack(packed)) do
    if charge[KIND] ~= REQUESTS then -- that was made, and counted where it was let in
      charges[#charges + 1] = charge
    end
  end
  load(charges)
  for _, charge in ipairs(charges) do
    roll(charge)
  end
  open_hold(id, charges, cmsgpack.pack(charges))
  write()
  return 1
end

-- recall <charges> <last>: as much of each window was used at least, as its cost says
local function recall(packed, is_last)
  local charges = cmsgpack.unpack(packed)
  load(charges)
  for _, charge in ipairs(charges) do
    roll(charge)
    local counter = touch(charge)
    if counter.t == charge[STARTS] then
      counter.a = math.max(counter.a, charge[COST])
    end
  end
  write()
  if is_last then
    redis.call('SET', slot .. 'recalled', whole(now), 'PX', HELD_MS)
  end
  return 1
end

local op = ARGV[1]
if op == 'admit' then
  return admit(ARGV[4], ARGV[5])
elseif op == 'settle' then
  return settle(ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8] == '1')
elseif op == 'adopt' then
  return adopt(ARGV[4], ARGV[5])
elseif op == 'recall' then
  return recall(ARGV[4], ARGV[5] == '1')
elseif op == 'renew' then
  local ids = {}
  for index = 4, #ARGV do
    ids[#ids + 1] = ARGV[index]
  end
  return renew(ids)
end
-- probe: whether it can be written at all
redis.call('ZCARD', open_holds)
redis.call('SET', slot .. 'probe', whole(now), 'PX', SPARE_MS)
return 1
