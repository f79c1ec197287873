#!/usr/bin/env tarantool
-- Moves the right to write between two sites with Tarantool, as `tcf-run` asks for it:
--
--   tarantool tarantool_switch.lua on-active     this site takes writes; returns when it does
--   tarantool tarantool_switch.lua on-passive    it takes none; succeeds only when the other site has all that was written
--   tarantool tarantool_switch.lua check         is the Tarantool of this site healthy?
--
-- Its environment: HERE and THERE (addresses of both sites), SWITCH_PASSWORD (of the user switch), and WORKER (where
-- this site's worker answers probes, such as http://127.0.0.1:8080). tcf-run adds TCF_TERM.
-- Exit status: 0 done or healthy; 1 not (yet), see stderr.
local fiber = require('fiber')
local net_box = require('net.box')

local env = os.environ()
local ATTEMPT, PAUSE, DEADLINE = 10, 0.05, 3 -- seconds

local said
local function say(text)
    if text ~= said then
        io.stderr:write(text .. '\n')
    end
    said = text
end

local function connected(address)
    local site = net_box.connect('switch:' .. env.SWITCH_PASSWORD .. '@' .. address, { connect_timeout = DEADLINE })
    if site:is_connected() then
        return site
    end
    error(address .. ': ' .. tostring(site.error), 0)
end

local function call(site, name, ...)
    return site:call('tcf.' .. name, { ... }, { timeout = DEADLINE })
end

-- How many changes of `given` are missing in `found`.
local function missing(given, found)
    local count = 0
    for id, lsn in pairs(given) do
        count = count + math.max(0, lsn - (found[id] or 0))
    end
    return count
end

-- Raise an error unless this site is active. A promotion that comes late stops here.
local function require_active()
    local answer = require('http.client').get(env.WORKER .. '/tcf/is_active', { timeout = DEADLINE })
    if answer.status ~= 200 then
        error('this site is not active: ' .. answer.status .. ' ' .. (answer.body or answer.reason), 0)
    end
end

-- Raises an error if this site still has something that the other one lacks, or if nobody can know that.
local function require_nothing_owed(given)
    local found, there = pcall(connected, env.THERE)
    if not found then
        error('nobody knows whether the other site has everything: ' .. tostring(there), 0)
    end
    local lacks = missing(given, call(there, 'state').written)
    if lacks > 0 then
        error('the other site lacks ' .. lacks .. ' changes', 0)
    end
end

local function on_passive()
    local here = connected(env.HERE)
    local given = call(here, 'make_passive', tonumber(env.TCF_TERM))
    if given == nil then
        return
    end
    local deadline = fiber.clock() + ATTEMPT
    local settled, reason = pcall(require_nothing_owed, given)
    while not settled do
        if fiber.clock() > deadline then
            error(reason, 0)
        end
        fiber.sleep(PAUSE)
        settled, reason = pcall(require_nothing_owed, given)
    end
    call(here, 'settle')
end

-- If the other site can be reached, it takes no more writes, and this one gets all that it has. That may take as long
-- as something still comes.
local function fetch_the_rest(here)
    local found, there = pcall(connected, env.THERE)
    if not found then
        say('going on without the other site: ' .. tostring(there))
        return
    end
    require_active()
    local given = call(there, 'make_passive', tonumber(env.TCF_TERM))
    local lacks, deadline = math.huge, 0
    while given ~= nil do
        local left = missing(given, call(here, 'state').written)
        if left == 0 then
            return
        elseif left < lacks then
            lacks, deadline = left, fiber.clock() + ATTEMPT
        elseif fiber.clock() > deadline then
            say('nothing more comes from the other site, going on without it')
            return
        end
        fiber.sleep(PAUSE)
    end
end

local function on_active()
    local here = connected(env.HERE)
    fetch_the_rest(here)
    require_active()
    call(here, 'make_active', tonumber(env.TCF_TERM))
end

local function check()
    local state = call(connected(env.HERE), 'state')
    if state.status ~= 'running' then
        error('Tarantool is ' .. state.status, 0)
    end
end

local commands = { ['on-active'] = on_active, ['on-passive'] = on_passive, check = check }
local command = commands[arg[1]]
if command == nil then
    io.stderr:write('usage: tarantool_switch.lua on-active|on-passive|check\n')
    os.exit(2)
end
local done, trouble = pcall(command)
if not done then
    io.stderr:write(arg[1] .. ': ' .. tostring(trouble) .. '\n')
end
os.exit(done and 0 or 1)
