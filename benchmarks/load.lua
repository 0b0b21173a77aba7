-- Sends the bodies of a file, one a line, in turn; prints what was measured as one line of JSON.
local requests = {}
local at = 0

function init(arguments)
  local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. arguments[2] }
  for body in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
