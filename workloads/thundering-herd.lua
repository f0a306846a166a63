local jobs = 0
local worker = async(function(bell)
  local done, woken = 0, 0
  while true do
    await(bell:notified())
    woken = woken + 1
    if jobs < 0 then return { done = done, woken = woken } end
    if jobs > 0 then              -- one worker gets the job; the others were woken for nothing
      jobs, done = jobs - 1, done + 1
      await(sleep("10ms"))
    end
  end
end)

return {
  title  = "A thundering herd",
  lesson = "One job arrives and all workers are woken: one works, the others wait again. notify_one wakes only one.",
  clock  = "virtual",
  params = {
    workers = { default = 50, min = 2, max = 10000, help = "number of workers that wait for a job" },
    jobs = { default = 10, min = 1, max = 10000, help = "number of jobs, one per second" },
  },
  expects = { findings = { "thundering-herd" } },
  main = async(function(p)
    local bell, workers = notify{ name = "bell" }, {}
    for i = 1, p.workers do workers[i] = worker(bell) end
    local all = gather(workers)
    for _ = 1, p.jobs do
      await(sleep(1))
      jobs = jobs + 1
      bell:notify_waiters()       -- the mistake: it should be bell:notify_one()
    end
    await(sleep(1))
    jobs = -1                     -- no more
    bell:notify_waiters()
    local sum = { done = 0, woken = 0 }
    for _, one in ipairs(await(all)) do sum = { done = sum.done + one.done, woken = sum.woken + one.woken } end
    return sum
  end),
}
