local count = async(function()
  print("One")
  block(1)               -- keeps the loop: nothing else can run for this second
  print("Two")
end)

return {
  title  = "Count, blocking",
  lesson = "The same counters with a sleep that blocks. Being tasks does not help: the seconds add up.",
  clock  = "virtual",
  params = {
    counters = { default = 3, min = 1, max = 100000, help = "how many counters run, one after the other" },
  },
  expects = { findings = { "blocked-loop" } },
  main = async(function(p)
    local all = {}
    for i = 1, p.counters do all[i] = count() end
    await(gather(all))
  end),
}
