local producer = async(function(jobs, count)
  for job = 1, count do await(jobs:send(job)) end   -- waits while the channel is full
  print("everything is handed over at " .. now() .. " s")
  jobs:close()
end)

local consumer = async(function(jobs, pace)
  local done = 0
  for _ in each(jobs) do
    await(sleep(pace))
    done = done + 1
  end
  return done
end)

return {
  title  = "Producer and consumer",
  lesson = "A bounded channel makes a fast producer wait for a slow consumer (back-pressure). Without a bound, the "
        .. "queue would grow.",
  clock  = "virtual",
  params = {
    jobs = { default = 100, min = 1, max = 100000, help = "number of jobs" },
    capacity = { default = 8, min = 1, max = 100000, help = "number of jobs the channel holds" },
    consumers = { default = 2, min = 1, max = 1000, help = "number of consumers" },
    pace = { default = "1s", min = "1ms", max = "1h", help = "time a job takes" },
  },
  expects = { findings = { "back-pressure" } },
  main = async(function(p)
    local jobs, consumers = channel(p.capacity, { name = "jobs" }), {}
    create_task(producer(jobs, p.jobs))
    for i = 1, p.consumers do consumers[i] = consumer(jobs, p.pace) end
    return await(gather(consumers))
  end),
}
