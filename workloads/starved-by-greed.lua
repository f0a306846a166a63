-- Everything it needs is there already, so its awaits never wait, and it never gives anybody a turn.
local greedy = async(function(jobs)
  for _ in each(jobs) do work("10ms") end
end)

local modest = async(function(first)
  await(first:notified())
  return now()
end)

return {
  title  = "Starved by greed",
  lesson = "An await that is ready at once gives nobody a turn. tokio makes a task give way after some 128 of them; "
        .. "unconstrained switches that off, and everybody else starves.",
  clock  = "virtual",
  params = {
    jobs = { default = 1000, min = 1, max = 100000, help = "jobs that are there from the start" },
    greedy = { default = true, help = "whether the task is unconstrained" },
  },
  expects = { findings = { "never-yields", "starvation" } },
  main = async(function(p)
    local jobs, first = channel{ name = "jobs" }, notify()
    for job = 1, p.jobs do jobs:try_send(job) end
    jobs:close()
    local hungry = create_task(modest(first))
    await(yield_now())
    first:notify_one()            -- ready to run from here on, but it will have to wait for its turn
    await(p.greedy and unconstrained(greedy(jobs)) or greedy(jobs))
    local served = await(hungry)
    print("the modest task had its turn after " .. served .. " s")
    return served
  end),
}
