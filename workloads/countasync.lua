local count = async(function()
  print("One")
  await(sleep(1))        -- gives the loop away: the other counters run meanwhile
  print("Two")
end)

return {
  title  = "Count, asynchronously",
  lesson = "Each counter sleeps for one second, and they all sleep at the same time: together they take one second.",
  clock  = "virtual",
  params = {
    counters = { default = 3, min = 1, max = 100000, help = "how many counters run side by side" },
  },
  expects = { findings = {} },
  main = async(function(p)
    local all = {}
    for i = 1, p.counters do all[i] = count() end   -- a coroutine each; nothing runs yet
    await(gather(all))                              -- now each is a task
  end),
}
