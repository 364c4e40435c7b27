// What is done with a queue in one step: scripts, which the server runs one after the other. All times are those of the server's clock.
//
//   NAME                     stream: each entry is a job, until it is settled; one group of consumers, millrace
//   millrace:NAME            hash: what the queue is to have, the last token, when it was swept
//   millrace:NAME:jobs       hash: what is known of jobs that were taken, or put aside: token, acquired, attempt, priority, group. Token 0:
//                            nobody has it in hand. What is not here is new: the group gives it out in its order.
//   millrace:NAME:ready      sorted set: what may be taken before that, by priority and age
//   millrace:NAME:later      sorted set: what is due later, by when
//   millrace:NAME:leases     sorted set: what is in hand, by when its lease is over
//   millrace:NAME:groups     hash: which job of a group it is the turn of
//   millrace:NAME:group:X    sorted set: what waits for its turn in group X, by priority and age
//   millrace:NAME:ids        sorted set: ids, by when they are forgotten
//   millrace:NAME:bell       stream: wakes one of those who wait, when there is something in ready, or is sooner than they know
//   NAME-dead                stream: dead letters

export interface RedisScript {
  readonly text: string
  readonly sha: string
}

/** The group, and its one consumer: who has a job in hand is told by its token. */
export const group = 'millrace'

function script(text: string): RedisScript {
  const whole = `${prelude}\n${text}`
  const sha = process.getBuiltinModule('node:crypto').createHash('sha1').update(whole).digest('hex')
  return { text: whole, sha }
}

const prelude = `
local name = KEYS[1]
local own = 'millrace:' .. name
local jobs, ready, later, leases = own .. ':jobs', own .. ':ready', own .. ':later', own .. ':leases'
local groups, bell = own .. ':groups', own .. ':bell'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function whole(number) return string.format('%.0f', number) end

-- Memory is refused to the first write of a script alone. What does not make a queue longer must not fail for it.
local function calm() redis.call('HDEL', own, '_') end

local function jobOf(line)
  if not line then return nil end
  local token, acquired, attempt, priority, group = string.match(line, '^(%d+) (%d+) (%d+) (%d+) (.*)$')
  return {
    token = token, acquired = tonumber(acquired), attempt = tonumber(attempt),
    priority = tonumber(priority), group = group,
  }
end

local function lineOf(job)
  return table.concat({ job.token, job.acquired, job.attempt, job.priority, job.group }, ' ')
end

local function kept(id) return jobOf(redis.call('HGET', jobs, id)) end
local function keep(id, job) redis.call('HSET', jobs, id, lineOf(job)) end

-- Higher priorities first, then by age: 2 to the power of 48 is more than a time.
local function order(id, priority)
  return whole((31 - priority) * 281474976710656 + tonumber(string.match(id, '^%d+')))
end

local function ring() redis.call('XADD', bell, 'MAXLEN', 16, '*', 'r', '') end

local function bring(id, job)
  redis.call('ZADD', ready, order(id, job.priority), id)
  ring()
end

local function mapped(raw)
  local fields = {}
  for at = 1, #raw, 2 do fields[raw[at]] = raw[at + 1] end
  return fields
end

local function entryOf(id)
  local entry = redis.call('XRANGE', name, id, id)[1]
  return entry and entry[2]
end

-- What nobody has had yet.
local function fresh(fields)
  local priority = math.floor(tonumber(fields.priority) or 0)
  return {
    token = '0', acquired = 0, attempt = 0,
    priority = math.min(math.max(priority, 0), 31), group = fields.group or '',
  }
end

local function finish(id, group)
  redis.call('XACK', name, 'millrace', id)
  redis.call('XDEL', name, id)
  redis.call('HDEL', jobs, id)
  redis.call('ZREM', leases, id)
  if group == '' or redis.call('HGET', groups, group) ~= id then return end
  local next = redis.call('ZPOPMIN', own .. ':group:' .. group)[1]
  if next then
    redis.call('HSET', groups, group, next)
    bring(next, kept(next) or { priority = 0 })
  else
    redis.call('HDEL', groups, group)
  end
end

-- The oldest dead letter that nobody has in hand makes room.
local function makeRoom(dead, most)
  local its = 'millrace:' .. dead
  local from = '-'
  for look = 1, 64 do
    if redis.call('XLEN', dead) < most then return end
    local entry = redis.call('XRANGE', dead, from, '+', 'COUNT', 1)[1]
    if not entry then return end
    local id = entry[1]
    local known = redis.call('HGET', its .. ':jobs', id)
    if not known or string.sub(known, 1, 2) == '0 ' then
      redis.call('XACK', dead, 'millrace', id)
      redis.call('XDEL', dead, id)
      redis.call('HDEL', its .. ':jobs', id)
      redis.call('ZREM', its .. ':ready', id)
      redis.call('ZREM', its .. ':later', id)
    end
    from = '(' .. id
  end
end

local function bury(id, job, raw, reason, why, most)
  if most > 0 then
    local dead = name .. '-dead'
    makeRoom(dead, most)
    local fields = mapped(raw)
    fields.due, fields.expires = nil, nil
    fields.reason, fields.error, fields.attempts = reason, why, whole(job.attempt)
    fields.pushed = fields.pushed or string.match(id, '^%d+')
    local flat = {}
    for field, value in pairs(fields) do
      flat[#flat + 1] = field
      flat[#flat + 1] = value
    end
    redis.call('XADD', dead, '*', unpack(flat))
  end
  finish(id, job.group)
end
`

