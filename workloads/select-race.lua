local mirror = async(function(name)
  await(sleep(random(1, 9)))
  return "the page, from " .. name
end)

return {
  title  = "A race between mirrors",
  lesson = "select returns the first result and drops the other branches: it cancels their tasks and timers.",
  clock  = "virtual",
  params = { rounds = { default = 5, min = 1, max = 1000, help = "number of races" } },
  expects = { findings = {} },
  main = async(function(p)
    local wins = { amsterdam = 0, berlin = 0, nobody = 0 }
    for _ = 1, p.rounds do
      local who, page = await(select{
        amsterdam = mirror("Amsterdam"),
        berlin    = mirror("Berlin"),
        nobody    = sleep(8),              -- the timeout
      })
      wins[who] = wins[who] + 1
      print(who .. ": " .. tostring(page))
    end
    return wins
  end),
}
