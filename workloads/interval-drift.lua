local metronome = async(function(missed, p)
  local beat = interval(p.beat, { missed = missed, name = missed })
  for _ = 1, p.beats do await(beat:tick()) end
  return now()
end)

local chores = async(function(p)
  while true do
    await(sleep(1))
    work(p.chore)                     -- longer than a beat: some are missed
  end
end)

return {
  title  = "Three ways to miss a beat",
  lesson = "An interval that was kept from ticking can catch up in a burst, put everything off (delay), or leave out "
        .. "what it missed (skip). Only the burst keeps the count: the others drift.",
  clock  = "virtual",
  params = {
    beat = { default = "100ms", min = "10ms", max = "10s", help = "from one beat to the next" },
    beats = { default = 100, min = 10, max = 10000, help = "how many beats each metronome counts" },
    chore = { default = "150ms", min = "1ms", max = "10s", help = "what somebody else does once a second" },
  },
  expects = { findings = { "interval-drift" } },
  main = async(function(p)
    local disturbing = create_task(chores(p))
    local ends = await(gather(metronome("burst", p), metronome("delay", p), metronome("skip", p)))
    disturbing:cancel()
    return { burst = ends[1], delay = ends[2], skip = ends[3] }
  end),
}
