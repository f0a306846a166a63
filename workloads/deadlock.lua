local fine = async(function()
  await(sleep("10s"))
  print("somebody else is fine, and notices nothing")
end)

local transfer = async(function(from, to)
  local first <close> = await(from:lock())
  await(sleep("10ms"))                          -- meanwhile the other task takes its first lock
  local second <close> = await(to:lock())       -- now each task waits for the lock that the other holds
  print("never reached")
end)

return {
  title  = "Two locks in opposite order",
  lesson = "Each task holds one lock and waits forever for the lock that the other holds. Nothing crashes, but there "
        .. "is no progress. Always taking locks in the same order avoids the deadlock. (This run is expected to "
        .. "fail.)",
  clock  = "virtual",
  expects = { findings = { "deadlock" }, outcome = "failed" },
  main = async(function()
    local left, right = mutex{ name = "left" }, mutex{ name = "right" }
    await(gather(transfer(left, right), transfer(right, left), fine()))
  end),
}
