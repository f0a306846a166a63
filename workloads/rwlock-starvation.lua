-- Readers share the lock. tokio's RwLock is fair: once a writer waits, later readers queue behind it, so a slow reader
-- blocks every task that came after the writer.
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
  title  = "One slow reader blocks all others",
  lesson = "Readers share a lock until a writer requests it. Then later readers queue behind the writer, which waits "
        .. "for the slowest reader: one slow reader blocks all.",
  clock  = "virtual",
  params = {
    readers = { default = 10, min = 2, max = 10000, help = "number of readers" },
    every = { default = "1s", min = "1ms", max = "1h", help = "time between two readers" },
    read = { default = "1500ms", min = "1ms", max = "1h", help = "time a reader holds the lock" },
    slow = { default = "60s", min = "1ms", max = "24h", help = "time the first reader holds the lock" },
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
