-- A clock that is to strike every second, and now and then has something to do that takes longer than that.
local clockwork = async(function(missed, p)
  local every_second = interval(1, { missed = missed })
  for strike = 1, p.strikes do
    await(every_second:tick())
    if strike % 5 == 0 then await(sleep(p.chore)) end
  end
  return now()
end)

return {
  title  = "The clock that runs late",
  lesson = "A tick that is missed must be made up for or left out. `delay` puts off every later one, and the clock "
        .. "drifts, as a sleep in a loop does at every turn; `burst` catches up and is on time again.",
  clock  = "virtual",
  params = {
    strikes = { default = 30, min = 2, max = 10000, help = "how often each clock strikes" },
    chore = { default = "1500ms", min = "1ms", max = "10s", help = "what every fifth strike takes" },
  },
  expects = { findings = { "interval-drift" } },
  main = async(function(p)
    local delay, burst = table.unpack(await(gather(clockwork("delay", p), clockwork("burst", p))))
    return { delay = delay, burst = burst }
  end),
}
