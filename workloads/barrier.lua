local runner = async(function(line, number, p)
  for lap = 1, p.laps do
    await(sleep(random(1, 10)))
    local last = await(line:wait())         -- true for one task: the last to arrive
    if last then print("lap " .. lap .. ": runner " .. number .. " is the last, and all go on at " .. now() .. " s") end
  end
  return now()
end)

return {
  title  = "Meeting at a barrier",
  lesson = "A barrier blocks each task until all have arrived. Each lap takes as long as its slowest runner.",
  clock  = "virtual",
  params = {
    runners = { default = 4, min = 1, max = 10000, help = "number of runners that meet" },
    laps = { default = 3, min = 1, max = 1000, help = "number of laps" },
  },
  expects = { findings = {} },
  main = async(function(p)
    local line, runners = barrier(p.runners), {}
    for number = 1, p.runners do runners[number] = runner(line, number, p) end
    return await(gather(runners))
  end),
}
