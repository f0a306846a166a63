-- Everybody needs the same lock for most of what they do, so they march one behind the other.
local worker = async(function(lock, p)
  for _ = 1, p.rounds do
    local guard <close> = await(lock:lock())   -- let go of at the end of the block, however it is left
    await(sleep(p.inside))                     -- the mistake: waiting for something while holding the lock
  end
end)

return {
  title  = "A convoy behind a mutex",
  lesson = "Who waits for something while holding a lock makes everybody wait for it. Ten tasks are no faster than "
        .. "one.",
  clock  = "virtual",
  params = {
    workers = { default = 10, min = 1, max = 10000, help = "tasks that want the lock" },
    rounds = { default = 5, min = 1, max = 1000, help = "how often each of them takes it" },
    inside = { default = "100ms", min = "1ms", max = "1h", help = "how long it is held each time" },
  },
  expects = { findings = { "convoy" } },
  main = async(function(p)
    local lock, workers = mutex{ name = "ledger" }, {}
    for i = 1, p.workers do workers[i] = worker(lock, p) end
    await(gather(workers))
    print(p.workers * p.rounds .. " turns took " .. now() .. " s")
  end),
}