/** attempts, dead, lease, window, jobs, 1 if nobody else takes there: then all leases are over → what of them the queue has. */
export const openScript = script(`
local wanted = {
  [name] = 'stream', [own] = 'hash', [jobs] = 'hash', [ready] = 'zset', [later] = 'zset', [leases] = 'zset',
  [groups] = 'hash', [own .. ':ids'] = 'zset', [bell] = 'stream', [name .. '-dead'] = 'stream',
}
for key, type in pairs(wanted) do
  local is = redis.call('TYPE', key).ok
  if is ~= 'none' and is ~= type then
    return redis.error_reply('MILLRACETYPE the key ' .. key .. ' is a ' .. is .. ' of somebody else, not a ' .. type)
  end
end
if redis.call('EXISTS', own) == 0 then
  redis.call('HSET', own, 'version', '1', 'attempts', ARGV[1], 'dead', ARGV[2], 'lease', ARGV[3], 'window', ARGV[4],
    'jobs', ARGV[5], 'token', whole(now * 1000))
end
for _, stream in ipairs({ name, bell }) do
  local made = redis.pcall('XGROUP', 'CREATE', stream, 'millrace', '0', 'MKSTREAM')
  if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
end
if ARGV[6] == '1' then
  local isSome = false
  local function back(id, job)
    job.token = '0'
    keep(id, job)
    redis.call('ZADD', ready, order(id, job.priority), id)
    isSome = true
  end
  for _, id in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
    local job = kept(id)
    if job then back(id, job) end
  end
  redis.call('DEL', leases)
  -- What a reader was given that died before it was known.
  local from = '-'
  repeat
    local pending = redis.call('XPENDING', name, 'millrace', from, '+', 256)
    for _, one in ipairs(pending) do
      local raw = redis.call('HEXISTS', jobs, one[1]) == 0 and entryOf(one[1])
      local fields = raw and mapped(raw)
      local due = fields and tonumber(fields.due)
      if due and due > now then
        keep(one[1], fresh(fields))
        redis.call('ZADD', later, whole(due), one[1])
      elseif fields then
        back(one[1], fresh(fields))
      end
      from = '(' .. one[1]
    end
  until #pending < 256
  if isSome then ring() end
end
return redis.call('HMGET', own, 'version', 'attempts', 'dead', 'lease', 'window', 'jobs')
`)

/** What became of each job of `pushScript`. */
export const pushed = { done: 0, duplicate: 1, full: 2 } as const

/** limit, window, then of each job: how many of its fields and values there are, id, delay, ttl, priority, group, fields… → of each: `pushed` */
export const pushScript = script(`
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
if redis.call('EXISTS', own, name) < 2 then return redis.error_reply('MILLRACEGONE there is no queue') end
local ids = own .. ':ids'
local last = #ARGV

-- All that is asked of what is known is asked at once: a call of the server's costs more than what it does.
local starts, asked, known = {}, {}, {}
local at = 3
while at <= last do
  starts[#starts + 1] = at
  local id = ARGV[at + 1]
  if id ~= '' then asked[#asked + 1] = id end
  at = at + 6 + tonumber(ARGV[at])
end
if #asked > 0 then
  local scores = redis.call('ZMSCORE', ids, unpack(asked))
  for of, id in ipairs(asked) do
    local score = scores[of]
    known[id] = score and tonumber(score) > now
  end
end
local length = limit > 0 and redis.call('XLEN', name)
local marks = {}

local function push(from)
  local count, id = tonumber(ARGV[from]), ARGV[from + 1]
  local delay, ttl, priority = tonumber(ARGV[from + 2]), tonumber(ARGV[from + 3]), tonumber(ARGV[from + 4])
  local group = ARGV[from + 5]
  if known[id] then return ${String(pushed.duplicate)} end
  if length and length >= limit then return ${String(pushed.full)} end
  local fields = { unpack(ARGV, from + 6, from + 5 + count) }
  local function add(field, value)
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  if id ~= '' then add('id', id) end
  if group ~= '' then add('group', group) end
  if priority > 0 then add('priority', ARGV[from + 4]) end
  if delay > 0 then add('due', whole(now + delay)) end
  if ttl > 0 then add('expires', whole(now + ttl)) end
  -- The first write of the first job: it fails if there is no memory, and nothing is done then.
  local entry = redis.call('XADD', name, '*', unpack(fields))
  if length then length = length + 1 end
  if id ~= '' then
    known[id] = true
    marks[#marks + 1] = whole(now + window)
    marks[#marks + 1] = id
  end
  if delay > 0 or priority > 0 then
    local job = { token = '0', acquired = 0, attempt = 0, priority = priority, group = group }
    keep(entry, job)
    if delay > 0 then
      redis.call('ZADD', later, whole(now + delay), entry)
    else
      redis.call('ZADD', ready, order(entry, priority), entry)
    end
  end
  return ${String(pushed.done)}
end

local answers = {}
for of, start in ipairs(starts) do answers[of] = push(start) end
if #marks > 0 then
  redis.call('ZADD', ids, unpack(marks))
  redis.call('ZREMRANGEBYSCORE', ids, '-inf', whole(now))
end
return answers
`)

