local metronome = async(function(missed, p)
  local beat = interval(p.beat, { missed = missed, name = missed })
  for _ = 1, p.beats do await(beat:tick()) end
  return now()
end)

local chores = async(function(p)
  while true do
    await(sleep(1))
    work(p.chore)                     -- longer than one period: some ticks are missed
  end
end)

return {
  title  = "Missed interval ticks",
  lesson = "After missed ticks an interval can fire them in a burst, delay all later ticks, or skip the missed ones. "
        .. "Only the burst keeps the number of ticks; the other two drift.",
  clock  = "virtual",
  params = {
    beat = { default = "100ms", min = "10ms", max = "10s", help = "period of the metronomes" },
    beats = { default = 100, min = 10, max = 10000, help = "number of ticks each metronome waits for" },
    chore = { default = "150ms", min = "1ms", max = "10s", help = "blocking work of another task, once per second" },
  },
  expects = { findings = { "interval-drift" } },
  main = async(function(p)
    local disturbing = create_task(chores(p))
    local ends = await(gather(metronome("burst", p), metronome("delay", p), metronome("skip", p)))
    disturbing:cancel()
    return { burst = ends[1], delay = ends[2], skip = ends[3] }
  end),
}
