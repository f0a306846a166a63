local heartbeat = async(function(beats)
  local latest = 0
  local every = interval("100ms")
  for _ = 1, beats do
    local due = await(every:tick())
    latest = math.max(latest, now() - due)
  end
  return latest
end)

local import = async(function(size)
  await(sleep(1))
  block(size)                      -- a call that does not await: the loop stands still
end)

return {
  title  = "One call that blocks",
  lesson = "A heartbeat of 100 ms next to a call that blocks for two seconds: for two seconds nothing beats, whoever's "
        .. "call it was. Long calls belong on another thread: see spawn-blocking.",
  clock  = "virtual",
  params = { size = { default = "2s", min = "1ms", max = "1h", help = "how long the call blocks" } },
  expects = { findings = { "blocked-loop" } },
  main = async(function(p)
    local beat = create_task(heartbeat(40))
    await(import(p.size))
    local latest = await(beat)
    print("the latest beat came " .. latest .. " s late")
    return latest
  end),
}