/**
 * want, an entry that was read already, a ring of the bell that was heard, attempts, dead, lease → milliseconds until there may be more (-1:
 * nobody knows), and jobs: id, token, acquired, attempt, fields.
 */
export const takeScript = script(`
local want, read, rung = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local attempts, dead, lease = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if redis.call('EXISTS', own) == 0 then return redis.error_reply('MILLRACEGONE there is no queue') end
calm()
if rung ~= '' then
  redis.call('XACK', bell, 'millrace', rung)
  redis.call('XDEL', bell, rung)
end

-- A job that nobody knows yet, and that may be taken now; nil: it is due later.
local function admitted(id, fields)
  local job = fresh(fields)
  local due = tonumber(fields.due)
  if due and due > now then
    keep(id, job)
    redis.call('ZADD', later, whole(due), id)
    return nil
  end
  return job
end

local function put(id, raw)
  if not raw or redis.call('HEXISTS', jobs, id) == 1 then return end
  local job = admitted(id, mapped(raw))
  if not job then return end
  keep(id, job)
  redis.call('ZADD', ready, order(id, job.priority), id)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', whole(now), 'LIMIT', 0, 100)) do
  local job = kept(id)
  if job then
    job.token = '0'
    keep(id, job)
    redis.call('ZADD', ready, order(id, job.priority), id)
  end
  redis.call('ZREM', leases, id)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', later, '-inf', whole(now), 'LIMIT', 0, 100)) do
  local job = kept(id) or { priority = 0 }
  redis.call('ZADD', ready, order(id, job.priority), id)
  redis.call('ZREM', later, id)
end

-- What was given out, and never came to be known: its reader has died first, or is somebody else's.
local swept = redis.call('HMGET', own, 'swept', 'from')
if now - tonumber(swept[1] or '0') > lease / 4 then
  local pending = redis.call('XPENDING', name, 'millrace', swept[2] or '-', '+', 64)
  for _, one in ipairs(pending) do
    if one[3] > lease and redis.call('HEXISTS', jobs, one[1]) == 0 then
      local raw = entryOf(one[1])
      if raw then put(one[1], raw) else redis.call('XACK', name, 'millrace', one[1]) end
    end
  end
  local from = '-'
  if #pending == 64 then from = '(' .. pending[64][1] end
  redis.call('HSET', own, 'swept', whole(now), 'from', from)
end
if read ~= '' then put(read, entryOf(read)) end

local taken, begun = {}, {}
local function begin(id, raw, job, fields)
  local expires = tonumber(fields.expires)
  if not fields.data then return bury(id, job, raw, 'rejected', 'it has no field data', dead) end
  if expires and expires <= now then return bury(id, job, raw, 'expired', '', dead) end
  if attempts > 0 and job.attempt >= attempts then
    return bury(id, job, raw, 'attempts', 'its worker died', dead)
  end
  if job.group ~= '' then
    local turn = redis.call('HGET', groups, job.group)
    if turn and turn ~= id then
      keep(id, job)
      redis.call('ZADD', own .. ':group:' .. job.group, order(id, job.priority), id)
      return
    end
    redis.call('HSET', groups, job.group, id)
  end
  job.acquired, job.attempt = job.acquired + 1, job.attempt + 1
  begun[#begun + 1] = job
  taken[#taken + 1] = { id, '', job.acquired, job.attempt, raw }
end

local looks = 0
while #taken < want and looks < 1000 do
  local id = redis.call('ZRANGE', ready, 0, 0)[1]
  if id then
    looks = looks + 1
    local job, raw = kept(id), entryOf(id)
    if raw then
      local fields = mapped(raw)
      begin(id, raw, job or fresh(fields), fields)
    else
      finish(id, job and job.group or '')
    end
    redis.call('ZREM', ready, id)
  else
    local most = math.min(want - #taken, 100)
    local found = redis.call('XREADGROUP', 'GROUP', 'millrace', 'millrace', 'COUNT', most, 'STREAMS', name, '>')
    if not found then break end
    local entries, which = found[1][2], {}
    for of, entry in ipairs(entries) do which[of] = entry[1] end
    local lines = redis.call('HMGET', jobs, unpack(which))
    for of, entry in ipairs(entries) do
      looks = looks + 1
      local id, raw = entry[1], entry[2]
      local fields = not lines[of] and mapped(raw)
      local job = fields and admitted(id, fields)
      if job and job.priority > 0 then
        keep(id, job)
        redis.call('ZADD', ready, order(id, job.priority), id)
      elseif job then
        begin(id, raw, job, fields)
      end
    end
  end
end

-- What was given out is written down at once.
if #taken > 0 then
  local token = redis.call('HINCRBY', own, 'token', #taken) - #taken
  local lines, ends, till = {}, {}, whole(now + lease)
  for of, one in ipairs(taken) do
    local job = begun[of]
    job.token = whole(token + of)
    one[2] = job.token
    lines[#lines + 1] = one[1]
    lines[#lines + 1] = lineOf(job)
    ends[#ends + 1] = till
    ends[#ends + 1] = one[1]
  end
  redis.call('HSET', jobs, unpack(lines))
  redis.call('ZADD', leases, unpack(ends))
end

if redis.call('ZCARD', ready) > 0 then ring() elseif #taken == 0 then redis.call('XTRIM', bell, 'MAXLEN', 0) end
if #taken == 0 and looks >= 1000 then return { 0, taken } end
local wait = -1
for _, times in ipairs({ later, leases }) do
  local first = redis.call('ZRANGE', times, 0, 0, 'WITHSCORES')[2]
  local left = first and math.max(tonumber(first) - now, 1)
  if left and (wait < 0 or left < wait) then wait = left end
end
return { wait, taken }
`)

