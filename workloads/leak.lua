-- Each request starts a watcher that is never stopped.
local watcher = async(function(stop)
  await(stop:wait())
end)

local request = async(function(stop)
  create_task(watcher(stop))       -- the mistake: the watcher outlives the request
  await(sleep("100ms"))
end)

return {
  title  = "Tasks that never end",
  lesson = "Each request leaves a task behind that waits for an event that never comes. Nothing fails, but the number "
        .. "of tasks grows. A task group would end each task with its request.",
  clock  = "virtual",
  params = { requests = { default = 200, min = 10, max = 100000, help = "number of requests, ten per second" } },
  expects = { findings = { "leak" } },
  main = async(function(p)
    local stop = event{ name = "stop" }
    for _ = 1, p.requests do await(request(stop)) end
    print(p.requests .. " requests are answered, and as many tasks are still there")
  end),
}
