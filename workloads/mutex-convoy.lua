-- All workers need the same lock for most of their work, so they run one after the other.
local worker = async(function(lock, p)
  for _ = 1, p.rounds do
    local guard <close> = await(lock:lock())   -- released at the end of the block
    await(sleep(p.inside))                     -- the mistake: an await while holding the lock
  end
end)

return {
  title  = "A convoy behind a mutex",
  lesson = "If a task awaits while it holds a lock, every other task that needs the lock waits too. Ten tasks are no "
        .. "faster than one.",
  clock  = "virtual",
  params = {
    workers = { default = 10, min = 1, max = 10000, help = "number of tasks that need the lock" },
    rounds = { default = 5, min = 1, max = 1000, help = "number of times each task takes the lock" },
    inside = { default = "100ms", min = "1ms", max = "1h", help = "time the lock is held" },
  },
  expects = { findings = { "convoy" } },
  main = async(function(p)
    local lock, workers = mutex{ name = "ledger" }, {}
    for i = 1, p.workers do workers[i] = worker(lock, p) end
    await(gather(workers))
    print(p.workers * p.rounds .. " lock holds took " .. now() .. " s")
  end),
}
