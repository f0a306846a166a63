local busy, most = 0, 0

local query = async(function(pool, duration)
  local connection <close> = await(pool:acquire())   -- waits for a free connection
  busy = busy + 1
  most = math.max(most, busy)
  await(sleep(duration))
  busy = busy - 1
end)

return {
  title  = "A pool of connections",
  lesson = "A semaphore limits how many tasks run at a time; the others queue. Ten queries of one second over three "
        .. "connections take four seconds.",
  clock  = "virtual",
  params = {
    connections = { default = 3, min = 1, max = 10000, help = "number of connections in the pool" },
    queries = { default = 10, min = 1, max = 100000, help = "number of queries" },
    duration = { default = "1s", min = "1ms", max = "1h", help = "time a query takes" },
  },
  expects = { findings = {} },
  main = async(function(p)
    local pool, queries = semaphore(p.connections, { name = "connections" }), {}
    for i = 1, p.queries do queries[i] = query(pool, p.duration) end
    await(gather(queries))
    return { seconds = now(), most_at_once = most, free = pool:available() }
  end),
}