/** id and token of each → 1 each; 0: it is somebody else's. */
export const completeScript = script(`
local answers, plain, which = {}, {}, {}
calm()
for at = 1, #ARGV, 2 do which[#which + 1] = ARGV[at] end
local lines = redis.call('HMGET', jobs, unpack(which))
for of, id in ipairs(which) do
  local job = jobOf(lines[of])
  local isOurs = job and job.token == ARGV[2 * of]
  answers[of] = isOurs and 1 or 0
  if isOurs and job.group ~= '' then
    finish(id, job.group)
  elseif isOurs then
    plain[#plain + 1] = id
  end
end
if #plain > 0 then
  redis.call('XACK', name, 'millrace', unpack(plain))
  redis.call('XDEL', name, unpack(plain))
  redis.call('HDEL', jobs, unpack(plain))
  redis.call('ZREM', leases, unpack(plain))
end
return answers
`)

/** id, token, how, delay, error, attempts, dead → 1; 0: it is somebody else's. */
export const settleScript = script(`
local id, how, delay = ARGV[1], ARGV[3], tonumber(ARGV[4])
local attempts, dead = tonumber(ARGV[6]), tonumber(ARGV[7])
calm()
local job = kept(id)
if not job or job.token ~= ARGV[2] then return 0 end
if how == 'reject' or (how == 'retry' and attempts > 0 and job.attempt >= attempts) then
  local raw = entryOf(id)
  if raw then
    bury(id, job, raw, how == 'reject' and 'rejected' or 'attempts', ARGV[5], dead)
  else
    finish(id, job.group)
  end
  return 1
end
if how ~= 'retry' then job.attempt = job.attempt - 1 end
if how == 'unread' then job.acquired = job.acquired - 1 end
job.token = '0'
keep(id, job)
redis.call('ZREM', leases, id)
if delay > 0 then
  redis.call('ZADD', later, whole(now + delay), id)
  ring()
else
  bring(id, job)
end
return 1
`)

/** milliseconds, then id and token of each → those that are somebody else's. */
export const extendScript = script(`
local lost = {}
calm()
for at = 2, #ARGV, 2 do
  local job = kept(ARGV[at])
  if job and job.token == ARGV[at + 1] then
    redis.call('ZADD', leases, 'GT', whole(now + tonumber(ARGV[1])), ARGV[at])
  else
    lost[#lost + 1] = ARGV[at]
  end
end
return lost
`)
