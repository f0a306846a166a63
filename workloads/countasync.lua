local count = async(function()
  print("One")
  await(sleep(1))        -- yields to the loop: the other counters run meanwhile
  print("Two")
end)

return {
  title  = "Count, asynchronously",
  lesson = "Each counter sleeps for one second. They sleep at the same time, so together they take one second.",
  clock  = "virtual",
  params = {
    counters = { default = 3, min = 1, max = 100000, help = "number of concurrent counters" },
  },
  expects = { findings = {} },
  main = async(function(p)
    local all = {}
    for i = 1, p.counters do all[i] = count() end   -- creates coroutines; nothing runs yet
    await(gather(all))                              -- turns each coroutine into a task
  end),
}
