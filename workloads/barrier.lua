local runner = async(function(line, number, p)
  for lap = 1, p.laps do
    await(sleep(random(1, 10)))
    local last = await(line:wait())         -- true for one of them: the one that came last
    if last then print("lap " .. lap .. ": runner " .. number .. " is the last, and all go on at " .. now() .. " s") end
  end
  return now()
end)

return {
  title  = "Meet at the line",
  lesson = "A barrier holds everybody until all are there. Each lap takes as long as its slowest runner.",
  clock  = "virtual",
  params = {
    runners = { default = 4, min = 1, max = 10000, help = "how many meet" },
    laps = { default = 3, min = 1, max = 1000, help = "how often they do" },
  },
  expects = { findings = {} },
  main = async(function(p)
    local line, runners = barrier(p.runners), {}
    for number = 1, p.runners do runners[number] = runner(line, number, p) end
    return await(gather(runners))
  end),
}
