local listener = async(function(news, pace)
  local heard, missed = 0, 0
  for _, lost in each(news) do
    heard, missed = heard + 1, missed + lost
    await(sleep(pace))
  end
  return { heard = heard, missed = missed }
end)

return {
  title  = "A slow broadcast subscriber",
  lesson = "A broadcast channel keeps only the newest messages and never waits for a slow subscriber. The subscriber "
        .. "loses the oldest messages and receives the number of lost messages.",
  clock  = "virtual",
  params = {
    messages = { default = 20, min = 1, max = 10000, help = "number of messages, one per second" },
    keeps = { default = 4, min = 1, max = 1024, help = "number of messages the channel keeps (a power of two)" },
    slow = { default = "3s", min = "1ms", max = "1h", help = "time the slow subscriber takes per message" },
  },
  expects = { findings = {} },
  main = async(function(p)
    local news = broadcast(p.keeps)
    local both = gather(listener(news:subscribe(), "100ms"), listener(news:subscribe(), p.slow))
    for number = 1, p.messages do
      await(sleep(1))
      news:send(number)
    end
    news:close()
    local quick, slow = table.unpack(await(both))
    print("slow: heard " .. slow.heard .. ", missed " .. slow.missed)
    return { quick = quick, slow = slow }
  end),
}
