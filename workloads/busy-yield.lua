local answer

local impatient = async(function()
  local looked = 0
  while not answer do
    looked = looked + 1
    work("100us")                 -- what looking costs
    await(yield_now())            -- "are we there yet?": wakes itself at once, again and again
  end
  return looked
end)

local patient = async(function(arrived)
  await(arrived:wait())           -- asleep until it is told
  return answer
end)

return {
  title  = "Are we there yet?",
  lesson = "A loop of yield_now wakes itself all the time: the loop is never idle and nothing gets done. Wait for an "
        .. "event instead, and be woken once.",
  clock  = "virtual",
  params = { journey = { default = "100ms", min = "1ms", max = "1m", help = "how long the answer takes" } },
  expects = { findings = { "busy-yield" } },
  main = async(function(p)
    local arrived = event{ name = "arrived" }
    local both = gather(impatient(), patient(arrived))
    await(sleep(p.journey))
    answer = 42
    arrived:set()
    local looked = table.unpack(await(both))
    print("the impatient one looked " .. looked .. " times")
    return looked
  end),
}
