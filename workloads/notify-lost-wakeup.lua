local ready = false

local waiter = async(function(signal)
  if not ready then               -- it looks ...
    await(sleep(2))               -- ... and in between does something else ...
    await(signal:notified())      -- ... so it misses the signal, and waits for one that never comes again
  end
  return "heard it"
end)

return {
  title  = "The wake-up that came too early",
  lesson = "notify_waiters wakes who waits now, and remembers nobody else. Who looks first and listens later sleeps "
        .. "for ever: listen before you look, or use an event, which stays set.",
  clock  = "virtual",
  params = { patience = { default = "30s", min = "3s", max = "24h", help = "how long main waits before it gives up" } },
  expects = { findings = { "lost-wake" } },
  main = async(function(p)
    local signal = notify{ name = "ready" }
    local listener = create_task(waiter(signal))
    await(sleep(1))
    ready = true
    signal:notify_waiters()       -- nobody is listening yet
    local heard, message = pcall(function() return await(timeout(p.patience, listener)) end)
    print(heard and message or "nobody heard it: " .. message:gsub("^.-:%d+: ", ""))
    return heard
  end),
}
