local ready = false

local waiter = async(function(signal)
  if not ready then               -- checks the flag ...
    await(sleep(2))               -- ... does something else first ...
    await(signal:notified())      -- ... so it misses the signal and waits for one that never comes
  end
  return "heard it"
end)

return {
  title  = "A lost wake-up",
  lesson = "notify_waiters wakes only the tasks that wait at that moment. A task that checks the flag first and waits "
        .. "later may wait forever. Register the wait before the check, or use an event, which stays set.",
  clock  = "virtual",
  params = { patience = { default = "30s", min = "3s", max = "24h", help = "timeout of main" } },
  expects = { findings = { "lost-wake" } },
  main = async(function(p)
    local signal = notify{ name = "ready" }
    local listener = create_task(waiter(signal))
    await(sleep(1))
    ready = true
    signal:notify_waiters()       -- no task is waiting yet
    local heard, message = pcall(function() return await(timeout(p.patience, listener)) end)
    print(heard and message or "nobody heard it: " .. message:gsub("^.-:%d+: ", ""))
    return heard
  end),
}
