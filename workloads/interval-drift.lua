-- Two clocks that are to strike every second, and do something for a while each time.
local sleeping = async(function(p)
  for _ = 1, p.strikes do
    work(p.chore)
    await(sleep(1))                 -- a second after the chore: every strike is later than it should be
  end
  return now()
end)

local ticking = async(function(p)
  local every_second = interval(1, { missed = "skip" })
  for _ = 1, p.strikes do
    await(every_second:tick())      -- a second after the last tick, whatever was done since
    work(p.chore)
  end
  return now()
end)

return {
  title  = "The clock that runs late",
  lesson = "Sleeping a second in a loop means a second plus whatever the loop does: it drifts. An interval keeps to "
        .. "the clock, and says what to do about ticks that were missed.",
  clock  = "virtual",
  params = {
    strikes = { default = 30, min = 2, max = 10000, help = "how often each clock strikes" },
    chore = { default = "20ms", min = "1ms", max = "400ms", help = "what each does at every strike" },
  },
  expects = { findings = { "interval-drift" } },
  main = async(function(p)
    local late, punctual = table.unpack(await(gather(sleeping(p), ticking(p))))
    return { sleeping = late, ticking = punctual }
  end),
}
