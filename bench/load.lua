-- wrk -s load.lua URL -- METHOD PATH BODIES HEADER VALUE: requests made ready beforehand, one
-- after the other. BODIES is a file of bodies with a NUL between them, or - for none; %d in PATH
-- goes from 1 to 32.

local requests, at = {}, 0

local function bodies(file)
  local found = {}
  for body in io.open(file, "rb"):read("*a"):gmatch("[^%z]+") do found[#found + 1] = body end
  return found
end

function init(args)
  local method, path, file, name, value = unpack(args)
  if file == "-" then
    requests[1] = wrk.format(method, path, {[name] = value})
    return
  end
  for i, body in ipairs(bodies(file)) do
    local to = path:gsub("%%d", tostring((i - 1) % 32 + 1))
    requests[i] = wrk.format(method, to, {[name] = value}, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format('{"requests": %d, "us": %d, "failed": %d, "p50": %.3f, "p99": %.3f}',
    summary.requests, summary.duration, failed,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
