local mirror = async(function(name)
  await(sleep(random(1, 9)))
  return "the page, from " .. name
end)

return {
  title  = "A race of mirrors",
  lesson = "select takes the first that is ready and drops the others: their tasks are cancelled, their timers gone.",
  clock  = "virtual",
  params = { rounds = { default = 5, min = 1, max = 1000, help = "how many races are run" } },
  expects = { findings = {} },
  main = async(function(p)
    local wins = { amsterdam = 0, berlin = 0, nobody = 0 }
    for _ = 1, p.rounds do
      local who, page = await(select{
        amsterdam = mirror("Amsterdam"),
        berlin    = mirror("Berlin"),
        nobody    = sleep(8),              -- the patience
      })
      wins[who] = wins[who] + 1
      print(who .. ": " .. tostring(page))
    end
    return wins
  end),
}
