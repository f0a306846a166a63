local count = async(function()
  print("One")
  block(1)               -- blocks the loop: no other task can run for one second
  print("Two")
end)

return {
  title  = "Count, blocking",
  lesson = "The same counters with a blocking sleep. Running them as tasks does not help: the seconds add up.",
  clock  = "virtual",
  params = {
    counters = { default = 3, min = 1, max = 100000, help = "number of counters" },
  },
  expects = { findings = { "blocked-loop" } },
  main = async(function(p)
    local all = {}
    for i = 1, p.counters do all[i] = count() end
    await(gather(all))
  end),
}
