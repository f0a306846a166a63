local listener = async(function(news, pace)
  local heard, missed = 0, 0
  for _, lost in each(news) do
    heard, missed = heard + 1, missed + lost
    await(sleep(pace))
  end
  return { heard = heard, missed = missed }
end)

return {
  title  = "The slow listener misses the news",
  lesson = "A broadcast keeps the last few messages for everybody. It never waits for who is slow: they lose the "
        .. "oldest, and are told how many.",
  clock  = "virtual",
  params = {
    messages = { default = 20, min = 1, max = 10000, help = "how many messages are sent, one a second" },
    keeps = { default = 4, min = 1, max = 1024, help = "how many the channel keeps (a power of two)" },
    slow = { default = "3s", min = "1ms", max = "1h", help = "how long the slow listener takes for one" },
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
