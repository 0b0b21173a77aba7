-- Sends the bodies of a file, LINES lines each, in turn; prints what was measured as one line of JSON.
-- Arguments: the file, a token, the bodies' media type, LINES.
local requests = {}
local at = 0

function init(arguments)
  local headers = { ["Content-Type"] = arguments[3], ["Authorization"] = "Bearer " .. arguments[2] }
  local lines = {}
  for line in io.lines(arguments[1]) do
    lines[#lines + 1] = line
    if #lines == tonumber(arguments[4]) then
      requests[#requests + 1] = wrk.format("POST", nil, headers, table.concat(lines, "\n"))
      lines = {}
    end
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
