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
  await(spawn_blocking(size))      -- the same call, on a thread of its own
end)

return {
  title  = "The call that blocks somebody else",
  lesson = "The long call of blocked-loop on a thread of the blocking pool: it takes as long, and no beat is late.",
  clock  = "virtual",
  params = { size = { default = "2s", min = "1ms", max = "1h", help = "how long the call blocks" } },
  expects = { findings = {} },
  main = async(function(p)
    local beat = create_task(heartbeat(40))
    await(import(p.size))
    local latest = await(beat)
    print("the latest beat came " .. latest .. " s late")
    return latest
  end),
}
