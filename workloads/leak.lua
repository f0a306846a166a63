-- A watcher for every request, and nobody who ever tells it to stop.
local watcher = async(function(stop)
  await(stop:wait())
end)

local request = async(function(stop)
  create_task(watcher(stop))       -- the mistake: it outlives the request
  await(sleep("100ms"))
end)

return {
  title  = "Tasks that never go",
  lesson = "Each request leaves a task behind that waits for something that never comes. Nothing fails; there are "
        .. "only more and more of them. A task group would have kept them together with their request.",
  clock  = "virtual",
  params = { requests = { default = 200, min = 10, max = 100000, help = "how many requests come, ten a second" } },
  expects = { findings = { "leak" } },
  main = async(function(p)
    local stop = event{ name = "stop" }
    for _ = 1, p.requests do await(request(stop)) end
    print(p.requests .. " requests are answered, and as many tasks are still there")
  end),
}
