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
  block(size)                      -- a blocking call without await: the loop cannot run other tasks
end)

return {
  title  = "A blocking call",
  lesson = "A 100 ms heartbeat runs next to a call that blocks for two seconds. Meanwhile the loop runs no other task, "
        .. "so the heartbeat stops. Run blocking calls on another thread: see spawn-blocking.",
  clock  = "virtual",
  params = { size = { default = "2s", min = "1ms", max = "1h", help = "duration of the blocking call" } },
  expects = { findings = { "blocked-loop" } },
  main = async(function(p)
    local beat = create_task(heartbeat(40))
    await(import(p.size))
    local latest = await(beat)
    print("the latest beat came " .. latest .. " s late")
    return latest
  end),
}
