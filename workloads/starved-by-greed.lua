-- All its jobs are queued already, so its awaits are always ready and it never yields to other tasks.
local greedy = async(function(jobs)
  for _ in each(jobs) do work("10ms") end
end)

local modest = async(function(first)
  await(first:notified())
  return now()
end)

return {
  title  = "Starved by a greedy task",
  lesson = "An await that is ready immediately does not yield. tokio's cooperative budget makes a task yield after "
        .. "128 of them; unconstrained disables the budget, so all other tasks starve.",
  clock  = "virtual",
  params = {
    jobs = { default = 1000, min = 1, max = 100000, help = "number of jobs queued at the start" },
    greedy = { default = true, help = "whether the task is unconstrained" },
  },
  expects = { findings = { "never-yields", "starvation" } },
  main = async(function(p)
    local jobs, first = channel{ name = "jobs" }, notify()
    for job = 1, p.jobs do jobs:try_send(job) end
    jobs:close()
    local hungry = create_task(modest(first))
    await(yield_now())
    first:notify_one()            -- the modest task is scheduled now, but has to wait for its poll
    await(p.greedy and unconstrained(greedy(jobs)) or greedy(jobs))
    local served = await(hungry)
    print("the modest task was polled after " .. served .. " s")
    return served
  end),
}
