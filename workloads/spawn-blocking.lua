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
  await(spawn_blocking(size))      -- the same call, on another thread
end)

return {
  title  = "A blocking call on another thread",
  lesson = "The blocking call of blocked-loop, moved to the blocking pool: it takes as long, but no heartbeat is late.",
  clock  = "virtual",
  params = { size = { default = "2s", min = "1ms", max = "1h", help = "duration of the blocking call" } },
  expects = { findings = {} },
  main = async(function(p)
    local beat = create_task(heartbeat(40))
    await(import(p.size))
    local latest = await(beat)
    print("the latest beat came " .. latest .. " s late")
    return latest
  end),
}
