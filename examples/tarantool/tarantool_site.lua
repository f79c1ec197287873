#!/usr/bin/env tarantool
-- One site's Tarantool. It replicates to and from the other site's, and only the active site takes writes.
-- docs/tarantool.md explains it. Its environment configures it:
--
--   SITE, LISTEN, PEER     the name of this site, its address, and the address of the other site: 10.1.0.11:3301
--   WORK_DIR               where its data is
--   DML_USERS              the users with which applications write at this site, separated by commas
--   BOOTSTRAP              "true" at the site that begins the data; the other one begins with a copy
--   REPLICATION_PASSWORD, SWITCH_PASSWORD, DML_PASSWORD   of the users replicator, switch, and those that write
--   ALL_DML_USERS          at the site that begins: the DML_USERS of both sites, which it creates
--
-- Tarantool starts read-only, except when the data is begun. Only tarantool_switch.lua makes it writable.
local fiber = require('fiber')
local fio = require('fio')

local env = os.environ()
local peer = 'replicator:' .. env.REPLICATION_PASSWORD .. '@' .. env.PEER
local begins = env.BOOTSTRAP == 'true' and #fio.glob(fio.pathjoin(env.WORK_DIR, '*.snap')) == 0

box.cfg({
    listen = env.LISTEN,
    work_dir = env.WORK_DIR,
    replication = begins and {} or { peer },
    replication_connect_quorum = 0,
    read_only = not begins,
    memtx_memory = 64 * 1024 * 1024,
    wal_mode = 'fsync',
})

-- The term at which this site became active. Rows may keep it: it is a fencing token.
local term = 0

tcf = {}

local function each(list)
    return string.gmatch(list, '[^,]+')
end

-- Take the role "writer" from all users that have it.
local function take_rights_away()
    local writer = box.space._user.index.name:get('writer').id
    for _, right in box.space._priv:pairs() do
        if right.object_type == 'role' and right.object_id == writer then
            local user = box.space._user:get(right.grantee).name
            if user ~= 'admin' then
                box.schema.user.revoke(user, 'writer', nil, nil, { if_exists = true })
            end
        end
    end
end

-- What this site has, by the id of the instance that wrote it. Number 0 is what stays at this site.
local function written()
    local found = {}
    for id, lsn in pairs(box.info.vclock) do
        if id ~= 0 then
            found[tostring(id)] = lsn
        end
    end
    return found
end

-- Note whether it is uncertain that the other site has everything. This space belongs to this site alone, and takes
-- writes while Tarantool is read-only. The log is written in order, so after this everything before it is on disk.
local function note_owing(owes)
    box.space.tcf_owes:replace({ 1, owes })
end

-- Carry out one switch at a time. The server may do what a script has asked for although that script was killed.
local busy = fiber.channel(1)
local function alone(switch, at_term)
    busy:put(true)
    local done, result = pcall(switch, at_term)
    busy:get()
    if not done then
        error(result, 0)
    end
    return result
end

-- The highest term at which this site was made passive. What an older script has asked for comes too late.
local function passive_at()
    local note = box.space.tcf_owes:get(2)
    return note and note[2] or 0
end

local function make_passive(at_term)
    local latest = math.max(passive_at(), at_term or term)
    if latest > passive_at() then
        box.space.tcf_owes:replace({ 2, latest })
    end
    if not box.info.ro then
        take_rights_away()
        box.cfg({ read_only = true })
        note_owing(true)
    end
    local note = box.space.tcf_owes:get(1)
    return note and note[2] and written() or nil
end

-- Nobody writes here any more. Returns all that has been written, or nil if the other site certainly has it.
function tcf.make_passive(at_term)
    return alone(make_passive, at_term)
end

-- The other site has everything.
function tcf.settle()
    note_owing(false)
end

local function make_active(new_term)
    if new_term <= passive_at() then
        error(
            'term ' .. new_term .. ' is over: this site was made passive at term ' .. passive_at()
                .. ' (if terms have begun again: box.space.tcf_owes:delete(2))',
            0
        )
    end
    term = new_term
    note_owing(true)
    box.cfg({ read_only = false })
    take_rights_away()
    for user in each(env.DML_USERS) do
        box.schema.user.grant(user, 'writer', nil, nil, { if_not_exists = true })
    end
end

-- The users in DML_USERS write here from now on, and nobody else does.
function tcf.make_active(new_term)
    alone(make_active, new_term)
end

function tcf.state()
    return { ro = box.info.ro, status = box.info.status, written = written() }
end

-- The application: it stores a number with the site and the term at which it was written.
function insert(number)
    return box.space.rows:insert({ number, env.SITE, term })
end

if begins then
    box.schema.user.create('replicator', { password = env.REPLICATION_PASSWORD })
    box.schema.user.grant('replicator', 'replication')
    box.schema.space.create('tcf_owes', { is_local = true }):create_index('primary')
    box.schema.space.create('rows'):create_index('primary')
    box.schema.func.create('insert')
    box.schema.role.create('writer')
    box.schema.role.grant('writer', 'write', 'space', 'rows')
    for user in each(env.ALL_DML_USERS) do
        box.schema.user.create(user, { password = env.DML_PASSWORD })
        box.schema.user.grant(user, 'execute', 'function', 'insert')
        box.schema.user.grant(user, 'read', 'space', 'rows')
    end
    -- These come last, because a switch in between would make Tarantool read-only before all is there.
    box.schema.user.create('switch', { password = env.SWITCH_PASSWORD })
    for _, name in ipairs({ 'tcf.make_passive', 'tcf.settle', 'tcf.make_active', 'tcf.state' }) do
        box.schema.func.create(name, { setuid = true })
        box.schema.user.grant('switch', 'execute', 'function', name)
    end
    -- It stays writable until the first switch: the other site has to be registered here before it gets its copy.
    box.cfg({ replication = { peer } })
end
