-- Readers share the lock. tokio's is fair: once a writer waits, later readers queue behind it, so a slow reader stops
-- everybody who came after the writer.
local reader = async(function(lock, number, p)
  await(sleep(number * p.every))
  local guard <close> = await(lock:read())
  await(sleep(number == 1 and p.slow or p.read))
end)

local writer = async(function(lock, p)
  await(sleep(p.every * 1.5))
  local asked = now()
  local guard <close> = await(lock:write())
  print("the writer waited " .. now() - asked .. " s")
end)

return {
  title  = "One slow reader, one writer, and everybody behind them",
  lesson = "Readers share a lock until a writer asks for it. Then they queue behind the writer, who waits for the "
        .. "slowest reader: one slow reader stops them all.",
  clock  = "virtual",
  params = {
    readers = { default = 10, min = 2, max = 10000, help = "how many readers come" },
    every = { default = "1s", min = "1ms", max = "1h", help = "time from one reader to the next" },
    read = { default = "1500ms", min = "1ms", max = "1h", help = "how long a reader reads" },
    slow = { default = "60s", min = "1ms", max = "24h", help = "how long the first one does" },
  },
  expects = { findings = {} },
  main = async(function(p)
    local lock, all = rwlock{ name = "catalog" }, {}
    for number = 1, p.readers do all[number] = reader(lock, number, p) end
    all[#all + 1] = writer(lock, p)
    await(gather(all))
    return now()
  end),
}
