-- Inserts numbered rows into Tarantool, and records which were written, when and where, as row_writer.py does.
-- Its environment: TARGET (user:password@address), FILE, FIRST and STEP.
local clock = require('clock')
local ffi = require('ffi')
local fiber = require('fiber')
local net_box = require('net.box')

ffi.cdef('struct boot_time { long s; long ns; }; int clock_gettime(int clock, struct boot_time *time);')

-- Seconds of CLOCK_BOOTTIME.
local function now()
    local time = ffi.new('struct boot_time')
    ffi.C.clock_gettime(7, ffi.cast('void *', time))
    return tonumber(time.s) + tonumber(time.ns) / 1e9
end

local env = os.environ()
local log = io.open(env.FILE, 'a')
log:setvbuf('line')
local number, site = tonumber(env.FIRST), nil
while true do
    if site == nil or not site:is_connected() then
        site = net_box.connect(env.TARGET, { connect_timeout = 1 })
    end
    local sent = now()
    local done, row = pcall(site.call, site, 'insert', { number }, { timeout = 3 })
    if done then
        log:write(('%d %.6f %.6f %s %s\n'):format(number, sent, now(), row[2], tostring(row[3])))
    end
    number = number + tonumber(env.STEP)
    fiber.sleep(done and 0.01 or 0.05)
end
