local answer

local impatient = async(function()
  local looked = 0
  while not answer do
    looked = looked + 1
    work("100us")                 -- the cost of one check
    await(yield_now())            -- busy polling: the task is scheduled again immediately, again and again
  end
  return looked
end)

local patient = async(function(arrived)
  await(arrived:wait())           -- waits and is woken once
  return answer
end)

return {
  title  = "Are we there yet?",
  lesson = "A task that calls yield_now in a loop is scheduled again at once: the loop is never idle, and a whole core "
        .. "is spent on checking. Wait for an event instead; it wakes the task once.",
  clock  = "virtual",
  params = { journey = { default = "100ms", min = "1ms", max = "1m", help = "time until the answer arrives" } },
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
